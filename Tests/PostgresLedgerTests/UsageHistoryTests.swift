import Metering
import Testing

@testable import PostgresLedger

/// History is read in pages: every exchange once, as it counts.
@Suite(.serialized) struct UsageHistoryTests {
    let outcomes = Outcomes()
    static let day: UInt64 = 86_400_000

    @Test(arguments: [1, 2, 3, 1000] as [Int64])
    func everyExchangeIsInOnePage(pageRows: Int64) async throws {
        let database = try await TestDatabase.migrated()
        var expected: [HoldID: Int64] = [:]
        for (number, user) in ["a", "b", "c"].enumerated() {
            let account = try await database.account(user, balance: 1000)
            for age in [0, 0, 0, 1, 1, 3] as [UInt64] {
                let outcome = outcomes.final(
                    account, Int64(number + 1), hold: Outcomes.hold(at: Outcomes.now - age * Self.day))
                _ = try await database.ledger.settle([outcome])
                expected[outcome.hold] = Int64(number + 1)
            }
            let corrected = Outcomes.hold(at: Outcomes.now - Self.day)
            _ = try await database.ledger.settle([outcomes.orphan(account, 50, hold: corrected)])
            _ = try await database.ledger.settle([outcomes.final(account, 7, hold: corrected)])
            expected[corrected] = 7
        }
        let records = try await database.ledger.foldUsage(into: [UsageRecord](), pageRows: pageRows) {
            all, page in
            #expect(!page.isEmpty && page.count <= pageRows)
            all += page
        }
        #expect(records.count == expected.count)
        #expect(Dictionary(uniqueKeysWithValues: records.map { ($0.hold, $0.charged.value) }) == expected)
        #expect(Set(records.map(\.user)) == ["a", "b", "c"])
        #expect(records.allSatisfy { $0.kind == .final && $0.endpoint == .chat && $0.tier == .default })
    }

    @Test func timesBoundIt() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let now = Outcomes.now
        for (amount, age) in [(1, 0), (2, 1), (3, 2), (4, 3)] as [(Int64, UInt64)] {
            let hold = Outcomes.hold(at: now - age * Self.day)
            _ = try await database.ledger.settle([outcomes.final(account, amount, hold: hold)])
        }
        func amounts(_ from: UInt64?, _ to: UInt64?) async throws -> Set<Int64> {
            try await database.ledger.foldUsage(
                from: from.map(Int64.init), to: to.map(Int64.init), into: Set<Int64>()
            ) { amounts, page in amounts.formUnion(page.map(\.charged.value)) }
        }
        #expect(try await amounts(nil, nil) == [1, 2, 3, 4])
        #expect(try await amounts(now - 2 * Self.day, now - Self.day) == [3], "from, and before to")
        #expect(try await amounts(now - 90 * Self.day, nil) == [1, 2, 3, 4])
        #expect(try await amounts(now + Self.day, nil) == [])
        #expect(try await amounts(nil, now - 30 * Self.day) == [])
    }

    /// What has no partition is history, too, and is found without a look at every row.
    @Test func rowsOutsideThePartitionsAreRead() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let old = outcomes.final(account, 5, hold: Outcomes.hold(at: Outcomes.now - 20 * Self.day))
        let today = outcomes.final(account, 6)
        _ = try await database.ledger.settle([old, today])
        #expect(try await database.integer("SELECT count(*) FROM usage_events_default") == 1)
        let amounts = try await database.ledger.foldUsage(into: [Int64]()) { $0 += $1.map(\.charged.value) }
        #expect(amounts == [5, 6])
    }

    @Test func anUnknownPartIsTold() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        _ = try await database.ledger.settle([outcomes.final(account, 5)])
        try await database.execute("UPDATE usage_events SET usage_parts = '{\"smells\": 3}'")
        let records = try await database.ledger.foldUsage(into: [UsageRecord]()) { $0 += $1 }
        #expect(records.map(\.hasUnknownParts) == [true] && records[0].usage == nil)
    }

    @Test func anEmptyLedgerHasNoHistory() async throws {
        let database = try await TestDatabase.migrated()
        #expect(try await database.ledger.foldUsage(into: 0) { count, page in count += page.count } == 0)
    }

    @Test func anAccountsPagesFollowEachOther() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let other = try await database.account("other", balance: 1000)
        var batch = (1...7).map { outcomes.final(account, $0, model: $0 % 2 == 0 ? "even" : "odd") }
        batch.append(outcomes.final(other, 99))
        _ = try await database.ledger.settle(batch)
        var query = UsageQuery(account: account, limit: 3)
        var seen: [HoldID] = []
        while true {
            let page = try await database.ledger.usage(query)
            seen += page.map(\.hold)
            guard let last = page.last else { break }
            query.before = last.hold
        }
        #expect(seen == batch.dropLast().map(\.hold).sorted().reversed())
        let even = try await database.ledger.usage(.init(account: account, model: "even", limit: 10))
        #expect(even.map(\.charged.value).sorted() == [2, 4, 6])
        let hour: Int64 = 3_600_000
        let later = UsageQuery(account: account, from: Int64(Outcomes.now) + hour, limit: 10)
        #expect(try await database.ledger.usage(later).isEmpty)
        let earlier = UsageQuery(account: account, to: Int64(Outcomes.now) - hour, limit: 10)
        #expect(try await database.ledger.usage(earlier).isEmpty)
    }
}
