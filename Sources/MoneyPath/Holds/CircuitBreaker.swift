/// Stops asking a store that does not answer. A value; time comes from outside.
public struct CircuitBreaker: Sendable {
    public struct Limits: Sendable {
        /// So many time-outs or failures in a row open it.
        public var failuresMax = 20
        public var openFirst: Span = .milliseconds(250)
        /// Each failed probe doubles the pause up to this.
        public var openMax: Span = .seconds(4)

        public init(failuresMax: Int = 20) { self.failuresMax = failuresMax }
    }

    public enum State: Sendable, Hashable {
        /// Can become `open`.
        case closed(failures: Int)
        /// Nothing is asked before `until`. Can become `probing`.
        case open(until: Moment, pause: Span)
        /// One question is on its way; its end decides. Can become `closed`, `open`.
        case probing(since: Moment, pause: Span)
    }

    public enum Admission: Sendable, Hashable {
        case pass
        /// This one decides whether the store is back.
        case probe
        case refuse
    }

    public private(set) var state: State = .closed(failures: 0)
    private let limits: Limits

    public init(_ limits: Limits = Limits()) { self.limits = limits }

    public mutating func admit(now: Moment) -> Admission {
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
    public mutating func succeeded() {
        if case .closed(0) = self.state { return }
        if case .open = self.state { return }  // An answer from before the pause proves nothing about now.
        self.state = .closed(failures: 0)
    }

    /// A time-out, or an answer that is none.
    public mutating func failed(now: Moment) {
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
    public mutating func reset() { self.state = .closed(failures: 0) }

    public var isOpen: Bool {
        if case .closed = self.state { false } else { true }
    }
}
