import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Sums over days, as the console's dashboards show them.
@Suite(.serialized) struct DashboardTests {
    @Test func daysAddUpToWhatIsOwed() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        _ = try await database.ledger.settle([Outcomes().final(account, 4_995_000)])
        _ = try await database.ledger.keepBooks()
        // The purchase was yesterday, in the ledger.
        try await database.execute(
            """
            SET session_replication_role = replica;
            UPDATE credit_ledger SET created_at = created_at - interval '1 day' WHERE type = 'purchase';
            RESET session_replication_role
            """)
        let days = try await database.ledger.financeDays(30)
        #expect(days.count == 30)
        let (today, yesterday, before) = (days[29], days[28], days[27])
        #expect(today.deductions == 4_995_000 && today.purchases == 0 && today.liability == 4_995_000)
        #expect(yesterday.purchases == 9_990_000 && yesterday.liability == 9_990_000)
        #expect(before.liability == 0 && before.deferredRevenue == 0)
        let figures = try await database.ledger.financeFigures()
        #expect(today.deferredRevenue == figures.liability.deferredRevenue)
        #expect(days.reduce(0) { $0 + $1.revenue } == -figures.trial[.usageRevenue])
        #expect(days.reduce(0) { $0 + $1.cost } == figures.trial[.openAICost])
    }

    @Test func modelsAndCheckoutsAreCounted() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        let outcomes = Outcomes()
        _ = try await database.ledger.settle([outcomes.final(account, 100), outcomes.final(account, 200)])
        let models = try await database.ledger.topModels(limit: 5)
        #expect(models.count == 1 && models.first?.exchanges == 2 && models.first?.charged == 300)
        let days = try await database.ledger.checkoutDays(7)
        #expect(days.count == 7)
        #expect(days.reduce(0) { $0 + $1.paid } == 1 && days.reduce(0) { $0 + $1.started } == 1)
        #expect(days[6].events == 1 && days[6].deadEvents == 0)
    }
}
