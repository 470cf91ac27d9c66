import Metering
import Testing

@testable import PostgresLedger

/// Two settlers, two batches that name the same accounts in opposite order.
@Suite(.serialized) struct SettleLockOrderTests {
    private static let order = "ORDER BY b.account_id FOR NO KEY UPDATE"

    /// Both wait on the first account: one after the other.
    @Test func crossedBatchesTakeTurns() async throws {
        #expect(try await self.run(.none) == [nil, nil])
    }

    /// Locked in the order of the batch, each has what the other one needs.
    @Test func withoutTheSortedLockCrossedBatchesDeadlock() async throws {
        let batchOrder = SettleMutation(replacing: [
            (Self.order, "ORDER BY array_position(p_account, b.account_id) FOR NO KEY UPDATE")
        ])
        #expect(try await self.run(batchOrder).compactMap(\.self) == [SQLState("40P01")])
    }

    /// What each of two crossed batches ended with, one attempt each.
    ///
    /// A third session holds the account in the middle until both wait, so the crossing happens every time: in the
    /// order of its batch, the first settler then has A and waits to have B, and the second has B and waits behind it.
    private func run(_ mutation: SettleMutation) async throws -> [SQLState?] {
        let database = try await MutatedLedger(mutation).database
        try await database.letsFunctionsWait()
        let (first, middle, last) = (
            try await database.account("a", balance: 100), try await database.account("b", balance: 100),
            try await database.account("c", balance: 100)
        )
        let blocker = try await OpenTransaction(
            ["SELECT 1 FROM credit_balance WHERE account_id = \(middle) FOR NO KEY UPDATE"], on: database)
        let observer = try TestDatabase(url: database.url, poolSize: 1)
        var settlers: [Task<SQLState?, any Error>] = []
        for (waiting, order) in [(Int64(1), [first, middle, last]), (2, [last, middle, first])] {
            let batch = order.map { Outcomes().final($0, 1) }
            // SAFETY: awaited below; both must run while this task looks on.
            settlers.append(Task { try await Self.attempt(batch, on: database) })
            #expect(try await eventually { try await Self.waiting(observer) == waiting })
        }
        #expect(await blocker.commit())
        var ends: [SQLState?] = []
        for settler in settlers { ends.append(try await settler.value) }
        return ends
    }

    /// Sessions of this database that wait for a lock.
    private static func waiting(_ database: TestDatabase) async throws -> Int64 {
        try await database.integer(
            """
            SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
            """)
    }

    /// The bare statement, with time enough for the server to see the deadlock, and without the retry.
    private static func attempt(_ batch: [Settlement], on database: TestDatabase) async throws -> SQLState? {
        try await database.pool.run { connection in
            try connection.run(
                "SELECT set_config('deadlock_timeout', '100ms', false), set_config('statement_timeout', '60s', false)"
            )
            var parameters: PostgresParameters = [
                .uuid(PostgresLedger.freshID()), .uuid(PostgresLedger.freshID()),
            ]
            for array in SettlementColumns(batch).arrays { parameters.append(.array(array)) }
            do throws(PostgresError) {
                try connection.run(SettlementColumns.statement, parameters, timeout: .seconds(60))
                return nil
            } catch {
                return error.sqlState ?? SQLState("none")
            }
        }
    }
}
