import Metering
import Testing

@testable import PostgresLedger

/// A ledger whose past changed says so once, to everybody (MONEY_PATH B8).
@Suite(.serialized) struct GenerationTests {
    private func generation(_ database: TestDatabase) async throws -> Int64 {
        try await database.ledger.checkGeneration()
    }

    @Test func aQuietLedgerKeepsItsGeneration() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty())
        _ = try await Migrator().migrate(database.pool)
        for _ in 0..<3 { #expect(try await self.generation(database) == 1) }
    }

    @Test func manyInstancesThatNoticeTogetherRaiseItOnce() async throws {
        let database = try await TestDatabase.migrated(poolSize: 8)
        let account = try await database.account("user", balance: 100)
        let before = try await self.generation(database)
        try await database.execute("UPDATE ledger_meta SET timeline = '000000AA'")
        let seen = try await withThrowingTaskGroup { group in
            for number in 0..<40 {
                group.addTask {
                    switch number % 4 {
                    case 0: return try await database.ledger.checkGeneration()
                    case 1:
                        return try await database.ledger
                            .heartbeat(PostgresLedger.freshID(), hostname: "h").position.generation
                    case 2:
                        return try await database.pool.run {
                            try SnapshotStatement.run([(account, []), (account, [])], on: $0)[1]?
                                .balance.generation ?? 0
                        }
                    default:
                        return try await database.ledger.settle([Outcomes().void(account)])
                            .balances[0].generation
                    }
                }
            }
            return try await group.reduce(into: Set<Int64>()) { $0.insert($1) }
        }
        #expect(seen.count == 1)
        #expect(try #require(seen.first) > before)
        // Unix milliseconds, so that it is above any generation that was lost with the past.
        #expect(try abs(#require(seen.first) - Int64(Outcomes.now)) < 60_000)
        #expect(try await self.generation(database) == seen.first)
    }

    /// A clock that was set back does not stop it from rising.
    @Test func itRisesEvenAgainstTheClock() async throws {
        let database = try await TestDatabase.migrated()
        let future = Int64(Outcomes.now) + 1_000_000_000
        _ = try await self.generation(database)
        try await database.execute("UPDATE ledger_meta SET generation = \(future), timeline = '000000AA'")
        #expect(try await self.generation(database) == future + 1)
        #expect(try await self.generation(database) == future + 1)
    }

    /// The timeline of a dump that is read in again is the cluster's own: only the place tells.
    @Test func aCopyOfTheDatabaseIsOfAnotherGeneration() async throws {
        let original = try await TestDatabase.migrated()
        let generation = try await self.generation(original)
        let name = try await original.pool.run {
            try $0.run("SELECT current_database()").one().text(0)
        }
        // The other connections of this database end a moment later; it can be copied when nobody is in it.
        original.pool.shutDownAndWait()
        var url: String?
        _ = await eventually {
            url = try? await TestServer.freshDatabase(template: name)
            return url != nil
        }
        let copy = try TestDatabase(url: #require(url))
        #expect(try await self.generation(copy) > generation)
        #expect(try await self.generation(TestDatabase(url: original.url)) == generation)
    }

    /// `pg_restore --clean` makes the table anew, in the same database.
    @Test func aTableThatWasReadInAgainIsOfAnotherGeneration() async throws {
        let database = try await TestDatabase.migrated()
        let before = try await self.generation(database)
        try await database.execute(
            """
            CREATE TABLE dump AS SELECT * FROM ledger_meta;
            DROP TABLE ledger_meta;
            ALTER TABLE dump RENAME TO ledger_meta;
            """)
        let after = try await self.generation(database)
        #expect(after > before)
        #expect(try await self.generation(database) == after)
    }

    /// No superuser, no owner, no right to write the row.
    @Test func aPlainRoleNoticesTheTimelineToo() async throws {
        let database = try await TestDatabase.migrated()
        let before = try await self.generation(database)
        let role = "plain_\(UInt32.random(in: 0...UInt32.max))"
        try await database.execute(
            """
            CREATE ROLE \(role);
            GRANT USAGE ON SCHEMA public TO \(role);
            GRANT SELECT ON ledger_meta TO \(role);
            UPDATE ledger_meta SET timeline = '000000AA';
            """)
        let (first, second, refusal) = try await database.pool.run { connection in
            try connection.run("SET ROLE \(role)")
            let first = try connection.run("SELECT ledger_generation()").one().int(0)
            let second = try connection.run("SELECT ledger_generation()").one().int(0)
            defer { connection.close() }
            do throws(PostgresError) {
                try connection.run("SELECT new_ledger_generation()")
                return (first, second, SQLState?.none)
            } catch {
                return (first, second, error.sqlState)
            }
        }
        #expect(first > before && second == first)
        // And it cannot raise it without cause.
        #expect(refusal == SQLState("42501"))
        try await database.execute("DROP OWNED BY \(role); DROP ROLE \(role)")
    }

    /// A snapshot of the storage that is restored in place has the old timeline: only those who knew it before can tell.
    @Test func aLedgerThatIsBehindWhatWasHeardOfItRaisesItOnce() async throws {
        let database = try await TestDatabase.migrated(poolSize: 8)
        let now = try await database.ledger.heartbeat(PostgresLedger.freshID(), hostname: "h").position
        #expect(now.timeline == 1 && now.flushed > 0)
        // Nobody who heard less, or of another ledger, has a cause.
        #expect(try await database.ledger.follow(now) == now.generation)
        var elsewhere = now
        elsewhere.origin = "1/2/3"
        elsewhere.flushed += 1 << 40
        #expect(try await database.ledger.follow(elsewhere) == now.generation)
        var newer = now
        newer.timeline = 2
        newer.generation += 5
        #expect(try await database.ledger.follow(newer) == now.generation, "this is the replaced primary")

        var lost = now
        lost.flushed += 1 << 40
        let seen = try await withThrowingTaskGroup { [lost] group in
            for _ in 0..<20 { group.addTask { try await database.ledger.follow(lost) } }
            return try await group.reduce(into: Set<Int64>()) { $0.insert($1) }
        }
        let raised = try await self.generation(database)
        #expect(raised > now.generation && seen == [raised])
        // The generation itself was lost: the next one is above it, against the clock too.
        lost.generation = Int64(Outcomes.now) + 1_000_000_000
        let above = try await database.ledger.follow(lost)
        #expect(above == lost.generation + 1)
    }

    /// It may not change a row of the ledger otherwise.
    @Test func aPlainRoleSaysThatTheLedgerWasSetBack() async throws {
        let database = try await TestDatabase.migrated()
        let role = "plain_\(UInt32.random(in: 0...UInt32.max))"
        try await database.execute(
            "CREATE ROLE \(role); GRANT USAGE ON SCHEMA public TO \(role); GRANT SELECT ON ledger_meta TO \(role)"
        )
        let before = try await self.generation(database)
        let after = try await database.pool.run { connection in
            defer { connection.close() }
            try connection.run("SET ROLE \(role)")
            return try connection.run(
                """
                SELECT follow_ledger_position(origin, ledger_timeline(), generation, ledger_flushed() + (1::bigint << 40))
                FROM ledger_meta
                """
            ).one().int(0)
        }
        #expect(after > before)
        try await database.execute("DROP OWNED BY \(role); DROP ROLE \(role)")
    }

    @Test func anOperatorSaysThatTheLedgerWasSetBack() async throws {
        let database = try await TestDatabase.migrated()
        let before = try await self.generation(database)
        let (old, new) = try await database.ledger.startNewGeneration()
        #expect(old == before && new > before)
        #expect(try await self.generation(database) == new)
    }

    /// A temporary table of the caller must not stand in for the ledger's.
    @Test func aTemporaryTableDoesNotFoolTheOwnersRights() async throws {
        let database = try await TestDatabase.migrated()
        let answered = try await database.pool.run { connection in
            try connection.run(
                """
                CREATE TEMP TABLE ledger_meta AS
                SELECT true AS only_row, 7::bigint AS generation, ''::text AS timeline, ''::text AS origin
                """)
            defer { connection.close() }
            return try connection.run("SELECT follow_ledger_timeline()").one().int(0)
        }
        #expect(answered != 7 && answered > 8)
        #expect(try await self.generation(database) == answered)
    }
}
