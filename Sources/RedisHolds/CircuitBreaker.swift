import NIOCore

/// Stops asking a store that does not answer. A value; time comes from outside.
struct CircuitBreaker: Sendable {
    struct Limits: Sendable {
        /// So many time-outs or failures in a row open it.
        var failuresMax = 20
        var openFirst: TimeAmount = .milliseconds(250)
        /// Each failed probe doubles the pause up to this.
        var openMax: TimeAmount = .seconds(4)
    }

    enum State: Sendable, Hashable {
        /// Can become `open`.
        case closed(failures: Int)
        /// Nothing is asked before `until`. Can become `probing`.
        case open(until: NIODeadline, pause: TimeAmount)
        /// One question is on its way; its end decides. Can become `closed`, `open`.
        case probing(since: NIODeadline, pause: TimeAmount)
    }

    enum Admission: Sendable, Hashable {
        case pass
        /// This one decides whether the store is back.
        case probe
        case refuse
    }

    private(set) var state: State = .closed(failures: 0)
    private let limits: Limits

    init(_ limits: Limits = Limits()) { self.limits = limits }

    mutating func admit(now: NIODeadline) -> Admission {
        switch self.state {
        case .closed:
            return .pass
        case .open(let until, let pause):
            guard now >= until else { return .refuse }
            self.state = .probing(since: now, pause: pause)
            return .probe
        case .probing(let since, let pause):
            // A probe that was lost (its client left, its connection died) must not keep the door shut.
            guard now >= since + max(pause, .seconds(1)) else { return .refuse }
            self.state = .probing(since: now, pause: pause)
            return .probe
        }
    }

    /// The store answered, whatever it said.
    @inline(__always)
    mutating func succeeded() {
        if case .closed(0) = self.state { return }
        if case .open = self.state { return }  // An answer from before the pause proves nothing about now.
        self.state = .closed(failures: 0)
    }

    /// A time-out, or an answer that is none.
    mutating func failed(now: NIODeadline) {
        switch self.state {
        case .closed(let failures) where failures + 1 < self.limits.failuresMax:
            self.state = .closed(failures: failures + 1)
        case .closed:
            self.state = .open(until: now + self.limits.openFirst, pause: self.limits.openFirst)
        case .probing(_, let pause):
            let longer = min(pause * 2, self.limits.openMax)
            self.state = .open(until: now + longer, pause: longer)
        case .open:
            break  // Questions from before it opened still fail; that is no news.
        }
    }

    /// A new connection was greeted by the store: everything is worth asking again.
    mutating func reset() { self.state = .closed(failures: 0) }

    var isOpen: Bool {
        if case .closed = self.state { false } else { true }
    }
}
