import Metering
import Testing

@testable import PostgresLedger

/// Rows that the ledger refuses for good cost one more statement, however many they are, and stop nobody
/// (MONEY_PATH P5).
@Suite(.serialized) struct PoisonTests {
    private let outcomes = Outcomes()
    private static let rows = 512

    /// A full batch of poison is what an upstream with broken figures, or a journal older than the horizon, brings.
    @Test(arguments: [0, 1, 10, 512]) func aBatchTakesAtMostTwoStatements(_ poisoned: Int) async throws {
        let database = try await TestDatabase.migrated(poolSize: 1)
        let account = try await database.account("user", balance: 1_000_000)
        let places = Set((0..<poisoned).map { $0 * Self.rows / max(1, poisoned) })
        let batch = (0..<Self.rows).map { row in
            self.outcomes.final(places.contains(row) ? 999_999 : account, 3)
        }
        let idle = try await self.transactions(of: database)
        let before = try await self.transactions(of: database)
        let started = ContinuousClock.now
        let receipt = try await database.ledger.settle(batch)
        let took = started.duration(to: .now)
        let statements = try await self.transactions(of: database) - before - (before - idle)
        print("\(poisoned) of \(Self.rows) rows are poison: \(statements) statements, \(took)")
        // Room for what the server does by itself; the server may report the last one later.
        #expect(statements <= 8)

        #expect(receipt.quarantined == places.sorted().map { batch[$0].hold })
        let left = 1_000_000 - 3 * Int64(Self.rows - poisoned)
        #expect(try await database.balance(account) == left)
        #expect(receipt.balances.map(\.balance.value) == (poisoned == Self.rows ? [] : [left]))
        // Again, as after an unknown commit: nothing changes.
        let again = try await database.ledger.settle(batch)
        #expect(again == receipt)
        let waiting = try await database.integer("SELECT count(*) FROM settlement_quarantine")
        #expect(waiting == Int64(poisoned))
        #expect(try await database.verifier.verify().filter { $0.severity == .violation }.isEmpty)
    }

    /// Each row in quarantine has its own reason.
    @Test func everyRefusedRowHasItsReason() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let old = Outcomes.hold(at: Outcomes.now - 36 * 86_400_000)
        let poison = [
            (self.outcomes.final(999_999, 5), "23502"), (self.outcomes.final(account, 5, hold: old), "22008"),
            (self.outcomes.final(account, 5, output: -100), "23514"),
        ]
        _ = try await database.ledger.settle([self.outcomes.final(account, 1)] + poison.map(\.0))
        let reasons = try await database.pool.run { connection in
            try connection.run("SELECT hold_id, sql_state FROM settlement_quarantine").rows.map {
                (try $0.uuid(0), try $0.text(1))
            }
        }
        #expect(
            Dictionary(uniqueKeysWithValues: reasons)
                == Dictionary(uniqueKeysWithValues: poison.map { ($0.0.hold, $0.1) }))
    }

    /// A row among poison that fails for a reason that passes must not end in quarantine: nothing of the batch happens.
    @Test(arguments: ["40001", "40P01", "08006", "57014", "57P01", "53200", "42703", "P0001"])
    func whatMayPassIsNeverTakenForPoison(_ code: String) async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let ill = self.outcomes.final(account, 7)
        try await database.execute(
            """
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'ill' USING ERRCODE = '\(code)'; END $$;
            CREATE TRIGGER ill BEFORE INSERT ON usage_events FOR EACH ROW
            WHEN (NEW.hold_id = '\(ill.hold)') EXECUTE FUNCTION fail();
            """)
        // The horizon is looked at before anything is written: the whole batch fails for the poison.
        let old = Outcomes.hold(at: Outcomes.now - 36 * 86_400_000)
        let batch = [
            self.outcomes.final(account, 5, hold: old), self.outcomes.final(account, 2), ill,
        ]
        await #expect(throws: PostgresError.self) { try await database.ledger.settle(batch) }
        #expect(try await database.integer("SELECT count(*) FROM settlement_quarantine") == 0)
        #expect(try await database.balance(account) == 1000)
        try await database.execute("DROP TRIGGER ill ON usage_events")
        let receipt = try await database.ledger.settle(batch)
        #expect(receipt.quarantined == [batch[0].hold])
        #expect(try await database.balance(account) == 991)
    }

    /// Two settlers with poison in their batches and accounts in opposite order wait for each other, and no more.
    @Test func partsOfTwoBatchesDoNotDeadlock() async throws {
        let database = try await TestDatabase.migrated(poolSize: 2)
        var accounts: [AccountID] = []
        for number in 0..<8 { accounts.append(try await database.account("user\(number)", balance: 1000)) }
        let forth = accounts.map { self.outcomes.final($0, 1) } + [self.outcomes.final(999_999, 1)]
        let back = [self.outcomes.final(999_998, 1)] + accounts.reversed().map { self.outcomes.final($0, 1) }
        try await withThrowingTaskGroup { group in
            for batch in [forth, back] {
                group.addTask { for _ in 0..<20 { _ = try await database.ledger.settle(batch) } }
            }
            try await group.waitForAll()
        }
        for account in accounts { #expect(try await database.balance(account) == 998) }
        #expect(try await database.integer("SELECT count(*) FROM settlement_quarantine") == 2)
    }

    /// Data and constraints are the row's fault; anything else may pass when it is sent again.
    @Test(arguments: [
        ("22003", true), ("22008", true), ("22P02", true), ("23502", true), ("23503", true), ("23505", true),
        ("23514", true), ("40001", false), ("40P01", false), ("55P03", false), ("57014", false),
        ("57P01", false), ("53300", false), ("08006", false), ("42501", false), ("42703", false),
        ("25006", false), ("XX000", false), ("TG001", false), ("TG404", false), ("02000", false),
        ("21000", false), ("2200", true), ("2", false), ("", false),
    ])
    func onlyClasses22And23ArePoison(_ code: String, _ isPoison: Bool) {
        #expect(
            PostgresError.refused(SQLState(code), constraint: nil, message: "").isPoison == isPoison)
        #expect(!PostgresError.unreachable(.timedOut).isPoison)
        #expect(!PostgresError.unexpectedResult("").isPoison)
    }

    /// Every autocommit statement is one. A session reports its own when it is told to.
    private func transactions(of database: TestDatabase) async throws -> Int64 {
        try await database.pool.run { connection in
            try connection.run("SELECT pg_stat_force_next_flush()")
            return try connection.run(
                "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
            ).one().int(0)
        }
    }
}
