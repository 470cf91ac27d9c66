import NIOCore

/// When to send a PING, and when its silence means that nobody is there: a state machine without I/O.
struct HTTP2Health {
    enum Step: Equatable { case wait, ping, dead }

    private var asked: (at: NIODeadline, bytesReceived: UInt64)?
    private var quietSince: NIODeadline

    static let interval: TimeAmount = .seconds(15)
    static let patience: TimeAmount = .seconds(10)

    init(_ now: NIODeadline) { self.quietSince = now }

    /// - Parameter bytesReceived: on the whole connection so far. An answer may be queued behind data: any byte counts
    ///   as one.
    mutating func step(_ now: NIODeadline, bytesReceived: UInt64) -> Step {
        guard let asked = self.asked else {
            guard now - self.quietSince >= Self.interval else { return .wait }
            self.asked = (now, bytesReceived)
            return .ping
        }
        guard asked.bytesReceived == bytesReceived else {
            self.asked = (now, bytesReceived)
            return .wait
        }
        return now - asked.at >= Self.patience ? .dead : .wait
    }

    mutating func answered(_ now: NIODeadline) {
        self.asked = nil
        self.quietSince = now
    }
}
