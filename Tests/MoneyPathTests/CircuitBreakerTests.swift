import Testing

@testable import MoneyPath

@Suite struct CircuitBreakerTests {
    private let start = Moment(nanoseconds: 1_000_000_000_000)

    private func opened(after failures: Int = 3) -> CircuitBreaker {
        var breaker = CircuitBreaker(.init(failuresMax: failures))
        for _ in 0..<failures { breaker.failed(now: self.start) }
        return breaker
    }

    @Test func onlyFailuresInARowOpenIt() {
        var breaker = CircuitBreaker(.init(failuresMax: 3))
        for _ in 0..<10 {
            breaker.failed(now: self.start)
            breaker.failed(now: self.start)
            breaker.succeeded()
        }
        #expect(breaker.admit(now: self.start) == .pass && !breaker.isOpen)
        for _ in 0..<3 { breaker.failed(now: self.start) }
        #expect(breaker.admit(now: self.start) == .refuse && breaker.isOpen)
    }

    @Test func oneProbeDecides() {
        var breaker = self.opened()
        let later = self.start + .milliseconds(250)
        #expect(breaker.admit(now: later - Span(nanoseconds: 1)) == .refuse)
        #expect(breaker.admit(now: later) == .probe)
        #expect(breaker.admit(now: later) == .refuse)
        breaker.succeeded()
        #expect(breaker.admit(now: later) == .pass)
    }

    @Test func eachFailedProbeDoublesThePauseUpToABound() {
        var breaker = self.opened()
        var now = self.start
        for pause in [250, 500, 1000, 2000, 4000, 4000] as [Int64] {
            #expect(breaker.admit(now: now + .milliseconds(pause) - Span(nanoseconds: 1)) == .refuse)
            now = now + .milliseconds(pause)
            #expect(breaker.admit(now: now) == .probe)
            breaker.failed(now: now)
        }
    }

    /// Its client may leave, its connection may die: nobody reports about such a probe.
    @Test func aLostProbeIsReplaced() {
        var breaker = self.opened()
        let probe = self.start + .milliseconds(250)
        #expect(breaker.admit(now: probe) == .probe)
        #expect(breaker.admit(now: probe + .milliseconds(999)) == .refuse)
        #expect(breaker.admit(now: probe + .seconds(1)) == .probe)
    }

    @Test func newsFromBeforeItOpenedChangesNothing() {
        var breaker = self.opened()
        breaker.succeeded()
        breaker.failed(now: self.start + .milliseconds(100))
        #expect(breaker.admit(now: self.start + .milliseconds(249)) == .refuse)
        #expect(breaker.admit(now: self.start + .milliseconds(250)) == .probe)
    }

    @Test func aNewConnectionClosesIt() {
        var breaker = self.opened()
        breaker.reset()
        #expect(breaker.admit(now: self.start) == .pass)
    }
}
