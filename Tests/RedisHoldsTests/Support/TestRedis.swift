import Foundation
import Glibc
import Synchronization

/// A private redis-server on a free port of 127.0.0.1, in a directory of its own.
///
/// Started without Foundation's Process: tests start and stop several at once, and Process takes a child for
/// alive while any sibling still has its monitoring descriptor. A shell stands in between and kills the
/// server when its standard input ends, so nothing is left even when the test process is killed.
// SAFETY: each test stops and starts its server from one task; the shared one is never stopped but at exit.
final class TestRedis: @unchecked Sendable {
    private static let password = "test-secret"
    let port: Int
    private let directory: String
    private let usesTLS: Bool
    private var shell: pid_t
    private var lifeline: Int32

    /// Shared by the tests that disturb nobody; each of them uses accounts of its own.
    static let shared: TestRedis = {
        let server = try! TestRedis()
        atexit { TestRedis.shared.discard() }
        return server
    }()

    var url: String { self.url(port: self.port) }
    /// As `url`, with another port: for a relay.
    func url(port: Int) -> String {
        self.usesTLS
            ? "rediss://:\(Self.password)@localhost:\(port)" : "redis://:\(Self.password)@127.0.0.1:\(port)"
    }
    /// PEM file of the certificate, when the server speaks TLS only.
    var certificate: String { self.directory + "/cert.pem" }

    struct DidNotStart: Error {}

    init(tls: Bool = false) throws {
        self.usesTLS = tls
        self.directory = "/tmp/tollgate-redis-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
        if tls { try Self.makeCertificate(self.directory) }
        // Somebody else may take a free port before the server does: then the next one is tried.
        for _ in 0..<20 {
            let port = Self.freePort()
            let (shell, lifeline) = try Self.launch(port: port, directory: self.directory, tls: tls)
            if Self.becomesReady(self.directory) {
                (self.port, self.shell, self.lifeline) = (port, shell, lifeline)
                return
            }
            Self.end(shell, lifeline)
        }
        throw DidNotStart()
    }

    deinit { self.discard() }

    private func discard() {
        self.stop()
        try? FileManager.default.removeItem(atPath: self.directory)
    }

    func stop() {
        guard self.shell > 0 else { return }
        Self.end(self.shell, self.lifeline)
        self.shell = 0
    }

    /// Comes back empty, as another run of the server.
    func restart() throws {
        self.stop()
        (self.shell, self.lifeline) = try Self.launch(
            port: self.port, directory: self.directory, tls: self.usesTLS)
        guard Self.becomesReady(self.directory) else { throw DidNotStart() }
    }

    private static func end(_ shell: pid_t, _ lifeline: Int32) {
        close(lifeline)
        var status: Int32 = 0
        waitpid(shell, &status, 0)
    }

    private static func launch(port: Int, directory: String, tls: Bool) throws -> (pid_t, Int32) {
        try? FileManager.default.removeItem(atPath: directory + "/log")
        let listen =
            tls
            ? """
            --port 0 --tls-port \(port) --tls-auth-clients no --tls-cert-file '\(directory)/cert.pem' \
            --tls-key-file '\(directory)/key.pem'
            """ : "--port \(port)"
        let command = """
            exec 2>/dev/null
            redis-server \(listen) --bind 127.0.0.1 --dir '\(directory)' --save '' --appendonly no \
            --logfile '\(directory)/log' --requirepass \(Self.password) --maxmemory-policy noeviction \
            </dev/null >/dev/null 2>&1 & server=$!
            read line
            kill -9 $server; wait $server
            """
        // One at a time, so that no other server inherits the writing end and keeps this one alive.
        return try self.launching.withLock { _ in try self.spawn(command) }
    }

    private static func makeCertificate(_ directory: String) throws {
        let (shell, lifeline) = try self.launching.withLock { _ in
            try self.spawn(
                """
                cd '\(directory)' && exec openssl req -x509 -days 2 -nodes \
                -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout key.pem -out cert.pem \
                -subj /CN=localhost -addext subjectAltName=DNS:localhost \
                >openssl.log 2>&1
                """)
        }
        var status: Int32 = 0
        waitpid(shell, &status, 0)
        close(lifeline)
        guard status == 0 else { throw DidNotStart() }
    }

    private static let launching = Mutex(())

    private static func spawn(_ command: String) throws -> (pid_t, Int32) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw DidNotStart() }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        // Worker threads block all signals; a shell that inherits that never hears of its child's end.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var noSignals = sigset_t()
        sigemptyset(&noSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let words: [String] = ["/bin/sh", "-c", command]
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var shell: pid_t = 0
        guard posix_spawn(&shell, "/bin/sh", &actions, &attributes, arguments, environ) == 0 else {
            close(ends[1])
            throw DidNotStart()
        }
        return (shell, ends[1])
    }

    /// The log tells it, not the port: there may be another server on that.
    private static func becomesReady(_ directory: String) -> Bool {
        for _ in 0..<2000 {
            let log = (try? String(contentsOfFile: directory + "/log", encoding: .utf8)) ?? ""
            if log.contains("Ready to accept connections") { return true }
            if log.contains("Failed listening") { return false }
            usleep(5_000)
        }
        return false
    }

    private static func freePort() -> Int {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(socket, $0, length)
                _ = getsockname(socket, $0, &length)
            }
        }
        return Int(in_port_t(bigEndian: address.sin_port))
    }
}
