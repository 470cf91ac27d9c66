import Metering
import Testing

@testable import PostgresLedger

@Suite(.serialized) struct BillingReadTests {
    @Test func thePackagesAreThoseOfTheContract() async throws {
        let database = try await TestDatabase.migrated()
        let packages = try await database.ledger.packages()
        #expect(packages.map(\.code) == ["starter", "professional", "enterprise"])
        #expect(packages.map(\.priceUSDCents) == [999, 4999, 9999])
        #expect(packages.map(\.credits) == [9990, 52490, 109_990])
        #expect(packages.map(\.bonusCredits) == [0, 2500, 10000])
    }

    @Test func theSummaryShowsTheNewestTenAsTheyCount() async throws {
        let database = try await TestDatabase.migrated()
        let outcomes = Outcomes()
        let account = try await database.account("user", balance: 1000)
        let corrected = Outcomes.hold(at: Outcomes.now + 600_000)
        for _ in 0..<12 { _ = try await database.ledger.settle([outcomes.final(account, 1)]) }
        _ = try await database.ledger.settle([outcomes.orphan(account, 50, hold: corrected)])
        _ = try await database.ledger.settle([outcomes.final(account, 8, hold: corrected)])
        let summary = try #require(try await database.ledger.summary(of: account))
        #expect(summary.balance.balance == Millicredits(1000 - 12 - 8))
        #expect(summary.recentLedger.count == 10)
        #expect(summary.recentLedger.map(\.version) == Array((6...15).reversed()))
        #expect(summary.recentLedger[0].amount == Millicredits(42))
        #expect(summary.recentLedger[0].balanceAfter == summary.balance.balance)
        #expect(summary.recentUsage.count == 10)
        #expect(summary.recentUsage[0].hold == corrected)
        #expect(summary.recentUsage[0].charged == Millicredits(8))
        #expect(summary.recentUsage[0].kind == "final")
        #expect(try await database.ledger.summary(of: 4711) == nil)
    }

    /// The default must not be noticed by a card that was never applied, nor a price change before its time.
    @Test func theCardInForceIsTheLastToTakeEffect() async throws {
        let database = try await TestDatabase.migrated()
        let ledger = database.ledger
        let now = Int64(Outcomes.now)
        func apply(_ version: String, _ from: Int64, _ body: String) async throws -> RateCardApplied {
            try await ledger.applyRateCard(
                card: "openai", version: version, effectiveFrom: from, body: body, by: "test")
        }
        #expect(try await ledger.activeRateCard() == nil)
        #expect(try await apply("1", now - 1_000_000, "one") == .applied)
        #expect(try await apply("1", now - 1_000_000, "one") == .unchanged)
        await #expect(throws: RateCardFailure.versionTaken) { _ = try await apply("1", now, "other") }
        #expect(try await apply("2", now + 3_600_000, "two") == .applied)
        #expect(try await ledger.activeRateCard()?.body == "one")
        #expect(try await ledger.activeRateCard(at: now + 3_700_000)?.version == "2")
        // A past date takes effect when it is applied, and supersedes what was in force.
        #expect(try await apply("0", now - 9_000_000, "zero") == .applied)
        #expect(try await ledger.activeRateCard()?.version == "0")
        #expect(try await ledger.rateCards().map(\.version) == ["2", "0", "1"])
        await #expect(throws: PostgresError.self) {
            try await database.execute("UPDATE rate_card SET body = 'x'")
        }
    }

    @Test func accountsAreListedInPagesAndChangedByGate() async throws {
        let database = try await TestDatabase.migrated()
        for number in 0..<5 { _ = try await database.account("user\(number)", balance: Int64(number)) }
        let first = try await database.book.list(limit: 3)
        let rest = try await database.book.list(after: first[2].account, limit: 3)
        #expect((first + rest).map(\.userID) == (0..<5).map { "user\($0)" })
        let account = first[0].account
        let gate = try await database.book.setGate(of: account, floor: Millicredits(-7), status: .suspended)
        let shown = try #require(try await database.book.account(account))
        #expect(shown.gate == gate && gate.blocked && shown.status == .suspended)
        let active = try await database.book.setGate(of: account, status: .active)
        #expect(active == AccountGate(account: account, version: 3, floor: Millicredits(-7), blocked: false))
        await #expect(throws: AccountBook.Failure.noSuchAccount) { try await database.book.setGate(of: 4711) }
        #expect(try await database.book.account(userID: "nobody") == nil)
        #expect(try await database.verifier.verify().isEmpty)
    }
}
