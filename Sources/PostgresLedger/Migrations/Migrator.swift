import Metering

/// Brings the schema up to this program's version; forward only.
///
/// Each migration is a transaction that first locks the one row of `schema_guard`, so two migrators take
/// turns and the second finds the work done. Runs on a direct connection (`DATABASE_DIRECT_URL`).
public struct Migrator: Sendable {
    public enum Failure: Error, Sendable, Hashable {
        /// The database was migrated by a newer program.
        case newerSchema(database: Int64, program: Int64)
        /// A migration that was applied differs from the one this program knows.
        case checksumChanged(version: Int64)
        /// The program needs migrations that were not applied; run `tollgate migrate`.
        case behind(database: Int64, program: Int64)
    }

    public struct Report: Sendable, Hashable {
        /// Versions applied by this call.
        public var applied: [Int64]
        public var version: Int64
        public var partitions: PartitionReport
    }

    /// How a migration waits for the locks of tables that are in use.
    struct Patience: Sendable {
        var lockWait: Duration = .seconds(2)
        var pause: Duration = .seconds(3)
        /// Five minutes of attempts.
        var attempts = 60
    }

    private let migrations: [Migration]
    private let patience: Patience

    public init() { self.init(Migration.all) }

    /// The schema of this program.
    public static var programVersion: Int64 { Migration.all.last?.version ?? 0 }

    init(_ migrations: [Migration], patience: Patience = Patience()) {
        (self.migrations, self.patience) = (migrations, patience)
    }

    private var latest: Int64 { self.migrations.last?.version ?? 0 }

    /// Applies what is missing, then creates the coming partitions. Safe to repeat and to run twice at once.
    public func migrate(_ connection: PostgresConnection) throws -> Report {
        try self.createGuard(connection)
        var applied: [Int64] = []
        while let version = try self.applyPatiently(connection) { applied.append(version) }
        let partitions = try UsagePartitions.ensure(connection)
        return Report(applied: applied, version: self.latest, partitions: partitions)
    }

    public func migrate(_ pool: PostgresPool) async throws -> Report {
        try await pool.run(timeout: .seconds(600)) { try self.migrate($0) }
    }

    /// Throws unless this program can run on the schema: all of its migrations were applied, and those of newer
    /// programs say that it may. Changes nothing.
    public func check(_ connection: PostgresConnection) throws {
        let exists = try connection.run("SELECT to_regclass('schema_migration') IS NOT NULL").one().bool(0)
        guard exists else { throw Failure.behind(database: 0, program: self.latest) }
        let applied = try self.verified(connection)
        let missing = self.migrations.first { !applied.contains($0.version) }
        guard missing == nil else {
            throw Failure.behind(database: applied.max() ?? 0, program: self.latest)
        }
        guard let newest = applied.max(), newest > self.latest else { return }
        let oldest = try connection.run("SELECT oldest_program FROM schema_guard").one().int(0)
        guard oldest <= self.latest else {
            throw Failure.newerSchema(database: newest, program: self.latest)
        }
    }

    public func check(_ pool: PostgresPool) async throws {
        try await pool.run { try self.check($0) }
    }

    /// Settlement waits behind a migration that waits for a table, and tables are read for minutes (backups, `verify`):
    /// so it gives way soon and tries again.
    private func applyPatiently(_ connection: PostgresConnection) throws -> Int64? {
        for attempt in 1... {
            do {
                return try self.applyNext(connection)
            } catch let error as PostgresError {
                guard error.isConcurrency, attempt < self.patience.attempts else { throw error }
                sleepThread(self.patience.pause)
            }
        }
        return nil
    }

    /// The version applied in the same transaction; nil when nothing is missing.
    private func applyNext(_ connection: PostgresConnection) throws -> Int64? {
        try connection.transaction { connection in
            try connection.run("SELECT set_config('lock_timeout', '60s', true)")
            try connection.run("SELECT set_config('statement_timeout', '600s', true)")
            try connection.run("SELECT only_row FROM schema_guard FOR UPDATE", timeout: .seconds(70))
            let wait = "\(self.patience.lockWait.wholeMilliseconds)"
            try connection.run("SELECT set_config('lock_timeout', $1, true)", [.text(wait)])
            let applied = try self.verified(connection)
            if let newest = applied.max(), newest > self.latest {
                throw Failure.newerSchema(database: newest, program: self.latest)
            }
            guard let next = self.migrations.first(where: { !applied.contains($0.version) }) else {
                return nil
            }
            try connection.runScript(next.sql, timeout: .seconds(600))
            try connection.run(
                "INSERT INTO schema_migration (version, name, checksum) VALUES ($1, $2, $3)",
                [.int(next.version), .text(next.name), .text(next.checksum)])
            return next.version
        }
    }

    /// Versions that were applied, after comparing the checksums of those that this program knows.
    private func verified(_ connection: PostgresConnection) throws -> Set<Int64> {
        var versions: Set<Int64> = []
        for row in try connection.run("SELECT version, checksum FROM schema_migration").rows {
            let version = try row.int(0)
            versions.insert(version)
            guard version <= self.latest else { continue }
            let known = self.migrations.first { $0.version == version }
            guard try known?.checksum == row.text(1) else { throw Failure.checksumChanged(version: version) }
        }
        return versions
    }

    /// `IF NOT EXISTS` still collides when two sessions create the same table at once; the loser tries again.
    private func createGuard(_ connection: PostgresConnection) throws {
        for attempt in 1... {
            do throws(PostgresError) {
                try connection.runScript(Self.guardSQL)
                return
            } catch {
                let collided = ["23505", "42P07", "42710"].contains(error.sqlState?.code)
                guard collided || error.isConcurrency, attempt < 20 else { throw error }
            }
        }
    }

    private static let guardSQL = """
        CREATE TABLE IF NOT EXISTS schema_guard (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
        );
        CREATE TABLE IF NOT EXISTS schema_migration (
            version    bigint PRIMARY KEY,
            name       text NOT NULL,
            checksum   text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        );
        INSERT INTO schema_guard DEFAULT VALUES ON CONFLICT DO NOTHING;
        COMMENT ON TABLE schema_guard IS 'One row; whoever migrates holds its lock.';
        COMMENT ON COLUMN schema_guard.only_row IS 'Always true.';
        COMMENT ON TABLE schema_migration IS 'Migrations that were applied, with the checksum of their text.';
        COMMENT ON COLUMN schema_migration.version IS 'Number of the migration, from 1.';
        COMMENT ON COLUMN schema_migration.name IS 'What it is about.';
        COMMENT ON COLUMN schema_migration.checksum IS 'SHA-256 of its statements, hexadecimal.';
        COMMENT ON COLUMN schema_migration.applied_at IS 'When it was applied.';
        """
}
