import Billing
import Foundation
import Metering
import Testing

@testable import PostgresLedger

/// Exchanges that were served and not charged.
@Suite(.serialized) struct WaivedTests {
    private let outcomes = Outcomes()

    private func waived(
        _ account: AccountID, _ shadow: Int64, hold: HoldID = Outcomes.hold(),
        authority: Settlement.Authority = .owner
    ) -> Settlement {
        var settlement = self.outcomes.final(account, 0, hold: hold, authority: authority)
        settlement.kind = .waived
        settlement.shadow = Millicredits(shadow)
        settlement.occurredAtMilliseconds = Int64(hold.millisecondsSinceEpoch)
        return settlement
    }

    @Test func theyCostNothingAndCountAgainstCaps() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let hold = Outcomes.hold()
        _ = try await database.ledger.settle([
            self.outcomes.final(account, 100), self.waived(account, 40),
            self.outcomes.orphan(account, 0, hold: hold),
        ])
        // Its owner was only late.
        _ = try await database.ledger.settle([self.waived(account, 7, hold: hold)])
        #expect(try await database.balance(account) == 900)
        let snapshot = try await withCheckedContinuation { continuation in
            database.ledger.snapshot(of: account, among: []) { continuation.resume(returning: $0) }
        }.get()
        #expect(snapshot.spentLastHour == Millicredits(147) && snapshot.spentToday == Millicredits(147))
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// After a loss of power the journal has an OPEN where the hold store has the whole: the correction counts with what
    /// it adds, whichever way, and settled holds are told with what caps count of them.
    @Test func aCorrectionCountsWithWhatItAdds() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let (more, less, charged) = (Outcomes.hold(), Outcomes.hold(), Outcomes.hold())
        _ = try await database.ledger.settle([
            self.outcomes.orphan(account, 0, hold: more),
            self.waived(account, 50, hold: less, authority: .recovery),
            self.outcomes.orphan(account, 70, hold: charged),
        ])
        _ = try await database.ledger.settle([self.waived(account, 30, hold: more, authority: .recovery)])
        _ = try await database.ledger.settle([
            self.waived(account, 40, hold: more), self.waived(account, 8, hold: less),
            self.outcomes.final(account, 90, hold: charged),
        ])
        let snapshot = try await withCheckedContinuation { continuation in
            database.ledger.snapshot(of: account, among: [more, less, charged]) {
                continuation.resume(returning: $0)
            }
        }.get()
        #expect(snapshot.spentLastHour == Millicredits(138) && snapshot.spentToday == Millicredits(138))
        #expect(
            Set(snapshot.settled) == [
                SettledHold(hold: more, amount: .zero, counted: Millicredits(40)),
                SettledHold(hold: less, amount: .zero, counted: Millicredits(8)),
                SettledHold(hold: charged, amount: Millicredits(90)),
            ])
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func theReportHasThemInOrderBesideTheirBalances() async throws {
        let database = try await TestDatabase.migrated()
        let (poor, rich) = (
            try await database.account("poor"), try await database.account("rich", balance: 100)
        )
        // They begin when all of this is in the ledger.
        let later = { Outcomes.hold(at: Outcomes.now + 60_000) }
        _ = try await database.ledger.settle([
            self.waived(poor, 10, hold: later()), self.outcomes.final(rich, 30),
            self.waived(rich, 60, hold: later()), self.waived(rich, 60, hold: later()),
        ])
        let report = try await database.ledger.foldWaived(into: ShadowReport(), pageRows: 1) { $0.add($1) }
        #expect(report.total.requests == 3 && report.total.shadow == 130)
        #expect(report.byAccount[poor]?.refused == 1 && report.byAccount[poor]?.payable == 0)
        // It had 70 when they began; the second one does not fit beside the first.
        #expect(report.byAccount[rich]?.payable == 60 && report.byAccount[rich]?.refused == 1)
        #expect(report.users == [poor: "poor", rich: "rich"])
        let shown = try await database.ledger.shadowReport(from: nil, to: nil)
        #expect(
            shown.total == report.total && shown.byDay == report.byDay && shown.byModel == report.byModel
                && shown.byAccount == report.byAccount && shown.users == report.users)
        #expect(try await database.ledger.shadowReport(from: 0, to: 1).total.requests == 0)
        let none = try await database.ledger.foldWaived(to: 0, into: ShadowReport()) { $0.add($1) }
        #expect(none.total.requests == 0)
    }

    /// Each exchange stands beside the newest line before it, and an account of so many lines is read a few times, not
    /// once for each of its exchanges.
    @Test func anAccountOfManyLinesIsReadOnce() async throws {
        let (lines, exchanges): (Int64, Int64) = (10_000, 100)
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1)
        let hold = Outcomes.hold(at: Outcomes.now)
        _ = try await database.ledger.settle([self.waived(account, 10, hold: hold)])
        // A line each second, the first one 20,000 s ago; an exchange before every hundredth.
        try await database.execute(
            """
            INSERT INTO credit_ledger (account_id, version, transaction_id, user_id, type, amount_millicredits,
                balance_after_millicredits, reference_type, reference_id, created_at)
            SELECT l.account_id, 1 + n, l.transaction_id, l.user_id, 'adjustment', 1, 1 + n, 'test', 'test',
                   now() + (n - 20000) * interval '1 second'
            FROM credit_ledger l, generate_series(1, \(lines)) n WHERE l.account_id = \(account) AND l.version = 1;
            INSERT INTO usage_events SELECT (r).* FROM (
                SELECT jsonb_populate_record(u, jsonb_build_object(
                           'hold_id', hold_id_at(t.at)::text, 'occurred_at', t.at - interval '0.5 seconds')) AS r
                FROM usage_events u, generate_series(1, \(exchanges)) n,
                     LATERAL (SELECT now() + (n * 100 - 20000) * interval '1 second' AS at) t
                WHERE u.account_id = \(account)) made;
            DELETE FROM usage_events WHERE hold_id = '\(hold)';
            ANALYZE
            """)
        let seen = try await database.ledger.foldWaived(into: [Int64](), pageRows: 7) {
            $0.append($1.available.value)
        }
        // In front of line n + 1 the balance was n; only what was there before the first of them is older.
        #expect(seen == (1...exchanges).map { $0 * 100 })
        let read = try await database.pool.run { connection in
            let plan = try connection.run(
                "EXPLAIN (ANALYZE, FORMAT JSON) \(PostgresLedger.waivedInOrder)", [.null, .null]
            ).one().text(0)
            return try Self.rows(JSONSerialization.jsonObject(with: Data(plan.utf8)))
        }
        #expect(read > Double(lines) && read < Double(12 * (lines + exchanges)), "\(read) rows")
    }

    /// All rows that the nodes of a plan saw.
    private static func rows(_ plan: Any) -> Double {
        if let list = plan as? [Any] { return list.reduce(0) { $0 + self.rows($1) } }
        guard let node = plan as? [String: Any] else { return 0 }
        let loops = node["Actual Loops"] as? Double ?? 0
        let seen = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter"].reduce(0) {
            $0 + (node[$1] as? Double ?? 0)
        }
        return loops * seen + self.rows(node["Plan"] ?? []) + self.rows(node["Plans"] ?? [])
    }
}
