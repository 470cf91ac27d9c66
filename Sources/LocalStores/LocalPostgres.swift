import Foundation

/// A private Postgres on a loopback port, with a password, in a directory of its own; ended at the latest with this
/// object.
public final class LocalPostgres: Sendable {
    /// `postgresql://tollgate:secret@127.0.0.1:port/tollgate`; the user is the superuser of this cluster.
    public let url: String
    public let port: Int
    private let secret: String
    private let programs: PostgresPrograms
    private let server: ChildProcess
    private let lock: DirectoryLock

    private init(
        port: Int, secret: String, programs: PostgresPrograms, server: ChildProcess, lock: DirectoryLock
    ) {
        self.url = "postgresql://tollgate:\(secret)@127.0.0.1:\(port)/tollgate"
        self.port = port
        self.secret = secret
        self.programs = programs
        self.server = server
        self.lock = lock
    }

    deinit { try? self.stop() }

    /// Starts the server and returns when it accepts connections; makes the cluster and the database `tollgate` when
    /// `directory` has none, and ends first what a killed run left there.
    ///
    /// As root it runs as user `postgres` or `nobody`, since Postgres refuses root; when that user cannot enter
    /// `directory`, the cluster is kept elsewhere and linked.
    ///
    /// - Parameters:
    ///   - port: 0: any free port.
    ///   - settings: further `name: value` of postgresql.conf; with `fsync: off` the cluster is a throw-away one.
    ///   - log: takes one line for each step.
    /// - Throws: `LocalStoresError`, also when the directory is in use by a living process.
    public static func start(
        directory: String, port: Int = 0, settings: [String: String] = [:],
        log: @Sendable (String) -> Void = { _ in }
    ) throws -> LocalPostgres {
        let directory = try StoreDirectory.prepare(directory)
        let lock = try DirectoryLock(directory + "/postgres.lock", program: "postgres")
        let place = try PostgresPlace(directory: directory, log: log)
        try place.endLeftovers()
        let programs = try PostgresPrograms.find(version: place.version)
        let secret = try Secret.kept(in: directory + "/postgres.secret")
        if place.version == nil {
            log("making a Postgres cluster in \(place.data)")
            try place.makeCluster(programs, secret: secret, durable: settings["fsync"] != "off")
        }
        let (server, port) = try self.startServer(place, programs, port: port, settings: settings, log: log)
        let postgres = LocalPostgres(
            port: port, secret: secret, programs: programs, server: server, lock: lock)
        if try postgres.query("SELECT 1 FROM pg_database WHERE datname = 'tollgate'").isEmpty {
            _ = try postgres.makeDatabase(named: "tollgate")
        }
        return postgres
    }

    /// A further, empty database on the same server; its URL. `name` is of letters, digits and `_`.
    public func makeDatabase(named name: String) throws -> String {
        _ = try self.query("CREATE DATABASE \"\(name)\"")
        return String(self.url.dropLast("tollgate".count)) + name
    }

    /// Ends the connections of a database and drops it.
    public func dropDatabase(named name: String) throws {
        _ = try self.query("DROP DATABASE IF EXISTS \"\(name)\" WITH (FORCE)")
    }

    /// Fast shutdown: open transactions are rolled back, everything committed is on disk. Returns when the server
    /// has ended; does nothing the second time.
    public func stop() throws {
        defer { self.lock.release() }
        try self.server.stop(SIGINT)
    }

    /// Ends it without a checkpoint, as a crash of the server does: the next start recovers from the log.
    public func stopImmediately() throws {
        defer { self.lock.release() }
        try self.server.stop(SIGQUIT)
    }

    /// `kill -9` of the server; its backends end by themselves a moment later.
    public func kill() throws {
        defer { self.lock.release() }
        try self.server.stop(SIGKILL)
    }

    public var isRunning: Bool { self.server.isRunning }

    private func query(_ sql: String) throws -> String {
        try self.programs.query(sql, port: self.port, secret: self.secret)
    }

    /// A free port can be taken between our looking and the server's binding: then another one is tried.
    private static func startServer(
        _ place: PostgresPlace, _ programs: PostgresPrograms, port wanted: Int, settings: [String: String],
        log: (String) -> Void
    ) throws -> (ChildProcess, port: Int) {
        var attempt = 1
        while true {
            let port = wanted == 0 ? try Loopback.freePort() : wanted
            log("starting Postgres on 127.0.0.1:\(port)")
            let server = try ChildProcess(
                program: "postgres",
                self.arguments(place, programs, port: port, settings: settings), user: place.user,
                logPath: place.directory + "/postgres.log", directory: place.data)
            // Recovery after a crash may take a while.
            _ = waitFor(120) { !server.isRunning || place.isReady(pid: server.pid) }
            if server.isRunning, place.isReady(pid: server.pid) { return (server, port) }
            let tail = server.tail
            try server.stop(SIGQUIT, seconds: 10)
            if wanted == 0, attempt < 5, tail.contains("Address already in use") {
                attempt += 1
                continue
            }
            throw LocalStoresError(program: "postgres", step: "did not start", tail: tail)
        }
    }

    private static func arguments(
        _ place: PostgresPlace, _ programs: PostgresPrograms, port: Int, settings: [String: String]
    ) -> [String] {
        // Loopback only, no socket file: its path would have to be short and reachable by two users.
        var values = [
            "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "logging_collector": "off",
            "log_destination": "stderr", "max_connections": "200",
        ]
        values.merge(settings) { _, ours in ours }
        let pairs = values.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
        return [programs.server, "-D", place.data, "-p", String(port)] + pairs
    }
}
