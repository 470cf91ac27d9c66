import Foundation

/// What the kernel knows of TCP on IPv4, in this network namespace.
///
/// A `close` that has returned has sent its FIN or RST, and on a busy machine the other end of a loopback connection
/// hears of it only later, as on any network: a test of what happens once it has heard waits for that.
enum KernelSockets {
    /// Connections to this remote port that neither side has closed, as their own end sees them.
    static func established(to port: Int) -> Int {
        guard let table = try? String(contentsOfFile: "/proc/net/tcp", encoding: .utf8) else { return 0 }
        let suffix = ":" + String(format: "%04X", port)
        return table.split(separator: "\n").dropFirst().count { line in
            // sl, local_address, rem_address, st; 01 is TCP_ESTABLISHED.
            let columns = line.split(separator: " ", maxSplits: 4)
            return columns.count > 3 && columns[2].hasSuffix(suffix) && columns[3] == "01"
        }
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
