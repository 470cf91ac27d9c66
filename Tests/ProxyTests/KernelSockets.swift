import Foundation
import Glibc

/// What the kernel knows of TCP on IPv4, in this network namespace.
///
/// A `close` that has returned has sent its FIN or RST, and on a busy machine the other end of a loopback connection
/// hears of it only later, as on any network: a test of what happens once it has heard waits for that.
enum KernelSockets {
    /// Connections to this remote port that neither side has closed, as their own end sees them.
    static func established(to port: Int) -> Int {
        let suffix = ":" + String(format: "%04X", port)
        return self.table().split(separator: "\n").dropFirst().count { line in
            // sl, local_address, rem_address, st; 01 is TCP_ESTABLISHED.
            let columns = line.split(separator: " ", maxSplits: 4)
            return columns.count > 3 && columns[2].hasSuffix(suffix) && columns[3] == "01"
        }
    }

    /// Whether a connection to this remote port has bytes that nobody has read.
    private static func hasUnread(from port: Int) -> Bool {
        let suffix = ":" + String(format: "%04X", port)
        return self.table().split(separator: "\n").dropFirst().contains { line in
            // sl, local_address, rem_address, st, tx_queue:rx_queue
            let columns = line.split(separator: " ", maxSplits: 5)
            return columns.count > 4 && columns[2].hasSuffix(suffix)
                && columns[4].split(separator: ":").last.flatMap { Int($0, radix: 16) } ?? 0 > 0
        }
    }

    /// For a test that holds a loop meanwhile; ends in any case.
    static func waitUntilUnread(from port: Int) {
        let end = ContinuousClock.now + .seconds(40)
        while !self.hasUnread(from: port), ContinuousClock.now < end { usleep(1000) }
    }

    /// To its very end, in as many reads as that takes: Foundation stops after the first of a file without a length.
    private static func table() -> String {
        let file = open("/proc/net/tcp", O_RDONLY | O_CLOEXEC)
        precondition(file >= 0, "/proc/net/tcp cannot be read")
        defer { close(file) }
        var (bytes, room) = ([UInt8](), [UInt8](repeating: 0, count: 64 << 10))
        while case let count = read(file, &room, room.count), count > 0 { bytes += room[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// For a test that holds a loop meanwhile; ends in any case.
    static func waitUntilNoneIsEstablished(to port: Int) {
        let end = ContinuousClock.now + .seconds(40)
        while self.established(to: port) > 0, ContinuousClock.now < end { usleep(1000) }
    }

    static func noneIsEstablished(to port: Int) async throws {
        let end = ContinuousClock.now + .seconds(40)
        while self.established(to: port) > 0 {
            guard ContinuousClock.now < end else {
                throw NeverHappened("the end of the connections to port \(port)")
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }
}
