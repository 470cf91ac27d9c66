import Metering
import Testing

@testable import PostgresLedger

/// Pages of an account's exchanges: the newest days are asked first and alone.
@Suite(.serialized) struct UsagePageTests {
    private static let day: Int64 = 86_400_000

    /// A ledger of 35 days and the holds of one account in it, newest first.
    private static func ledger(_ daysBack: [Double]) async throws -> (TestDatabase, AccountID, [HoldID]) {
        let database = try await TestDatabase.migrated()
        for back in [10, 34] as [Int64] {
            _ = try await database.ledger.ensurePartitions(now: Int64(Outcomes.now) - back * Self.day)
        }
        let account = try await database.account("user", balance: 1_000_000)
        let outcomes = Outcomes()
        let holds = daysBack.map {
            Outcomes.hold(at: UInt64(Int64(Outcomes.now) - Int64($0 * Double(Self.day))))
        }
        _ = try await database.ledger.settle(holds.map { outcomes.final(account, 5, hold: $0) })
        let other = try await database.account("other", balance: 1_000_000)
        _ = try await database.ledger.settle([outcomes.final(other, 5)])
        return (database, account, holds.sorted().reversed())
    }

    @Test func everyPageIsThatOfTheWholeList() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let (database, account, holds) = try await Self.ledger(
            (0..<60).map { _ in
                Bool.random(using: &random)
                    ? .random(in: 0...4, using: &random) : .random(in: -0.9...34, using: &random)
            })
        let now = Int64(Outcomes.now)
        func moment() -> Int64? {
            Bool.random(using: &random)
                ? nil : now - Int64(Double.random(in: -1...36, using: &random) * Double(Self.day))
        }
        for _ in 0..<200 {
            let query = UsageQuery(
                account: account, from: moment(), to: moment(),
                before: Bool.random(using: &random) ? nil : holds.randomElement(using: &random),
                limit: .random(in: 1...70, using: &random))
            let expected = holds.filter { hold in
                let at = Int64(hold.millisecondsSinceEpoch)
                return at >= query.from ?? 0 && at < query.to ?? .max
                    && query.before.map { hold < $0 } ?? true
            }.prefix(Int(query.limit))
            #expect(
                try await database.ledger.usage(query).map(\.hold) == Array(expected),
                "seed \(seed): \(query)")
        }
    }

    /// The page that everybody looks at must not cost more with each day of the ledger: two days back and two ahead are
    /// asked, then 32 back, then all.
    @Test(arguments: [(10, 4...6), (11, 33...37), (12, 39...45)] as [(Int64, ClosedRange<Int64>)])
    func theNewestPageTouchesFewDays(limit: Int64, touched: ClosedRange<Int64>) async throws {
        let (database, account, holds) = try await Self.ledger((0..<10).map { 0.01 * Double($0) } + [20])
        let (found, days) = try await database.pool.run { connection in
            try connection.transaction { connection in
                let query = UsageQuery(account: account, limit: limit)
                let found = try PostgresLedger.usage(query, on: connection)
                return (found.map(\.hold), try connection.usageDaysLocked())
            }
        }
        #expect(found == Array(holds.prefix(Int(limit))))
        #expect(touched.contains(days), "\(days)")
    }
}

extension PostgresConnection {
    /// Day partitions that the transaction has locked: those that its statements were planned for.
    func usageDaysLocked() throws -> Int64 {
        try self.run(
            """
            SELECT count(DISTINCT l.relation) FROM pg_locks l JOIN pg_inherits i ON i.inhrelid = l.relation
            WHERE l.pid = pg_backend_pid() AND i.inhparent = 'usage_events'::regclass
            """
        ).one().int(0)
    }
}
