/// What a checklist asks of a database server.
public struct PostgresServerFacts: Sendable, Hashable {
    public var majorVersion: Int64
    /// Of `pg_settings`, by name.
    public var settings: [String: String]
    public var isStandby: Bool
    /// Its address is this machine's, or a Unix socket.
    public var isLocal: Bool
    public var isTLS: Bool
    /// Of the server's clock, since 1970.
    public var milliseconds: Int64
    /// nil: it has no schema of ours.
    public var schemaVersion: Int64?

    public static let settingNames = ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"]

    public init(
        majorVersion: Int64, settings: [String: String], isStandby: Bool, isLocal: Bool, isTLS: Bool,
        milliseconds: Int64, schemaVersion: Int64?
    ) {
        self.majorVersion = majorVersion
        self.settings = settings
        self.isStandby = isStandby
        self.isLocal = isLocal
        self.isTLS = isTLS
        self.milliseconds = milliseconds
        self.schemaVersion = schemaVersion
    }

    public static func read(_ pool: PostgresPool) async throws -> PostgresServerFacts {
        let schemaVersion = try await LedgerBackup(pool: pool).schemaVersion()
        return try await pool.run { connection in
            var settings: [String: String] = [:]
            for name in self.settingNames {
                settings[name] = try connection.run("SELECT current_setting($1, true)", [.text(name)]).one()
                    .optionalText(0)
            }
            let row = try connection.run(
                """
                SELECT current_setting('server_version_num')::bigint / 10000, pg_is_in_recovery(),
                       coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true),
                       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
                       (extract(epoch FROM clock_timestamp()) * 1000)::bigint
                """
            ).one()
            return try PostgresServerFacts(
                majorVersion: row.int(0), settings: settings, isStandby: row.bool(1), isLocal: row.bool(2),
                isTLS: row.bool(3), milliseconds: row.int(4), schemaVersion: schemaVersion)
        }
    }
}
