import Metering
import Testing

@testable import MoneyPath

@Suite struct EpochGateTests {
    let start = Moment(nanoseconds: 1_000_000_000_000)
    let boot = HoldID(high: 1, low: 1)

    /// One session, joined and recaptured under "a".
    private func announced() -> EpochGate {
        var gate = EpochGate(boot: self.boot)
        gate.add(session: 0)
        gate.live([self.boot])
        #expect(gate.saw("a", session: 0, now: self.start) == [.checkSessions, .recapture(epoch: "a")])
        #expect(gate.joined("a", session: 0, now: self.start) == [])
        #expect(gate.recaptured("a", now: self.start).first == .announce(epoch: "a"))
        return gate
    }

    @Test func theGateOpensWhenEverybodyJoined() {
        var gate = self.announced()
        #expect(gate.members("a", [self.boot], now: self.start) == [.open(epoch: "a")])
        #expect(gate.isOpen && gate.openEpoch == "a")
    }

    /// L3: the set of those who joined lives a week, the process longer.
    @Test func aBootIsAnnouncedAgainEveryHour() {
        var gate = self.announced()
        _ = gate.members("a", [self.boot], now: self.start)
        #expect(gate.tick(now: self.start + .seconds(3599)) == [])
        #expect(gate.tick(now: self.start + .seconds(3600)) == [.announce(epoch: "a")])
        #expect(gate.tick(now: self.start + .seconds(3601)) == [])
        #expect(gate.tick(now: self.start + .seconds(7200)) == [.announce(epoch: "a")])
    }

    /// A store that lost the set is told again at once.
    @Test func aBootThatIsNotAmongTheMembersIsAnnouncedAgain() {
        var gate = self.announced()
        #expect(gate.members("a", [], now: self.start) == [.announce(epoch: "a")])
    }

    /// L2: what was joined before the gate went away and came back has to be said again; the gate asks.
    @Test func aGateThatComesBackToAnEpochAsksAllSessionsAgain() {
        var gate = self.announced()
        _ = gate.saw("b", session: 0, now: self.start)
        #expect(gate.saw("a", session: 0, now: self.start) == [.checkSessions, .recapture(epoch: "a")])
        #expect(gate.recaptured("a", now: self.start) == [])
        #expect(gate.joined("a", session: 0, now: self.start).first == .announce(epoch: "a"))
    }
}
