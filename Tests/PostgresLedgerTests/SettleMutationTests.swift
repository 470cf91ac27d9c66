import Metering
import Testing

@testable import PostgresLedger

/// Each guard of `settle()` is taken out of the real function, or of the real tables, and a small scenario shows what
/// then goes wrong. The same scenario passes with the guard in place: so it is the guard that makes it pass.
@Suite(.serialized) struct SettleMutationTests {
    let outcomes = Outcomes()

    /// Runs a check with and without the guard; it returns what is wrong.
    private func expect(
        _ guarded: SettleMutation, toPrevent check: (MutatedLedger) async throws -> String?
    ) async throws {
        let whole = try await MutatedLedger(.none)
        let wrong = try await check(whole)
        #expect(wrong == nil, "with the guard: \(wrong ?? "")")
        #expect(try await whole.database.verifier.verify().filter { $0.severity == .violation } == [])
        let broken = try await MutatedLedger(guarded)
        #expect(try await check(broken) != nil, "nobody notices that this guard is missing")
    }

    /// The key and ON CONFLICT are what makes a repeated batch harmless.
    @Test func withoutThePrimaryKeyARepeatedOutcomeIsChargedAgain() async throws {
        let noKey = SettleMutation(
            schema: "ALTER TABLE usage_events DROP CONSTRAINT usage_events_pkey CASCADE",
            replacing: [("ON CONFLICT (account_id, hold_id) DO NOTHING", "")])
        try await self.expect(
            noKey,
            toPrevent: { ledger in
                let row = self.outcomes.final(ledger.account, 100)
                for _ in 0..<2 { _ = try await ledger.settle([row]) }
                return try await ledger.wrong(balance: 900)
            })
    }

    /// Two doors, one behind the other: what counts is read with its corrections, and the key refuses a second one.
    /// Either keeps the money right; without both, a commit of unknown outcome corrects twice (MONEY_PATH B1).
    @Test func withoutTheCorrectionKeyARepeatedFinalCorrectsAgain() async throws {
        let blind = [("coalesce(c.au, e.au) AS au", "e.au"), ("coalesce(c.am, e.am) AS am", "e.am")]
        let noKey = "ALTER TABLE usage_correction DROP CONSTRAINT usage_correction_pkey"
        let check = { (ledger: MutatedLedger) async throws -> String? in
            let hold = Outcomes.hold()
            _ = try await ledger.settle([self.outcomes.orphan(ledger.account, 40, hold: hold)])
            let final = self.outcomes.final(ledger.account, 100, hold: hold)
            for _ in 0..<2 { _ = try await ledger.settle([final]) }
            return try await ledger.wrong(balance: 900)
        }
        for alone in [SettleMutation(schema: noKey), SettleMutation(replacing: blind)] {
            #expect(try await check(try await MutatedLedger(alone)) == nil)
        }
        try await self.expect(SettleMutation(schema: noKey, replacing: blind), toPrevent: check)
    }

    /// An estimate and the truth in one batch: the truth counts, whichever comes first.
    @Test func withoutTheOrderOfAuthoritiesTheFirstOfABatchWins() async throws {
        let unordered = SettleMutation(replacing: [
            ("ORDER BY u.a, u.h, u.au DESC, u.ord", "ORDER BY u.a, u.h, u.ord"),
            ("ORDER BY i.a, i.h, i.au DESC, i.ord", "ORDER BY i.a, i.h, i.ord"),
        ])
        try await self.expect(
            unordered,
            toPrevent: { ledger in
                let hold = Outcomes.hold()
                _ = try await ledger.settle([self.outcomes.orphan(ledger.account, 10, hold: hold)])
                _ = try await ledger.settle([
                    self.outcomes.orphan(ledger.account, 20, hold: hold, authority: .recovery),
                    self.outcomes.final(ledger.account, 70, hold: hold),
                ])
                return try await ledger.wrong(balance: 930)
            })
    }

    /// A hold named twice in one batch is one row and one ledger line. (Without DISTINCT ON but in its order, ON
    /// CONFLICT would keep the same row.)
    @Test func withoutDistinctOnAnEstimateOfTheSameBatchIsPostedFirst() async throws {
        let repeated = SettleMutation(replacing: [
            ("SELECT DISTINCT ON (u.a, u.h) u.*", "SELECT u.*"),
            ("ORDER BY u.a, u.h, u.au DESC, u.ord)", "ORDER BY u.ord)"),
        ])
        try await self.expect(
            repeated,
            toPrevent: { ledger in
                let hold = Outcomes.hold()
                let recovery = self.outcomes.orphan(ledger.account, 20, hold: hold, authority: .recovery)
                _ = try await ledger.settle([recovery, self.outcomes.final(ledger.account, 70, hold: hold)])
                let lines = try await ledger.database.integer(
                    "SELECT count(*) FROM credit_ledger WHERE reference_type LIKE 'settlement%'")
                let balance = try await ledger.wrong(balance: 930)
                if let balance { return balance }
                return lines == 1 ? nil : "\(lines) ledger lines"
            })
    }

    /// The last look at the rows that were not fresh: a FINAL that comes after an estimate.
    @Test func withoutTheComparisonOfEveryRowALateFinalIsLost() async throws {
        let blind = SettleMutation(replacing: [("IF v_fresh <> cardinality(p_hold) THEN", "IF false THEN")])
        try await self.expect(
            blind,
            toPrevent: { ledger in
                let hold = Outcomes.hold()
                _ = try await ledger.settle([self.outcomes.orphan(ledger.account, 40, hold: hold)])
                _ = try await ledger.settle([self.outcomes.final(ledger.account, 100, hold: hold)])
                return try await ledger.wrong(balance: 900)
            })
    }

    @Test func withoutTheRecordOfConflictsASecondFinalVanishes() async throws {
        let silent = SettleMutation(replacing: [("WHERE i.au = 2 AND", "WHERE false AND")])
        try await self.expect(
            silent,
            toPrevent: { ledger in
                let hold = Outcomes.hold()
                _ = try await ledger.settle([self.outcomes.final(ledger.account, 40, hold: hold)])
                let receipt = try await ledger.settle([self.outcomes.final(ledger.account, 41, hold: hold)])
                return receipt.conflicts == 1 ? nil : "\(receipt.conflicts) conflicts"
            })
    }

    /// A version without a line is a gap: I2 would cry wolf. Here the CHECK of the ledger line stands behind it, so a
    /// free outcome would even be taken for poison.
    @Test func withoutHavingAFreeOutcomeMovesTheVersion() async throws {
        let zero = [
            ("FROM ins i GROUP BY 1 HAVING sum(i.charged) <> 0)", "FROM ins i GROUP BY 1)")
        ]
        let check = { (ledger: MutatedLedger) async throws -> String? in
            let receipt = try await ledger.settle([self.outcomes.void(ledger.account)])
            if !receipt.quarantined.isEmpty { return "a free outcome is poison" }
            let findings = try await ledger.database.verifier.verify()
            if let finding = findings.first { return finding.check }
            return try await ledger.wrong(balance: 1000, version: 1)
        }
        try await self.expect(SettleMutation(replacing: zero), toPrevent: check)
        let lineless = SettleMutation(
            replacing: zero + [
                (
                    "u.balance_millicredits, 'settlement', p_txn::text FROM upd u)",
                    "u.balance_millicredits, 'settlement', p_txn::text FROM upd u WHERE u.delta <> 0)"
                )
            ])
        try await self.expect(lineless, toPrevent: check)
    }

    /// Whoever lost the first answer needs the balance from the second (MONEY_PATH A4).
    @Test func withoutTheAnswerForAllAccountsARepetitionSaysNothing() async throws {
        let fresh = SettleMutation(replacing: [
            ("WHERE b.account_id = ANY (p_account);", "WHERE b.account_id = ANY (p_account) AND v_fresh > 0;")
        ])
        try await self.expect(
            fresh,
            toPrevent: { ledger in
                let row = self.outcomes.final(ledger.account, 100)
                let first = try await ledger.settle([row]).balances
                let again = try await ledger.settle([row]).balances
                return first == again ? nil : "answered \(again.count) accounts"
            })
    }

    /// Its row may be in an archive: settled again it would be charged again (MONEY_PATH B4).
    @Test func withoutTheHorizonAnArchivedHoldIsChargedAgain() async throws {
        let endless = SettleMutation(replacing: [("h < v_oldest OR", "false OR")])
        try await self.expect(
            endless,
            toPrevent: { ledger in
                let old = Outcomes.hold(at: Outcomes.now - 36 * 86_400_000)
                let receipt = try await ledger.settle([self.outcomes.final(ledger.account, 100, hold: old)])
                return receipt.quarantined == [old] ? nil : "charged"
            })
    }

    /// The generation travels with every balance.
    @Test func withoutTheTimelineABalanceOfTheOldPastLooksNewer() async throws {
        let deaf = SettleMutation(replacing: [
            ("(SELECT ledger_generation() AS generation)", "(SELECT generation FROM ledger_meta)")
        ])
        try await self.expect(
            deaf,
            toPrevent: { ledger in
                let row = self.outcomes.final(ledger.account, 100)
                let before = try await ledger.settle([row]).balances[0].generation
                try await ledger.database.execute("UPDATE ledger_meta SET timeline = '000000AA'")
                let after = try await ledger.settle([row]).balances[0].generation
                return after > before ? nil : "still \(after)"
            })
    }
}

/// Something to take out of `settle()`.
struct SettleMutation: Sendable {
    /// Run first.
    var schema = ""
    /// Text of the function, and what stands there instead. Each must be found.
    var replacing: [(String, String)] = []

    static let none = SettleMutation()
}

/// A migrated database of its own, whose `settle()` lacks something.
struct MutatedLedger: Sendable {
    let database: TestDatabase
    let account: AccountID

    init(_ mutation: SettleMutation) async throws {
        self.database = try await TestDatabase.migrated()
        self.account = try await self.database.account("user", balance: 1000)
        if !mutation.schema.isEmpty { try await self.database.execute(mutation.schema) }
        guard !mutation.replacing.isEmpty else { return }
        var source = Self.oneLine(
            try await self.database.pool.run {
                try $0.run("SELECT pg_get_functiondef('settle'::regproc)").one().text(0)
            })
        for (original, mutant) in mutation.replacing {
            let isThere = source.contains(original)
            try #require(isThere, "settle() has no: \(original)")
            source = source.replacing(original, with: mutant)
        }
        try await self.database.execute(source)
    }

    /// Without comments, and with one space where there was any: how the text is broken into lines is not its meaning.
    private static func oneLine(_ source: String) -> String {
        source.split(separator: "\n").map { line in
            let code = line.firstRange(of: "--").map { line[..<$0.lowerBound] } ?? line
            return code.split(separator: " ").joined(separator: " ")
        }.joined(separator: " ")
    }

    func settle(_ batch: [Settlement]) async throws -> SettlementReceipt {
        try await self.database.ledger.settle(batch)
    }

    /// nil when the account has this balance (and version).
    func wrong(balance: Int64, version: Int64? = nil) async throws -> String? {
        let found = try await self.database.balance(self.account)
        if found != balance { return "balance \(found)" }
        let lines = try await self.database.integer(
            "SELECT version FROM credit_balance WHERE account_id = \(self.account)")
        guard let version, version != lines else { return nil }
        return "version \(lines)"
    }
}
