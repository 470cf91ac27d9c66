import Metering

/// What a backup says of the ledger that it is of.
public struct LedgerContents: Sendable, Hashable {
    /// Of `schema_migration`.
    public var schemaVersion: Int64
    public var generation: Int64
    /// Milliseconds since 1970, by the server's clock.
    public var takenAt: Int64
    /// Rows by table.
    public var counts: [String: Int64]
    /// Σ of all balances, millicredits.
    public var outstanding: Int64
}

/// What backup and restore ask of a database, outside of the ledger's own work.
public struct LedgerBackup: Sendable {
    /// Dumps of large ledgers take hours.
    private static let dumpTimeout = Duration.seconds(24 * 3600)
    private static let countTimeout = Duration.seconds(3600)
    private static let countedTables = [
        "account", "credit_ledger", "ledger_transaction", "usage_events", "purchase", "stripe_event",
        "cash_movement",
    ]

    private let pool: PostgresPool

    public init(pool: PostgresPool) { self.pool = pool }

    /// Major version of the server.
    public func serverMajor() async throws -> Int {
        try await self.pool.run {
            Int(try $0.run("SELECT current_setting('server_version_num')::bigint / 10000").one().int(0))
        }
    }

    /// nil: it has no schema of ours.
    public func schemaVersion() async throws -> Int64? {
        try await self.pool.run { connection in
            guard
                try connection.run("SELECT to_regclass('schema_migration') IS NOT NULL").one().bool(0)
            else { return nil }
            return try connection.run("SELECT coalesce(max(version), 0) FROM schema_migration").one().int(0)
        }
    }

    /// Tables and the like that are neither Postgres' own nor of an extension; a restore wants none.
    public func foreignRelations() async throws -> Int64 {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
                  AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
                  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                                  AND d.objid = c.oid AND d.deptype = 'e')
                """
            ).one().int(0)
        }
    }

    /// Counts the ledger and runs `dump` on one and the same snapshot, so that what the manifest says is what the dump
    /// has, however much is posted meanwhile.
    ///
    /// - Parameter dump: gets the name of the snapshot, for `pg_dump --snapshot`; runs on a pool thread.
    public func onSnapshot(
        _ dump: @escaping @Sendable (String) throws -> Void
    ) async throws -> LedgerContents {
        try await self.pool.run(timeout: Self.dumpTimeout) { connection in
            try connection.transaction(.readSnapshot) { connection in
                // It waits for pg_dump, and the configuration's limits are for the ledger's own work.
                try connection.run(
                    """
                    SELECT set_config('idle_in_transaction_session_timeout', '0', true),
                           set_config('statement_timeout', '0', true)
                    """)
                let snapshot = try connection.run("SELECT pg_export_snapshot()").one().text(0)
                let contents = try Self.contents(connection)
                try dump(snapshot)
                return contents
            }
        }
    }

    /// What the database holds now.
    public func contents() async throws -> LedgerContents {
        try await self.pool.run(timeout: Self.countTimeout) { connection in
            try connection.transaction(.readSnapshot) { connection in
                try connection.run("SELECT set_config('statement_timeout', '0', true)")
                return try Self.contents(connection)
            }
        }
    }

    private static func contents(_ connection: PostgresConnection) throws -> LedgerContents {
        let row = try connection.run(
            """
            SELECT (SELECT max(version) FROM schema_migration), (SELECT generation FROM ledger_meta),
                   (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
                   (SELECT coalesce(sum(balance_millicredits), 0)::bigint FROM credit_balance)
            """, timeout: Self.countTimeout
        ).one()
        var counts: [String: Int64] = [:]
        for table in Self.countedTables {
            // A backup of an older schema may lack some.
            guard
                try connection.run("SELECT to_regclass($1) IS NOT NULL", [.text(table)]).one().bool(0)
            else { continue }
            counts[table] = try connection.run(
                "SELECT count(*) FROM \(table)", timeout: Self.countTimeout
            ).one().int(0)
        }
        return LedgerContents(
            schemaVersion: try row.int(0), generation: try row.int(1), takenAt: try row.int(2),
            counts: counts, outstanding: try row.int(3))
    }
}
