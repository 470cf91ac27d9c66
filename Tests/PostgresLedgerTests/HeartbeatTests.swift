import Metering
import Testing

@testable import PostgresLedger

/// What decides who is dead, and whether this machine's clock may make ids.
@Suite(.serialized) struct HeartbeatTests {
    @Test func aHeartbeatCountsAndSeesAllPeers() async throws {
        let database = try await TestDatabase.migrated()
        let (mine, peer) = (PostgresLedger.freshID(), PostgresLedger.freshID())
        let first = try await database.ledger.heartbeat(mine, hostname: "host")
        #expect(first.counters == [mine: 1])
        #expect(try await database.ledger.heartbeat(peer, hostname: "peer").counters == [mine: 1, peer: 1])
        let third = try await database.ledger.heartbeat(mine, hostname: "host")
        let now = Int64(Outcomes.now)
        #expect(third.counters == [mine: 2, peer: 1])
        #expect(third.position.generation == (try await database.ledger.checkGeneration()))
        #expect(third.position.origin == first.position.origin && third.position.timeline == 1)
        // These stores commit without waiting for the disk, so it is some later beat that sees it.
        var flushed = third.position.flushed
        for _ in 0..<10_000 where flushed <= first.position.flushed {
            flushed = try await database.ledger.heartbeat(mine, hostname: "host").position.flushed
        }
        #expect(flushed > first.position.flushed)
        #expect(abs(third.databaseMilliseconds - now) < 5000)
    }

    /// Nobody has to sweep, and a run that comes back after a week is there again.
    @Test func runsThatWereSilentForAWeekAreForgotten() async throws {
        let database = try await TestDatabase.migrated()
        let boots = (0..<4).map { _ in PostgresLedger.freshID() }
        for boot in boots { _ = try await database.ledger.heartbeat(boot, hostname: "host") }
        for (boot, age) in zip(boots, ["6 days 23 hours", "7 days 1 minute", "8 days", "30 days"]) {
            try await database.execute(
                """
                UPDATE proxy_instance SET heartbeat_at = now() - interval '\(age)' WHERE boot_id = '\(boot)'
                """)
        }
        let seen = try await database.ledger.heartbeat(boots[3], hostname: "host")
        #expect(seen.counters == [boots[0]: 1, boots[3]: 2])
        #expect(try await database.integer("SELECT count(*) FROM proxy_instance") == 2)
        #expect(try await database.ledger.heartbeat(boots[1], hostname: "host").counters.count == 3)
    }

    /// The purge must not wait for a row that its owner moves at that moment, nor take it away.
    @Test func aRunThatWakesUpIsNotPurged() async throws {
        let database = try await TestDatabase.migrated()
        let (mine, sleeper) = (PostgresLedger.freshID(), PostgresLedger.freshID())
        _ = try await database.ledger.heartbeat(sleeper, hostname: "host")
        try await database.execute("UPDATE proxy_instance SET heartbeat_at = now() - interval '9 days'")
        let other = try await OpenTransaction(
            ["UPDATE proxy_instance SET heartbeat = heartbeat + 1, heartbeat_at = now()"], on: database)
        let seen = try await database.ledger.heartbeat(mine, hostname: "host")
        #expect(seen.counters == [mine: 1])
        #expect(await other.commit())
        let again = try await database.ledger.heartbeat(mine, hostname: "host")
        #expect(again.counters == [mine: 2, sleeper: 2])
    }

    /// Every instance beats, and every one purges: at the same time too.
    @Test func manyBeatsAtOnceCountEach() async throws {
        let database = try await TestDatabase.migrated(poolSize: 6)
        let boots = (0..<6).map { _ in PostgresLedger.freshID() }
        for _ in 0..<20 { _ = try await database.ledger.heartbeat(PostgresLedger.freshID(), hostname: "old") }
        try await database.execute("UPDATE proxy_instance SET heartbeat_at = now() - interval '9 days'")
        try await withThrowingTaskGroup { group in
            for boot in boots {
                group.addTask {
                    for _ in 0..<20 { _ = try await database.ledger.heartbeat(boot, hostname: "host") }
                }
            }
            try await group.waitForAll()
        }
        let seen = try await database.ledger.heartbeat(boots[0], hostname: "host")
        #expect(seen.counters.count == 6)
        #expect(seen.counters[boots[5]] == 20 && seen.counters[boots[0]] == 21)
    }
}
