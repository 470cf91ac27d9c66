import Testing

@testable import Proxy

/// The end of a reply waits for its outcome, once, and is never written twice.
@Suite struct EndGateTests {
    @Test func anEndThatNothingWaitsForIsWritten() {
        var gate = EndGate()
        #expect(!gate.isClosed && gate.end(.complete) == .write(.complete))
        #expect(gate.end(.failed(.upstreamError)) == .write(.failed(.upstreamError)))
    }

    @Test func anEndWaitsUntilItsOutcomeIsSafe() {
        var gate = EndGate()
        gate.close()
        #expect(gate.isClosed && !gate.holdsEnd)
        #expect(gate.end(.failed(.upstreamTimeout)) == .wait)
        #expect(gate.isClosed && gate.holdsEnd)
        #expect(gate.becameSafe() == .end(.failed(.upstreamTimeout)))
        #expect(!gate.isClosed && gate.end(.failed(.upstreamTimeout)) == .write(.failed(.upstreamTimeout)))
    }

    @Test func theFirstEndStands() {
        var gate = EndGate()
        gate.close()
        #expect(gate.end(.complete) == .wait)
        #expect(gate.end(.failed(.upstreamTimeout)) == .wait)
        #expect(gate.becameSafe() == .end(.complete))
    }

    /// `[DONE]` is safe before upstream's message has ended.
    @Test func anEndBehindASafeOutcomeDoesNotWait() {
        var gate = EndGate()
        gate.close()
        #expect(gate.becameSafe() == .goOn)
        #expect(!gate.isClosed && gate.end(.complete) == .write(.complete))
    }

    @Test func whatIsToldTwiceIsIgnored() {
        var gate = EndGate()
        #expect(gate.becameSafe() == .ignore)
        gate.close()
        #expect(gate.end(.complete) == .wait)
        gate.close()
        #expect(gate.holdsEnd, "the end that waits is not forgotten")
        #expect(gate.becameSafe() == .end(.complete))
        #expect(gate.becameSafe() == .ignore)
    }
}
