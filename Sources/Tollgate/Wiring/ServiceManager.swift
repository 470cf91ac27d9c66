import Dispatch
import Glibc

/// What systemd is told by the process that it started (sd_notify(3)): one datagram each to `$NOTIFY_SOCKET`. Nobody
/// listens elsewhere, and nothing is sent.
enum ServiceManager {
    enum Message: String, Sendable {
        case ready = "READY=1"
        case stopping = "STOPPING=1"
        case alive = "WATCHDOG=1"
    }

    /// A manager that does not read has room for some ten datagrams. Who waits for room waits here, in the order of what
    /// was said, and not on a thread that requests need.
    private static let waiting = DispatchQueue(label: "tollgate.service-manager")

    static func tell(_ message: Message) {
        guard let path = System.environment("NOTIFY_SOCKET") else { return }
        switch message {
        // The next one says the same, and those that were not read say it too.
        case .alive: self.send(message.rawValue, to: path, flags: Int32(MSG_DONTWAIT))
        case .ready, .stopping:
            self.waiting.async { self.send(message.rawValue, to: path, flags: 0) }
        }
    }

    /// Runs `body`, and says meanwhile that the process lives, as often as its watchdog wants: a process whose tasks do
    /// not run any more falls silent, and is started anew.
    static func watched(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let pause = self.watchdogPause(System.environment)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await body() }
            if let pause {
                tasks.addTask {
                    while !Task.isCancelled {
                        self.tell(.alive)
                        try? await Task.sleep(for: pause)
                    }
                }
            }
            // The watchdog's task ends only when it is cancelled.
            try await tasks.next()
            tasks.cancelAll()
        }
    }

    /// A third of what the watchdog allows; nil: there is none, or it watches another process.
    static func watchdogPause(_ environment: (String) -> String?) -> Duration? {
        guard let text = environment("WATCHDOG_USEC"), let microseconds = Int64(text), microseconds > 0 else {
            return nil
        }
        if let process = environment("WATCHDOG_PID"), process != String(getpid()) { return nil }
        return .microseconds(max(1, microseconds / 3))
    }

    private static func send(_ text: String, to path: String, flags: Int32) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        // `@` stands for the abstract name space.
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard !bytes.isEmpty, bytes.count < room else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return }
        defer { close(socket) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let message = Array(text.utf8)
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(socket, message, message.count, Int32(MSG_NOSIGNAL) | flags, $0, length)
            }
        }
    }
}
