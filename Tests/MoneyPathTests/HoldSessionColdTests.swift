import Metering
import Testing

@testable import MoneyPath

/// Cold loads of the session machine, without a store.
@Suite struct HoldSessionColdTests {
    private let boot = BootID(high: 1, low: 1)
    private let start = Moment(nanoseconds: 1_000_000_000_000)
    private let node = NodeIdentity(runID: "r", replicationID: "m", epochKey: "k")

    private var snapshot: AccountSnapshot {
        AccountSnapshot(
            balance: LedgerBalance(account: 7, generation: 1, version: 1, balance: Millicredits(50)),
            gate: AccountGate(account: 7, version: 1, floor: .zero, blocked: false), spentLastHour: .zero,
            spentToday: .zero, settled: [])
    }

    private func request(_ low: UInt64) -> PlaceRequest {
        PlaceRequest(
            account: 7, hold: HoldID(high: 9, low: low), want: Millicredits(10), least: Millicredits(10),
            inputEstimate: Millicredits(1), priceID: "c@1/m", endpoint: .chat)
    }

    private func drain(
        _ machine: inout HoldSessionMachine
    ) -> [HoldSessionMachine.Action] {
        var actions: [HoldSessionMachine.Action] = []
        while let action = machine.nextAction() { actions.append(action) }
        return actions
    }

    /// Rule E4: a hold that is in use can only be settled by an estimate, made while its owner was paused. INIT must not
    /// drop it, or its money could be spent a second time.
    @Test func anEstimateDoesNotDropAHoldInUse() {
        var machine = HoldSessionMachine(boot: self.boot, loop: 0)
        machine.connected(to: self.node, now: self.start)
        machine.open(self.node.nodeEpoch)
        let (used, next) = (self.request(1), self.request(2))
        let refused = machine.place(used, now: self.start)
        #expect(refused == nil)
        machine.replied(.place(used.hold), .numbers(HoldNumbers(0, 10, 100)), now: self.start)
        let refusedNext = machine.place(next, now: self.start)
        #expect(refusedNext == nil)
        machine.replied(.place(next.hold), .numbers(HoldNumbers(-1)), now: self.start)
        var load: (slot: HoldSlot, number: Int64)?
        for case .send(.load, let slot, _) in self.drain(&machine) {
            if case .load(_, let number) = slot { load = (slot, number) }
        }
        guard let load else {
            Issue.record("a cold account is loaded")
            return
        }
        machine.replied(load.slot, .listing(incarnation: "i", [used.hold]), now: self.start)
        machine.replied(.node(.load(7, number: load.number)), .node(self.node), now: self.start)
        let gone = SettledHold(hold: HoldID(high: 9, low: 3), amount: Millicredits(4))
        let snapshot = AccountSnapshot(
            balance: LedgerBalance(account: 7, generation: 1, version: 1, balance: Millicredits(50)),
            gate: AccountGate(account: 7, version: 1, floor: .zero, blocked: false), spentLastHour: .zero,
            spentToday: .zero, settled: [SettledHold(hold: used.hold, amount: Millicredits(1)), gone])
        machine.accountRead(7, .load(number: load.number), .success(snapshot))
        var dropped: [SettledHold]?
        for case .send(.initialize(_, _, _, let sent), _, _) in self.drain(&machine) {
            dropped = sent.settled
        }
        #expect(dropped == [gone])
    }

    /// The simulator's seed 1779 (store): FLUSHALL came after the node was read and before LOAD. Stamped with the old
    /// epoch, the account would be spent from before anybody's holds are back.
    @Test func aLossInFrontOfLOADIsNotStampedWithTheOldEpoch() throws {
        var machine = HoldSessionMachine(boot: self.boot, loop: 0)
        machine.connected(to: self.node, now: self.start)
        machine.open(self.node.nodeEpoch)
        let (used, next) = (self.request(1), self.request(2))
        let refused = machine.place(used, now: self.start)
        #expect(refused == nil)
        machine.replied(.place(used.hold), .numbers(HoldNumbers(0, 10, 100)), now: self.start)
        let refusedNext = machine.place(next, now: self.start)
        #expect(refusedNext == nil)
        machine.replied(.place(next.hold), .numbers(HoldNumbers(-1)), now: self.start)
        _ = self.drain(&machine)
        machine.replied(.load(7, number: 1), .listing(incarnation: "i", []), now: self.start)
        #expect(self.drain(&machine).isEmpty, "the ledger is asked when the node is known to be the same")
        var flushed = self.node
        flushed.epochKey = "other"
        machine.replied(.node(.load(7, number: 1)), .node(flushed), now: self.start)
        var isBack = false
        for case .send(.reassert(let request, _, _), _, _) in self.drain(&machine) {
            isBack = isBack || request.hold == used.hold
        }
        #expect(isBack)
        machine.accountRead(7, .load(number: 1), .success(self.snapshot))
        var stamped: [String] = []
        for case .send(.initialize(_, _, let epoch, _), _, _) in self.drain(&machine) {
            stamped.append(epoch)
        }
        #expect(stamped == [flushed.epoch(ledgerGeneration: 1)])
        machine.replied(.initialize(7, number: 1), .numbers(HoldNumbers(0)), now: self.start)
        var answers: [PlaceAnswer] = []
        for case .answer(_, let answer) in self.drain(&machine) { answers.append(answer) }
        #expect(answers == [.unavailable(.recovering)])
    }

    /// LOAD did its work, and the node does not say what it is: nothing is stamped.
    @Test func aNodeThatDoesNotSayWhatItIsIsNotStamped() {
        var machine = HoldSessionMachine(boot: self.boot, loop: 0)
        machine.connected(to: self.node, now: self.start)
        machine.open(self.node.nodeEpoch)
        let refused = machine.place(self.request(1), now: self.start)
        #expect(refused == nil)
        machine.replied(.place(self.request(1).hold), .numbers(HoldNumbers(-1)), now: self.start)
        machine.replied(.load(7, number: 1), .listing(incarnation: "i", []), now: self.start)
        machine.replied(.node(.load(7, number: 1)), .refused(.notExecuted(.loading)), now: self.start)
        var answers: [PlaceAnswer] = []
        for case .answer(_, let answer) in self.drain(&machine) { answers.append(answer) }
        #expect(answers == [.unavailable(.storeRefused)])
    }
}
