import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Lists for people stand behind PgBouncer too, which knows no settings of a session.
@Suite(.serialized) struct ListTests {
    /// The server gives up by itself: a client that only stops to wait leaves its statement running.
    @Test func everyListEndsOnTheServer() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 5)
        var configuration = try PostgresConfiguration(url: database.url)
        configuration.sessionSettings = false
        configuration.lockTimeout = .milliseconds(100)
        let pool = PostgresPool(
            configuration, size: 1, limits: TestDatabase.patient, logger: TestDatabase.logger)
        let ledger = PostgresLedger(pool: pool, logger: TestDatabase.logger)
        let lists: [(String, @Sendable () async throws -> Void)] = [
            ("credit_ledger", { _ = try await ledger.ledger(LedgerQuery(account: account, limit: 1)) }),
            ("credit_ledger", { _ = try await ledger.summary(of: account) }),
            ("usage_events", { _ = try await ledger.usage(UsageQuery(account: account, limit: 1)) }),
            ("package", { _ = try await ledger.packages() }),
            ("purchase", { _ = try await ledger.purchases(PurchaseQuery(limit: 1)) }),
            ("stripe_event", { _ = try await ledger.events(StoredEventQuery(limit: 1)) }),
            ("stripe_event", { _ = try await ledger.event("evt_1") }),
        ]
        for (table, list) in lists {
            try await list()
            let lock = try await OpenTransaction(
                ["LOCK TABLE \(table) IN ACCESS EXCLUSIVE MODE"], on: database)
            do {
                try await list()
                Issue.record("\(table) was read through its lock")
            } catch let error as PostgresError {
                #expect(error.isConcurrency, "\(table): \(error)")
            }
            #expect(await lock.commit())
        }
    }

    @Test func aListHasTheTimeOutOfTheConfiguration() async throws {
        let database = try await TestDatabase.migrated()
        var configuration = try PostgresConfiguration(url: database.url)
        configuration.sessionSettings = false
        let ledger = PostgresLedger(
            pool: PostgresPool(configuration, size: 1, logger: TestDatabase.logger),
            logger: TestDatabase.logger)
        let limits = try await ledger.list { connection in
            let row = try connection.run(
                """
                SELECT current_setting('statement_timeout'), current_setting('transaction_read_only'),
                       current_setting('transaction_isolation')
                """
            ).one()
            return [try row.text(0), try row.text(1), try row.text(2)]
        }
        #expect(limits == ["8s", "on", "repeatable read"])
    }

    /// A summary tells the ledger's generation, and whoever asks first after a fail-over is the one who raises it.
    @Test func aSummaryMayFollowTheLedgersTimeline() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 5)
        let before = try #require(try await database.ledger.summary(of: account)).balance.generation
        try await database.execute("UPDATE ledger_meta SET origin = 'another cluster'")
        let after = try #require(try await database.ledger.summary(of: account)).balance.generation
        #expect(after > before)
    }
}
