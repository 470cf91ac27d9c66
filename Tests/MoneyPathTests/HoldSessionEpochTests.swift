import Metering
import Testing

@testable import MoneyPath

/// Rules E1, E2 for one session, answered by hand.
@Suite struct HoldSessionEpochTests {
    typealias Machine = HoldSessionMachine

    static let node = NodeIdentity(runID: "run", replicationID: "rep", epochKey: "key")
    static let start = Moment(nanoseconds: 1_000_000_000_000)
    let done = HoldReply.numbers(HoldNumbers(0))

    /// What a session said, in order.
    struct Said {
        var sent: [(command: HoldCommand, slot: HoldSlot)] = []
        var saw: [String] = []
        var joined: [String] = []
        var reconnects = 0
        var misunderstood = 0
        var reads: [AccountReadPurpose] = []

        init(_ machine: inout Machine) {
            while let action = machine.nextAction() {
                switch action {
                case .send(let command, let slot, _): self.sent.append((command, slot))
                case .sawEpoch(let epoch): self.saw.append(epoch)
                case .joined(let epoch): self.joined.append(epoch)
                case .reconnect: self.reconnects += 1
                case .misunderstood: self.misunderstood += 1
                case .readAccount(_, _, let purpose): self.reads.append(purpose)
                case .answer, .extended, .record, .verifyShort, .reloadScripts, .refused, .sawGeneration:
                    break
                }
            }
        }

        var reassertsSent: Int {
            self.sent.count { if case .reassert = $0.command { true } else { false } }
        }

        /// Whether each CAPTURE was sent with force.
        var capturesForced: [Bool] {
            self.sent.compactMap { if case .capture(_, let force) = $0.command { force } else { nil } }
        }
    }

    /// Connected, the epoch open, one hold granted.
    private func holding(_ hold: HoldID = outcome(1).hold) -> Machine {
        var machine = Machine(boot: HoldID(high: 1, low: 1), loop: 0)
        machine.connected(to: Self.node, now: Self.start)
        machine.open(Self.node.nodeEpoch)
        let request = PlaceRequest(
            account: 1, hold: hold, want: Millicredits(10), least: Millicredits(10), inputEstimate: .zero,
            priceID: "c@1/gpt-4o-mini", endpoint: .chat)
        let refused = machine.place(request, now: Self.start)
        #expect(refused == nil)
        machine.replied(.place(hold), .numbers(HoldNumbers(0, 10, 100)), now: Self.start)
        _ = Said(&machine)
        return machine
    }

    private static func changed(_ change: (inout NodeIdentity) -> Void) -> NodeIdentity {
        var node = Self.node
        change(&node)
        return node
    }

    /// O1: a first replica changes the replication id under every live connection, and the epoch key stays.
    @Test(arguments: [
        changed { $0.replicationID = "x" }, changed { $0.runID = "x" }, changed { $0.epochKey = "x" },
    ])
    func aCheckSeesEverythingThatMakesAnEpoch(_ changed: NodeIdentity) {
        var machine = self.holding()
        machine.checkEpoch()
        #expect(Said(&machine).sent.map(\.slot) == [.node(.check)])
        machine.replied(.node(.check), .node(changed), now: Self.start)
        let said = Said(&machine)
        #expect(said.saw == [changed.nodeEpoch] && said.joined == [])
        #expect(said.reassertsSent == 1)
        #expect(!machine.isAdmitting)
        machine.replied(.reassert(outcome(1).hold), self.done, now: Self.start)
        #expect(Said(&machine).joined == [changed.nodeEpoch])
        machine.open(changed.nodeEpoch)
        #expect(machine.isAdmitting)
    }

    /// The net under O1: whoever cannot follow the others looks again, and then connects again.
    @Test func aSessionThatIsNotUnderTheOpenEpochConnectsAgain() {
        var machine = self.holding()
        machine.open("another")
        #expect(Said(&machine).sent.map(\.slot) == [.node(.match)])
        machine.replied(.node(.match), .node(Self.node), now: Self.start)
        #expect(Said(&machine).reconnects == 1)
        machine.lost()
        machine.connected(to: Self.node, now: Self.start)
        #expect(Said(&machine).saw == [Self.node.nodeEpoch], "or the gate never hears that it is still here")
    }

    /// L2: the gate went E2, E1, E2 by what another session saw, and forgot that this one had joined E2.
    @Test func aCheckThatFindsNothingNewRepeatsThatTheSessionJoined() {
        var machine = self.holding()
        machine.checkEpoch()
        machine.replied(.node(.check), .node(Self.node), now: Self.start)
        let said = Said(&machine)
        #expect(said.joined == [Self.node.nodeEpoch] && said.saw == [])
    }

    @Test func aReadingThatIsRefusedChangesNothing() {
        var machine = self.holding()
        machine.checkEpoch()
        machine.replied(.node(.check), .refused(.notExecuted(.loading)), now: Self.start)
        let said = Said(&machine)
        #expect(said.saw == [] && said.joined == [] && machine.isAdmitting)
    }

    // MARK: Outcomes that are decided around a change (S4)

    /// The hold was lost with the old epoch before CAPTURE came: no REASSERT puts it back.
    @Test func aCaptureThatFindsNothingUnderAnotherEpochGoesAgainWithForceAndIsVerified() {
        var machine = self.holding()
        machine.capture(outcome(1), now: Self.start)
        #expect(Said(&machine).capturesForced == [false])
        let next = Self.changed { $0.epochKey = "x" }
        machine.replied(.node(.judge), .node(next), now: Self.start)
        #expect(Said(&machine).joined == [], "what is captured must be back, too")
        machine.replied(.capture(outcome(1).hold), .numbers(HoldNumbers(2)), now: Self.start)
        #expect(Said(&machine).capturesForced == [true])
        machine.replied(.capture(outcome(1).hold), .numbers(HoldNumbers(3)), now: Self.start)
        let said = Said(&machine)
        #expect(said.reads == [.verifyCapture(outcome(1).hold, attempt: 1)])
        #expect(said.joined == [next.nodeEpoch])
        #expect(machine.live.isEmpty)
    }

    /// CAPTURE may be the first to meet the new epoch: then the node is asked in front of a second attempt.
    @Test func aCaptureThatFindsNothingIsJudgedByTheNodeAsItIsNow() {
        var machine = self.holding()
        let hold = outcome(1).hold
        machine.capture(outcome(1), now: Self.start)
        _ = Said(&machine)
        machine.replied(.capture(hold), .numbers(HoldNumbers(2)), now: Self.start)
        #expect(Said(&machine).sent.map(\.slot) == [.node(.judge), .capture(hold)])
        machine.replied(.node(.judge), .node(Self.changed { $0.epochKey = "x" }), now: Self.start)
        machine.replied(.capture(hold), .numbers(HoldNumbers(2)), now: Self.start)
        #expect(Said(&machine).capturesForced == [true])
    }

    /// POSTED came first (A1): nothing is written.
    @Test func aCaptureThatFindsNothingUnderTheSameEpochIsOver() {
        var machine = self.holding()
        let hold = outcome(1).hold
        machine.capture(outcome(1), now: Self.start)
        machine.replied(.capture(hold), .numbers(HoldNumbers(2)), now: Self.start)
        machine.replied(.node(.judge), .node(Self.node), now: Self.start)
        machine.replied(.capture(hold), .numbers(HoldNumbers(2)), now: Self.start)
        let said = Said(&machine)
        #expect(said.capturesForced == [false, false] && said.reads == [])
        #expect(machine.live.isEmpty)
    }

    // MARK: REASSERT that does nothing

    /// L13, L14: refused, fenced or unreadable, it is not back; it goes again as what it was.
    @Test(arguments: [
        HoldReply.refused(.notExecuted(.noReplicas)), .refused(.noScript), .numbers(HoldNumbers(-5)),
        .unreadable,
    ])
    func aReassertThatDidNothingIsRepeatedAsAReassert(_ reply: HoldReply) {
        var machine = self.holding()
        let (hold, next) = (outcome(1).hold, Self.changed { $0.replicationID = "x" })
        machine.replied(.node(.check), .node(next), now: Self.start)
        _ = Said(&machine)
        machine.replied(.reassert(hold), reply, now: Self.start)
        let said = Said(&machine)
        #expect(said.joined == [])
        #expect(said.misunderstood == (reply.refusal == nil ? 1 : 0))
        machine.keepUp(now: Self.start + .seconds(1))
        #expect(Said(&machine).reassertsSent == 1)
        machine.replied(.reassert(hold), self.done, now: Self.start)
        #expect(Said(&machine).joined == [next.nodeEpoch])
        machine.keepUp(now: Self.start + .seconds(30))
        #expect(Said(&machine).sent.map(\.slot) == [.touch(hold)], "from now on it is renewed")
    }
}
