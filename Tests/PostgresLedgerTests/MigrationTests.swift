import Foundation
import Metering
import Testing

@testable import PostgresLedger

/// The schema moves forward only, once, and never under another program's feet.
@Suite(.serialized) struct MigrationTests {
    /// What was released stays, and none is forgotten or there twice.
    @Test func theListIsWithoutGaps() {
        #expect(Migration.all.map(\.version) == Array(1...31))
    }

    @Test func migratingTwiceChangesNothing() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty())
        let first = try await Migrator().migrate(database.pool)
        let again = try await Migrator().migrate(database.pool)
        #expect(first.applied == Migration.all.map(\.version))
        #expect(first.partitions.created == UsagePartitions.daysBack + 1 + UsagePartitions.daysAhead)
        #expect(again.applied.isEmpty)
        #expect(again.partitions == PartitionReport(created: 0, blockedDays: []))
        try await Migrator().check(database.pool)
    }

    @Test func fourMigratorsAtOnceApplyEachMigrationOnce() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty(), poolSize: 4)
        let applied = try await withThrowingTaskGroup { group in
            for _ in 0..<4 { group.addTask { try await Migrator().migrate(database.pool).applied } }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(applied.sorted() == Migration.all.map(\.version))
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// A ledger in use gets its index and its origin, and no new generation: nothing was restored.
    @Test func aLedgerInUseKeepsItsGenerationAndItsMoney() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty())
        _ = try await Migrator(Array(Migration.all.prefix(4))).migrate(database.pool)
        let account = try await database.account("user", balance: 1000)
        let outcomes = Outcomes()
        let estimate = outcomes.orphan(account, 10, hold: Outcomes.hold())
        let before = try await database.settleAsBefore([estimate, outcomes.final(account, 5)])
        #expect(try await Migrator().migrate(database.pool).applied.contains(5))
        #expect(try await database.ledger.checkGeneration() == before[0].generation)
        let standing = try await database.ledger.standingEstimates(of: [outcomes.owner], notIn: [])
        #expect(standing.map(\.hold) == [estimate.hold])
        #expect(try await database.ledger.settle([estimate]).balances == before)
        #expect(try await database.verifier.verify().isEmpty)
        let report = try await database.ledger.ensurePartitions(now: Int64(Outcomes.now) + 86_400_000)
        #expect(report.created == 1)
        // On every partition, those that come later too.
        let unindexed = try await database.integer(
            """
            SELECT (SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_events'::regclass)
                 - (SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_events_estimates'::regclass)
            """)
        #expect(unindexed == 0)
    }

    /// Settlement must not wait behind a migration that waits for a reader: it gives way, and comes back.
    @Test func aMigrationGivesWayToWhoeverReadsATable() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty(), poolSize: 4)
        _ = try await Migrator(Array(Migration.all.prefix(7))).migrate(database.pool)
        let reader = try await OpenTransaction(["SELECT count(*) FROM usage_events"], on: database)
        let patience = Migrator.Patience(
            lockWait: .milliseconds(20), pause: .milliseconds(20), attempts: 100_000)
        async let report = Migrator(Migration.all, patience: patience).migrate(database.pool)
        let waiting = """
            SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
            WHERE NOT l.granted AND l.mode = 'AccessExclusiveLock' AND c.relname = 'usage_events'
            """
        for expected in [1, 0, 1, 0] as [Int64] {
            while try await database.integer(waiting) != expected {}
        }
        #expect(await reader.commit())
        #expect(try await report.version == Migration.all.last?.version)
    }

    /// The release before starts again while another one has migrated, as a rollback does.
    @Test func aNewerSchemaIsRunOnWhereItSaysSoAndNeverMigrated() async throws {
        let database = try await TestDatabase.migrated()
        try await database.execute(
            "INSERT INTO schema_migration (version, name, checksum) VALUES (1000, 'future', 'x')")
        let program = Migration.all.last!.version
        try await Migrator().check(database.pool)
        await #expect(throws: Migrator.Failure.newerSchema(database: 1000, program: program)) {
            try await Migrator().migrate(database.pool)
        }
        try await database.execute("UPDATE schema_guard SET oldest_program = 1000")
        await #expect(throws: Migrator.Failure.newerSchema(database: 1000, program: program)) {
            try await Migrator().check(database.pool)
        }
    }

    @Test func aMigrationThatWasEditedAfterwardsIsRefused() async throws {
        let database = try await TestDatabase.migrated()
        var edited = Migration.all
        edited[1] = Migration(version: 2, name: "settlement", sql: edited[1].sql + " ")
        let migrator = Migrator(edited)
        await #expect(throws: Migrator.Failure.checksumChanged(version: 2)) {
            try await migrator.migrate(database.pool)
        }
    }

    @Test func aDatabaseThatIsBehindIsNamed() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty())
        let program = Migration.all.last!.version
        await #expect(throws: Migrator.Failure.behind(database: 0, program: program)) {
            try await Migrator().check(database.pool)
        }
        _ = try await Migrator(Array(Migration.all.prefix(2))).migrate(database.pool)
        await #expect(throws: Migrator.Failure.behind(database: 2, program: program)) {
            try await Migrator().check(database.pool)
        }
    }

    /// Numbers are given to people who work at the same time; the lower one may come later.
    @Test func aMigrationThatWasLeftOutIsStillApplied() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty())
        let late = Migration(version: 1001, name: "late", sql: "CREATE TABLE late (n int)")
        let last = Migration(version: 1002, name: "last", sql: "CREATE TABLE last (n int)")
        _ = try await Migrator(Migration.all + [last]).migrate(database.pool)
        let whole = Migrator(Migration.all + [late, last])
        await #expect(throws: Migrator.Failure.behind(database: 1002, program: 1002)) {
            try await whole.check(database.pool)
        }
        #expect(try await whole.migrate(database.pool).applied == [1001])
        try await whole.check(database.pool)
    }

    /// A failing statement leaves nothing of its migration behind.
    @Test func aFailingMigrationIsRolledBackWhole() async throws {
        let database = try await TestDatabase.migrated()
        let broken = Migration(
            version: 99, name: "broken", sql: "CREATE TABLE half_done (a int); SELECT no_such_function();")
        let migrator = Migrator(Migration.all + [broken])
        await #expect(throws: PostgresError.self) { try await migrator.migrate(database.pool) }
        #expect(try await database.integer("SELECT count(*) FROM pg_class WHERE relname = 'half_done'") == 0)
        try await Migrator().check(database.pool)
    }

    /// On a large ledger an index takes minutes, in which a migration keeps settlement waiting: what the operator made
    /// before, while it went on, is the migration's own and is not made again.
    @Test func indexesThatTheOperatorMadeBeforeAreTheMigrations() async throws {
        let lines = try Self.readme().split(separator: "\n").map(String.init)
            .filter { $0.hasPrefix("CREATE INDEX CONCURRENTLY ") }
        let own = [Migration.booksReading, .dashboards].flatMap { $0.sql.split(separator: ";") }.map(
            String.init
        )
        .map { $0.split(separator: "\n").filter { !$0.contains("--") }.joined(separator: " ") }
        .map { $0.split(separator: " ").joined(separator: " ") }
        .filter { $0.hasPrefix("CREATE INDEX ") }
        #expect(own.count == 4)
        #expect(lines.map { $0.replacing(" CONCURRENTLY", with: "").replacing(";", with: "") } == own)
        let database = try TestDatabase(url: await TestDatabase.empty())
        _ = try await Migrator(Array(Migration.all.prefix(16))).migrate(database.pool)
        for line in lines { try await database.execute(line) }
        let made = """
            SELECT coalesce(string_agg(indexrelid::text, ',' ORDER BY indexrelid), '') FROM pg_index
            WHERE indisvalid AND indexrelid::regclass::text IN
                ('journal_entry_cost', 'lot_reversal_lot', 'credit_ledger_created', 'journal_line_deferred')
            """
        let before = try await database.text(made)
        #expect(before.split(separator: ",").count == 4)
        #expect(try await Migrator().migrate(database.pool).applied.starts(with: [17, 18, 19]))
        #expect(try await database.text(made) == before)
    }

    private static func readme() throws -> String {
        let path = #filePath.replacing("Tests/PostgresLedgerTests/MigrationTests.swift", with: "README.md")
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    @Test func everyTableAndColumnIsDocumented() async throws {
        let database = try await TestDatabase.migrated()
        let missing = try await database.pool.run { connection in
            try connection.run(
                """
                SELECT format('%s.%s', c.relname, a.attname) FROM pg_class c
                JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
                LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
                  AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
                """
            ).rows.map { try $0.text(0) }
        }
        #expect(missing.isEmpty)
    }

    @Test func aRowInTheDefaultPartitionBlocksItsDayAndIsFound() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("late", balance: 100)
        let day = UInt64(86_400_000)
        let hold = Outcomes.hold(at: Outcomes.now - 10 * day)
        _ = try await database.ledger.settle([Outcomes().final(account, 5, hold: hold)])
        let report = try await database.ledger.ensurePartitions(now: Int64(Outcomes.now - 10 * day))
        #expect(report.blockedDays.count == 1)
        #expect(report.created == UsagePartitions.daysBack + 10 - UsagePartitions.daysBack - 1)
        let findings = try await database.verifier.verify()
        #expect(findings.map(\.check) == ["the default partition is empty"])
    }
}
