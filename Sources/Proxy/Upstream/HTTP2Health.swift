import NIOCore

/// When to send a PING, and when its silence means that nobody is there: a state machine without I/O.
struct HTTP2Health {
    enum Step: Equatable { case wait, ping, dead }

    private let interval: TimeAmount
    private let patience: TimeAmount
    private var asked: (at: NIODeadline, bytesReceived: UInt64)?
    private var quietSince: NIODeadline

    init(_ now: NIODeadline, interval: TimeAmount = .seconds(15), patience: TimeAmount = .seconds(10)) {
        self.interval = interval
        self.patience = patience
        self.quietSince = now
    }

    /// - Parameter bytesReceived: on the whole connection so far. An answer may be queued behind data: any byte counts
    ///   as one.
    mutating func step(_ now: NIODeadline, bytesReceived: UInt64) -> Step {
        guard let asked = self.asked else {
            guard now - self.quietSince >= self.interval else { return .wait }
            self.asked = (now, bytesReceived)
            return .ping
        }
        guard asked.bytesReceived == bytesReceived else {
            self.asked = (now, bytesReceived)
            return .wait
        }
        return now - asked.at >= self.patience ? .dead : .wait
    }

    mutating func answered(_ now: NIODeadline) {
        self.asked = nil
        self.quietSince = now
    }
}
