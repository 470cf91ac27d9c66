import Metering
import Testing

@testable import PostgresLedger

/// What an exchange consumed besides plain text is kept with its outcome, or a bill could not be explained.
@Suite(.serialized) struct UsagePartsTests {
    let outcomes = Outcomes()

    private func spoken(
        _ account: AccountID, _ amount: Int64, hold: HoldID = Outcomes.hold(), characters: Int64 = 0
    ) -> Settlement {
        var outcome = outcomes.final(account, amount, hold: hold)
        outcome.usage.audio = MediaTokens(input: 40, cachedInput: 0, output: 5)
        outcome.usage.tools[.webSearch] = 2
        outcome.usage.characters = characters
        return outcome
    }

    private static let parts = [
        UsagePart("audio_input_tokens", 40), UsagePart("audio_output_tokens", 5),
        UsagePart("web_search_calls", 2),
    ]

    private func records(_ database: TestDatabase) async throws -> [HoldID: UsageRecord] {
        try await database.ledger.foldUsage(into: [:]) { records, page in
            for record in page { records[record.hold] = record }
        }
    }

    @Test func partsStandInTheRowThatCountsAndNullWhereThereIsNone() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let (plain, rich, corrected) = (
            outcomes.final(account, 1), self.spoken(account, 2), self.spoken(account, 4)
        )
        _ = try await database.ledger.settle([outcomes.orphan(account, 9, hold: corrected.hold)])
        _ = try await database.ledger.settle([plain, rich, corrected])
        let records = try await self.records(database)
        #expect(records[plain.hold]?.usage == plain.usage)
        #expect(records[rich.hold]?.usage == rich.usage)
        #expect(records[corrected.hold]?.usage == corrected.usage)
        #expect(records[corrected.hold]?.charged == Millicredits(4))
        let nulls = "SELECT count(*) FROM usage_events WHERE usage_parts IS NULL"
        #expect(try await database.integer(nulls) == 2, "the plain one and the estimate")
        let stored = "SELECT (usage_parts->>'audio_input_tokens')::bigint FROM usage_correction"
        #expect(try await database.integer(stored) == 40)
        let lines = try await database.ledger.usage(.init(account: account, limit: 10))
        #expect(Set(lines.first { $0.hold == rich.hold }?.parts ?? []) == Set(Self.parts))
        #expect(lines.first { $0.hold == plain.hold }?.parts == [])
        // All of it again: nothing moves, nothing is a conflict.
        let again = try await database.ledger.settle([plain, rich, corrected])
        #expect(again.conflicts == 0 && again.balances.map(\.balance.value) == [1000 - 7])
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// A batch with poison in it goes another way.
    @Test func theWayAroundPoisonKeepsPartsToo() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let (good, unknown, negative) = (
            self.spoken(account, 2), self.spoken(999_999, 3), self.spoken(account, 5, characters: -5)
        )
        let receipt = try await database.ledger.settle([unknown, good, outcomes.final(account, 1), negative])
        #expect(Set(receipt.quarantined) == [unknown.hold, negative.hold])
        #expect(receipt.balances.map(\.balance.value) == [997])
        #expect(try await self.records(database)[good.hold]?.usage == good.usage)
        let payloads = try await database.pool.run { connection in
            try connection.run("SELECT payload FROM settlement_quarantine ORDER BY account_id DESC").rows.map
            {
                try $0.text(0)
            }
        }
        #expect(try Settlement(decoding: Array(payloads[0].utf8)) == unknown)
    }

    /// Whoever writes by hand is held to it as well.
    @Test(arguments: ["{}", "[]", "1", #"{"characters":0}"#, #"{"characters":"1"}"#, #"{"characters":null}"#])
    func partsThatAreNoCountsAreRefused(json: String) async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        _ = try await database.ledger.settle([self.spoken(account, 2)])
        await #expect(throws: PostgresError.self) {
            try await database.execute("UPDATE usage_events SET usage_parts = '\(json)'")
        }
    }

    /// While a deployment rolls, the schema is new and an instance is old.
    @Test func instancesOfTheReleaseBeforeGoOnSettling() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let outcome = self.spoken(account, 2)
        let balances = try await database.settleAsBefore([outcome])
        #expect(balances.map(\.balance.value) == [998])
        // The same outcome by a new instance is the same outcome.
        let again = try await database.ledger.settle([outcome])
        #expect(again.balances == balances && again.conflicts == 0)
        let poison = outcomes.final(999_999, 1)
        #expect(try await database.settleInPartsAsBefore([poison, outcomes.final(account, 3)]) == "{1}")
        #expect(try await database.balance(account) == 995)
    }

    @Test func anUpgradeKeepsWhatWasThere() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty())
        _ = try await Migrator(Array(Migration.all.prefix(7))).migrate(database.pool)
        let account = try await database.account("user", balance: 1000)
        let (old, estimate) = (outcomes.final(account, 5), outcomes.orphan(account, 9, hold: Outcomes.hold()))
        let before = try await database.settleAsBefore([old, estimate])
        #expect(try await Migrator().migrate(database.pool).applied.first == 8)
        #expect(try await database.ledger.settle([old, estimate]).balances == before)
        _ = try await database.ledger.settle([self.spoken(account, 4, hold: estimate.hold)])
        #expect(try await database.balance(account) == 991)
        #expect(try await self.records(database)[old.hold]?.usage == old.usage)
        // Partitions that are made from now on have the rule too.
        let day: UInt64 = 86_400_000
        let report = try await database.ledger.ensurePartitions(now: Int64(Outcomes.now + day))
        #expect(report.created == 1)
        let rules = try await database.integer(
            """
            SELECT (SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_events'::regclass)
                 - (SELECT count(*) FROM pg_constraint c JOIN pg_inherits i ON i.inhrelid = c.conrelid
                    WHERE i.inhparent = 'usage_events'::regclass AND c.conname = 'usage_events_parts_are_counts')
            """)
        #expect(rules == 0)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// Version 1 of the payload is what journals of the release before hold.
    @Test func outcomesJournaledByTheReleaseBeforeSettle() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let hold = Outcomes.hold()
        let text =
            "1;\(account);\(hold);\(outcomes.owner);1;2;chat;gpt-4o-mini;~;default;openai@2026-11-12/gpt-4o-mini;"
            + "10;3;0;7;1;4;2000000;4;~;req_1;\(hold.millisecondsSinceEpoch)"
        let outcome = try Settlement(decoding: Array(text.utf8))
        #expect(String(decoding: outcome.encode(), as: UTF8.self) == text)
        _ = try await database.ledger.settle([outcome])
        #expect(try await self.records(database)[hold]?.usage == outcome.usage)
        #expect(
            try await database.ledger.settled(among: [.init(account: account, hold: hold)])
                .values.map(\.digest) == [outcome.digest])
    }
}

extension TestDatabase {
    /// As a program without parts of usage settles.
    func settleAsBefore(_ batch: [Settlement]) async throws -> [LedgerBalance] {
        try await self.pool.run { connection in
            var parameters: PostgresParameters = [
                .uuid(PostgresLedger.freshID()), .uuid(PostgresLedger.freshID()),
            ]
            for array in SettlementColumns(batch).arrays.dropLast() { parameters.append(.array(array)) }
            let statement = SettlementColumns.statement.replacing(", $25::jsonb[]", with: "")
            return try connection.run(statement, parameters).rows.map { row in
                try LedgerBalance(
                    account: row.int(0), generation: row.int(3), version: row.int(2),
                    balance: row.millicredits(1))
            }
        }
    }

    /// The same for a batch with poison: the places of the refused rows.
    func settleInPartsAsBefore(_ batch: [Settlement]) async throws -> String {
        try await self.pool.run { connection in
            var parameters = PostgresParameters()
            for array in SettlementColumns(batch).arrays.dropLast() { parameters.append(.array(array)) }
            var payloads = PostgresArray()
            for row in batch { payloads.append(String(decoding: row.encode(), as: UTF8.self)) }
            parameters.append(.array(payloads))
            let statement = SettlementColumns.statementInParts
            let types = statement.split(separator: "settle_in_parts(")[1].split(separator: ")")[0]
            let before = types.split(separator: ",").prefix(22).joined(separator: ",")
            return try connection.run(
                "SELECT o_refused::text FROM settle_in_parts(\(before), $23::text[])", parameters
            ).rows[0].text(0)
        }
    }
}
