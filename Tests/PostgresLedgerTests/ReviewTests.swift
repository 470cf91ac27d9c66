import Billing
import Metering
import Testing

@testable import PostgresLedger

@Suite(.serialized) struct ReviewTests {
    private let note = ChangeNote(actor: "cli:test", reason: "a launch")

    /// An account that spent `today` now and `before` on each of the seven days before, in credits.
    private func account(
        _ database: TestDatabase, _ user: String, today: Int64, before: Int64
    ) async throws -> AccountID {
        let account = try await database.account(user, balance: 1_000_000_000)
        try await database.execute(
            "UPDATE account SET created_at = now() - interval '30 days' WHERE account_id = \(account)")
        _ = try await database.ledger.settle([Outcomes().final(account, today * 1000)])
        guard before > 0 else { return account }
        try await database.execute(
            """
            INSERT INTO credit_ledger (account_id, version, transaction_id, user_id, type, amount_millicredits,
                balance_after_millicredits, reference_type, reference_id, created_at)
            SELECT l.account_id, 1000 + n, l.transaction_id, l.user_id, 'deduction', -\(before) * 1000, 0, 'test', 'test',
                   date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - n * interval '1 day' + interval '1 hour'
            FROM credit_ledger l, generate_series(1, 8) n WHERE l.account_id = \(account) AND l.version = 2
            """)
        return account
    }

    @Test func whoSpendsManyTimesTheMeanIsFlaggedOnce() async throws {
        let database = try await TestDatabase.migrated()
        let odd = try await self.account(database, "odd", today: 50_001, before: 10_000)
        _ = try await self.account(database, "usual", today: 50_000, before: 10_000)
        _ = try await self.account(database, "small", today: 4_999, before: 0)
        let rule = AnomalyRule(multiplier: 5)
        #expect(try await database.ledger.flagAnomalies(rule) == 1)
        #expect(try await database.ledger.flagAnomalies(rule) == 0)
        #expect(try await database.ledger.openReviewCount() == 1)
        let reviews = try await ReviewBook(pool: database.pool).reviews(.open, limit: 10)
        #expect(reviews.map(\.account) == [odd] && reviews.map(\.user) == ["odd"])
        #expect(
            reviews.first?.spent == Millicredits(50_001_000)
                && reviews.first?.mean == Millicredits(10_000_000))
        #expect(reviews.first?.decision == nil)
        #expect(try await database.book.account(odd)?.status == .active)
    }

    @Test func aDecisionIsKeptAndAudited() async throws {
        let database = try await TestDatabase.migrated()
        let desk = ReviewBook(pool: database.pool)
        let (one, other) = (
            try await self.account(database, "one", today: 9_000, before: 100),
            try await self.account(database, "other", today: 9_000, before: 100)
        )
        _ = try await database.ledger.flagAnomalies(AnomalyRule(multiplier: 5))
        let cleared = try await desk.clearReview(of: "one", seen: nil, self.note)
        #expect(cleared.state == .cleared && cleared.decision?.actor == "cli:test")
        let suspended = try await desk.suspendReviewed("other", seen: nil, self.note)
        #expect(suspended.state == .suspended)
        #expect(try await database.book.account(one)?.status == .active)
        #expect(try await database.book.account(other)?.status == .suspended)
        await #expect(throws: ReviewRefusal.noOpenReview) {
            try await desk.clearReview(of: "one", seen: nil, self.note)
        }
        #expect(try await database.ledger.flagAnomalies(AnomalyRule(multiplier: 5)) == 0)
        let entries = try await database.text(
            "SELECT string_agg(action || ' ' || subject || ' ' || reason, '; ' ORDER BY entry_id) FROM audit_log"
        )
        #expect(entries == "review.clear account:one a launch; account.change account:other a launch")
    }

    /// Two people look at one review, and by the time the second decides, another one was opened.
    @Test func aDecisionOfAnEarlierReviewChangesNothingOfALaterOne() async throws {
        let database = try await TestDatabase.migrated()
        let desk = ReviewBook(pool: database.pool)
        let account = try await database.account("user", balance: 10)
        func open(_ day: String) async throws -> Int64 {
            try await database.execute(
                """
                INSERT INTO account_review (account_id, day, spent_millicredits, mean_millicredits, multiplier)
                VALUES (\(account), \(day), 10, 1, 5)
                """)
            return try #require(try await desk.reviews(.open, limit: 1).first).id
        }
        let first = try await open("current_date - 1")
        #expect(try await desk.clearReview(of: "user", seen: first, self.note).id == first)
        let second = try await open("current_date")
        await #expect(throws: ReviewRefusal.anotherIsOpen) {
            try await desk.suspendReviewed("user", seen: first, self.note)
        }
        await #expect(throws: ReviewRefusal.anotherIsOpen) {
            try await desk.clearReview(of: "user", seen: first, self.note)
        }
        #expect(try await desk.reviews(.open, limit: 10).map(\.id) == [second])
        #expect(try await database.book.account(account)?.status == .active)
        #expect(try await database.text("SELECT count(*)::text FROM audit_log") == "1")
        #expect(try await desk.suspendReviewed("user", seen: second, self.note).id == second)
        await #expect(throws: ReviewRefusal.noOpenReview) {
            try await desk.clearReview(of: "user", seen: second, self.note)
        }
    }
}
