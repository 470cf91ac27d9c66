import Foundation

/// A private Redis on a loopback port, with a password, in a directory of its own; ended at the latest with this
/// object.
public final class LocalRedis: Sendable {
    /// `redis://:secret@127.0.0.1:port/0`
    public let url: String
    public let port: Int
    private let secret: String
    private let server: ChildProcess
    private let lock: DirectoryLock

    private init(port: Int, secret: String, server: ChildProcess, lock: DirectoryLock) {
        self.url = "redis://:\(secret)@127.0.0.1:\(port)/0"
        self.port = port
        self.secret = secret
        self.server = server
        self.lock = lock
    }

    deinit { try? self.stop() }

    /// Starts the server and returns when it answers; ends first what a killed run left in `directory`.
    ///
    /// - Parameters:
    ///   - port: 0: any free port.
    ///   - durable: keep an append-only file, synced every second; otherwise nothing is ever written.
    ///   - settings: further directives.
    ///   - log: takes one line for each step.
    /// - Throws: `LocalStoresError`, also when the directory is in use by a living process.
    public static func start(
        directory: String, port wanted: Int = 0, durable: Bool = true, settings: [String: String] = [:],
        log: @Sendable (String) -> Void = { _ in }
    ) throws -> LocalRedis {
        let directory = try StoreDirectory.prepare(directory)
        let lock = try DirectoryLock(directory + "/redis.lock", program: "redis-server")
        let data = directory + "/redis"
        guard mkdir(data, 0o700) == 0 || errno == EEXIST else {
            throw LocalStoresError.system("redis-server", "cannot make \(data)")
        }
        // Two servers on one append-only file would destroy it, and Redis has no lock of its own.
        try Leftovers.end(Set(self.programs), directory: data, signals: [SIGTERM])
        let secret = try Secret.kept(in: data + "/secret")
        let program = try self.findProgram()
        var attempt = 1
        while true {
            let port = wanted == 0 ? try Loopback.freePort() : wanted
            // The password stands in a private file, not in the arguments that everyone can list.
            let configuration = data + "/redis.conf"
            let text = self.configuration(
                data, port: port, secret: secret, durable: durable, settings: settings)
            try writePrivately(text, to: configuration)
            log("starting Redis on 127.0.0.1:\(port)")
            let server = try ChildProcess(
                program: "redis-server", [program, configuration], logPath: directory + "/redis.log",
                directory: data)
            let redis = LocalRedis(port: port, secret: secret, server: server, lock: lock)
            _ = waitFor(60) { !server.isRunning || redis.answers() }
            if server.isRunning, redis.answers() { return redis }
            let tail = server.tail
            try server.stop(SIGKILL)
            if wanted == 0, attempt < 5, tail.contains("Address already in use") {
                attempt += 1
                continue
            }
            throw LocalStoresError(program: "redis-server", step: "did not start", tail: tail)
        }
    }

    /// Ends it in order: a durable one has everything on disk. Does nothing the second time.
    public func stop() throws {
        defer { self.lock.release() }
        try self.server.stop(SIGTERM)
    }

    /// `kill -9`: a durable one may lose its last second.
    public func kill() throws {
        defer { self.lock.release() }
        try self.server.stop(SIGKILL)
    }

    /// Removes every key.
    public func flush() throws {
        guard self.ask("FLUSHALL")?.hasSuffix("+OK\r\n") == true else {
            throw LocalStoresError(program: "redis-server", step: "did not flush", tail: self.server.tail)
        }
    }

    public var isRunning: Bool { self.server.isRunning }

    /// Only ours knows the password: another server on this port does not count.
    private func answers() -> Bool { self.ask("PING")?.hasSuffix("+PONG\r\n") == true }

    private func ask(_ command: String) -> String? {
        Loopback.ask(port: self.port, "AUTH \(self.secret)\r\n\(command)\r\n")
    }

    private static let programs = ["redis-server", "valkey-server"]

    private static func findProgram() throws -> String {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for name in self.programs {
            for place in path + ["/usr/bin"]
            where FileManager.default.isExecutableFile(atPath: "\(place)/\(name)") {
                return "\(place)/\(name)"
            }
        }
        throw LocalStoresError(
            program: "redis-server", step: "is not installed (scripts/bootstrap.sh installs it)", tail: "")
    }

    private static func configuration(
        _ data: String, port: Int, secret: String, durable: Bool, settings: [String: String]
    ) -> String {
        let quoted = data.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(
            of: "\"", with: "\\\"")
        var lines = [
            "bind 127.0.0.1", "port \(port)", "protected-mode yes", "requirepass \(secret)", "daemonize no",
            "dir \"\(quoted)\"", "save \"\"", "appendonly \(durable ? "yes" : "no")", "appendfsync everysec",
            "maxmemory-policy noeviction",
        ]
        lines += settings.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        return lines.joined(separator: "\n") + "\n"
    }
}
