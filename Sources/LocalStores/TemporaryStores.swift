import Foundation
import Synchronization

/// Throw-away stores of one test process: started on first use, stopped and removed when the process exits. What a
/// killed test process left in /tmp is removed by the next one.
public final class TemporaryStores: Sendable {
    public let directory: String
    private let state = Mutex(State())
    private let lock: DirectoryLock?

    private struct State {
        var postgres: LocalPostgres?
        var redis: LocalRedis?
        var databases = 0
    }

    /// The instance of this process.
    public static let shared: TemporaryStores = {
        let stores = TemporaryStores()
        atexit { TemporaryStores.shared.stop() }
        return stores
    }()

    private static let prefix = "tollgate-test-"

    private init() {
        Self.sweep()
        self.directory = "/tmp/\(Self.prefix)\(getpid())-\(Secret.random(length: 8))"
        mkdir(self.directory, 0o755)
        self.lock = try? DirectoryLock(self.directory + "/lock", program: "tests")
    }

    /// The shared server; not durable, fast.
    public func sharedPostgres() throws -> LocalPostgres {
        try self.state.withLock { state in
            if let postgres = state.postgres { return postgres }
            let postgres = try LocalPostgres.start(directory: self.directory, settings: Self.fast)
            state.postgres = postgres
            return postgres
        }
    }

    /// An empty database of its own on the shared server; its URL. Blocks for about a tenth of a second.
    public func freshDatabase() throws -> String {
        let server = try self.sharedPostgres()
        let number = self.state.withLock { state in
            state.databases += 1
            return state.databases
        }
        return try server.makeDatabase(named: "test_\(number)")
    }

    /// The shared Redis; tests that run in parallel keep to keys of their own.
    public func sharedRedis() throws -> LocalRedis {
        try self.state.withLock { state in
            if let redis = state.redis { return redis }
            let redis = try LocalRedis.start(directory: self.directory, durable: false)
            state.redis = redis
            return redis
        }
    }

    /// A Redis that belongs to one test: empty, and free to be stopped or killed. It ends with the returned object.
    public func ownRedis() throws -> LocalRedis {
        try LocalRedis.start(directory: self.directory + "/own-\(Secret.random(length: 8))", durable: false)
    }

    /// A Postgres that belongs to one test.
    public func ownPostgres() throws -> LocalPostgres {
        try LocalPostgres.start(
            directory: self.directory + "/own-\(Secret.random(length: 8))", settings: Self.fast)
    }

    /// Stops the shared servers and removes all data.
    public func stop() {
        self.state.withLock { state in
            try? state.postgres?.stopImmediately()
            try? state.redis?.kill()
            state = State()
        }
        Self.remove(self.directory)
        self.lock?.release()
    }

    private static let fast = [
        "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "1GB",
        "autovacuum": "off",
    ]

    /// A directory whose lock is free belongs to a process that was killed.
    private static func sweep() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? []
        where name.hasPrefix(self.prefix) {
            let directory = "/tmp/" + name
            var status = stat()
            guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
                status.st_uid == geteuid(),
                FileManager.default.fileExists(atPath: directory + "/lock"),
                let lock = try? DirectoryLock(directory + "/lock", program: "tests")
            else { continue }
            self.remove(directory)
            lock.release()
        }
    }

    /// Ends whatever still works below `directory`, and removes it.
    private static func remove(_ directory: String) {
        let own = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        for place in [directory] + own.map({ "\(directory)/\($0)" }) {
            try? Leftovers.end(["postgres"], directory: place + "/postgres", signals: [SIGQUIT])
            try? Leftovers.end(
                ["redis-server", "valkey-server"], directory: place + "/redis", signals: [SIGKILL])
        }
        try? FileManager.default.removeItem(atPath: directory)
    }
}
