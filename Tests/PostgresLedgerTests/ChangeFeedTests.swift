import Metering
import Synchronization
import Testing

@testable import PostgresLedger

@Suite(.serialized) struct ChangeFeedTests {
    /// Runs a feed and collects what it says.
    private func feeding(
        _ database: TestDatabase,
        _ body: (ChangeFeed, Collected<(LedgerBalance, AccountGate)>) async throws -> Void
    ) async throws {
        let configuration = try PostgresConfiguration(url: database.url, applicationName: "feed test")
        let feed = ChangeFeed(configuration, logger: TestDatabase.logger, directoryChanged: {})
        let seen = Collected<(LedgerBalance, AccountGate)>()
        try await withThrowingTaskGroup { group in
            group.addTask { await feed.run() }
            group.addTask { for await change in feed.changes { seen.add(change) } }
            #expect(await eventually { feed.connectionCount == 1 })
            try await body(feed, seen)
            group.cancelAll()
        }
    }

    @Test func grantsAndGatesArrive() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user")
        try await self.feeding(database) { _, seen in
            let grant = Grant(
                account: account, amount: Millicredits(500), kind: .trial, sourceRef: "k", reason: "test")
            let balance = try await database.ledger.grant(grant).balance
            #expect(await eventually { seen.all.contains { $0.0 == balance } })
            let gate = try await database.book.setGate(
                of: account, floor: Millicredits(-5), status: .suspended)
            #expect(gate.blocked)
            #expect(await eventually { seen.all.contains { $0.1 == gate } })
        }
    }

    /// Settlement happens thousands of times a second; the settler tells the store itself (rule P8).
    @Test func settlementSendsNoNotify() async throws {
        let database = try await TestDatabase.migrated()
        let (account, other) = (try await database.account("user"), try await database.account("other"))
        try await self.feeding(database) { _, seen in
            let settled = try await database.ledger.settle([Outcomes().final(account, 5)]).balances[0]
            let gate = try await database.book.setGate(of: other, floor: .zero)
            #expect(await eventually { seen.all.contains { $0.1 == gate } })
            #expect(!seen.all.contains { $0.0 == settled })
        }
    }

    /// NOTIFY is lost while nobody listens: after a reconnection the feed reads what it missed.
    @Test func whatHappenedWhileDisconnectedIsCaughtUp() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user")
        try await self.feeding(database) { feed, seen in
            // In one statement, so that the listener is gone when the change commits.
            try await database.execute(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name =
                    'feed test listener';
                SELECT pg_sleep(0.05);
                SELECT * FROM grant_credits(gen_random_uuid(), \(account), 700, 'trial', 'k', 'test', 0);
                """)
            #expect(await eventually { seen.all.contains { $0.0.balance == Millicredits(700) } })
            #expect(feed.connectionCount == 2)
        }
    }

    @Test func cancellingEndsTheFeed() async throws {
        let database = try await TestDatabase.migrated()
        try await self.feeding(database) { _, _ in }
        let gone = try await eventually {
            try await database.integer(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'feed test listener'"
                    + " AND datname = current_database()") == 0
        }
        #expect(gone)
    }
}
