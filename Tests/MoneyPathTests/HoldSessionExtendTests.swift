import Metering
import Testing

@testable import MoneyPath

/// EXTEND of one session (A11), answered by hand.
@Suite struct HoldSessionExtendTests {
    typealias Machine = HoldSessionMachine

    private let node = NodeIdentity(runID: "r", replicationID: "m", epochKey: "k")
    private let start = Moment(nanoseconds: 1_000_000_000_000)
    private let hold = HoldID(high: 9, low: 1)
    private let total = Millicredits(300)
    private let caps = SpendCaps(request: Millicredits(900), day: Millicredits(5_000))

    /// What a session said, in order.
    private struct Said {
        var commands: [HoldCommand] = []
        var answers: [ExtendAnswer] = []
        var verifications = 0
        var reads: [AccountReadPurpose] = []

        init(_ machine: inout Machine) {
            while let action = machine.nextAction() {
                switch action {
                case .send(let command, _, _): self.commands.append(command)
                case .extended(_, let answer): self.answers.append(answer)
                case .verifyShort: self.verifications += 1
                case .readAccount(_, _, let purpose): self.reads.append(purpose)
                default: break
                }
            }
        }

        var totals: [Int64] {
            self.commands.compactMap { command in
                if case .extend(_, _, let total, _, _) = command { total.value } else { nil }
            }
        }

        /// Amounts of REASSERT and TOUCH: what counts as held.
        var amounts: [Int64] {
            self.commands.compactMap { command in
                switch command {
                case .reassert(_, let amount, _), .touch(_, _, let amount, _): amount.value
                default: nil
                }
            }
        }
    }

    /// Connected, admitting, 100 held.
    private func holding(without missing: Set<HoldSessionSettings.Guard> = []) -> Machine {
        var settings = HoldSessionSettings()
        settings.guards.subtract(missing)
        var machine = Machine(boot: BootID(high: 1, low: 1), loop: 0, settings: settings)
        machine.saw(ledgerGeneration: 1)
        machine.connected(to: self.node, now: self.start)
        machine.open(self.node.nodeEpoch)
        let request = PlaceRequest(
            account: 7, hold: self.hold, want: Millicredits(100), least: Millicredits(100),
            inputEstimate: Millicredits(1), priceID: "c@1/m", endpoint: .chat, caps: self.caps)
        let refused = machine.place(request, now: self.start)
        #expect(refused == nil)
        machine.replied(.place(self.hold), .numbers(HoldNumbers(0, 100, 1000)), now: self.start)
        _ = Said(&machine)
        return machine
    }

    private func extending(without missing: Set<HoldSessionSettings.Guard> = []) -> Machine {
        var machine = self.holding(without: missing)
        let isUnderWay = machine.extend(self.hold, to: self.total, now: self.start)
        #expect(isUnderWay && Said(&machine).totals == [300])
        return machine
    }

    private func reply(_ machine: inout Machine, _ numbers: HoldNumbers, after pause: Span = .zero) -> Said {
        machine.replied(.extend(self.hold, total: self.total), .numbers(numbers), now: self.start + pause)
        return Said(&machine)
    }

    private func snapshot(generation: Int64 = 1) -> AccountSnapshot {
        AccountSnapshot(
            balance: LedgerBalance(account: 7, generation: generation, version: 2, balance: Millicredits(50)),
            gate: AccountGate(account: 7, version: 1, floor: .zero, blocked: false), spentLastHour: .zero,
            spentToday: .zero, settled: [])
    }

    // MARK: Answers

    @Test func aGrantRaisesWhatCountsAsHeldAndIsAnsweredOnce() {
        var machine = self.holding()
        machine.progressed(self.hold, charge: Millicredits(40))
        let isUnderWay = machine.extend(self.hold, to: self.total, now: self.start)
        #expect(isUnderWay)
        #expect(
            Said(&machine).commands == [
                .extend(
                    self.hold, of: 7, total: self.total, progress: Millicredits(40), caps: self.caps)
            ])
        #expect(self.reply(&machine, HoldNumbers(0, 300)).answers == [.granted(total: self.total)])
        #expect(self.reply(&machine, HoldNumbers(0, 300)).answers == [])
        machine.lost()
        machine.connected(to: self.node, now: self.start)
        #expect(Said(&machine).amounts == [300], "what is put back is what was granted")
    }

    @Test func whatIsHeldAlreadyNeedsNoCommand() {
        var machine = self.holding()
        let isAnswered = machine.extend(self.hold, to: Millicredits(100), now: self.start)
        let said = Said(&machine)
        #expect(isAnswered && said.commands == [] && said.answers == [.granted(total: Millicredits(100))])
    }

    @Test func oneIsUnderWayAtATimeAndOnlyForAnOpenHold() {
        var machine = self.extending()
        let second = machine.extend(self.hold, to: Millicredits(400), now: self.start)
        let unknown = machine.extend(HoldID(high: 9, low: 2), to: self.total, now: self.start)
        #expect(!second && !unknown && Said(&machine).commands == [])
    }

    @Test func aDenialLeavesTheHoldAsItIs() {
        let resets = HoldNumbers(-4, 3, 77)
        let cases: [(HoldNumbers, ExtendAnswer)] = [
            (resets, .capReached(.day, limit: Millicredits(5_000), resetsAtMilliseconds: 77)),
            (HoldNumbers(3), .takenOver), (HoldNumbers(-5), .unknown), (HoldNumbers(-4, 2, 0), .unknown),
        ]
        for (numbers, answer) in cases {
            var machine = self.extending()
            #expect(self.reply(&machine, numbers).answers == [answer])
            machine.lost()
            machine.connected(to: self.node, now: self.start)
            #expect(Said(&machine).amounts == [100])
        }
    }

    /// G4: who has paid a moment ago goes on.
    @Test(arguments: [HoldNumbers(-2, 20), HoldNumbers(-3)]) func shortIsNeverFinal(_ refusal: HoldNumbers) {
        var machine = self.extending()
        let first = self.reply(&machine, refusal)
        #expect(first.verifications == 1 && first.answers == [])
        machine.verified(
            self.hold, seen: BalanceStamp(generation: 0, version: 0, gateVersion: 0), self.snapshot())
        let again = Said(&machine)
        #expect(again.totals == [300] && again.commands.count == 3, "POSTED and GATE go in front of it")
        #expect(self.reply(&machine, refusal).answers.count == 1, "and now it is final")

        var rash = self.extending(without: [.shortIsNeverFinal])
        #expect(self.reply(&rash, refusal).verifications == 0)
    }

    @Test func aRefusalThatTheLedgerCannotDenyStands() {
        var machine = self.extending()
        _ = self.reply(&machine, HoldNumbers(-2, 20))
        machine.verified(self.hold, seen: BalanceStamp(generation: 0, version: 0, gateVersion: 0), nil)
        #expect(Said(&machine).answers == [.short(available: Millicredits(20))])
    }

    @Test func anEndComesBeforeAnyAnswer() {
        var machine = self.extending()
        machine.release(self.hold, isRecorded: true)
        _ = Said(&machine)
        #expect(self.reply(&machine, HoldNumbers(0, 300)).answers == [])
        machine.keepUp(now: self.start + .seconds(60))
        #expect(Said(&machine).answers == [])
    }

    // MARK: What is lost

    /// K3: the total is absolute, so it may go again; what was not granted is never put back.
    @Test func afterALostConnectionItGoesAgainBehindTheHold() {
        var machine = self.extending()
        machine.lost()
        #expect(Said(&machine).answers == [])
        machine.connected(to: self.node, now: self.start)
        let said = Said(&machine)
        #expect(said.amounts == [100] && said.totals == [300])
        #expect(self.reply(&machine, HoldNumbers(1, 300)).answers == [.granted(total: self.total)])

        var forgetful = self.extending(without: [.reissue])
        forgetful.lost()
        forgetful.connected(to: self.node, now: self.start)
        #expect(Said(&forgetful).totals == [])
    }

    /// The store may have raised it: nobody may use that, and the next TOUCH tells.
    @Test func afterItsDeadlineItIsUnknownAndTOUCHTellsWhatIsHeld() {
        var machine = self.extending()
        machine.keepUp(now: self.start + .seconds(3))
        #expect(Said(&machine).answers == [.unknown])
        machine.keepUp(now: self.start + .seconds(10))
        #expect(Said(&machine).amounts == [100])
        machine.replied(.touch(self.hold), .numbers(HoldNumbers(1, 300)), now: self.start + .seconds(10))
        machine.keepUp(now: self.start + .seconds(20))
        #expect(Said(&machine).amounts == [300])
        let again = machine.extend(self.hold, to: Millicredits(300), now: self.start + .seconds(20))
        #expect(again && Said(&machine).answers == [.granted(total: Millicredits(300))])
    }

    @Test func aLateGrantCountsThoughNobodyWaits() {
        var machine = self.extending()
        machine.keepUp(now: self.start + .seconds(3))
        _ = Said(&machine)
        #expect(self.reply(&machine, HoldNumbers(0, 300), after: .seconds(3)).answers == [])
        machine.lost()
        machine.connected(to: self.node, now: self.start + .seconds(4))
        #expect(Said(&machine).amounts == [300])
    }

    /// F9: the node is asked first whether it lost more than this hold.
    @Test func aHoldThatIsGoneIsPutBackAndThenRaised() {
        var machine = self.extending()
        let said = self.reply(&machine, HoldNumbers(2))
        #expect(said.commands.first == .readNode && said.amounts == [100] && said.answers == [])
        machine.keepUp(now: self.start + .milliseconds(100))
        #expect(Said(&machine).totals == [300])
    }

    @Test(arguments: [StoreRefusal.noScript, .notExecuted(.noReplicas)])
    func aRefusalOfTheStoreIsRepeatedAfterAPause(_ refusal: StoreRefusal) {
        var machine = self.extending()
        machine.replied(.extend(self.hold, total: self.total), .refused(refusal), now: self.start)
        #expect(Said(&machine).totals == [])
        machine.keepUp(now: self.start + .milliseconds(100))
        #expect(Said(&machine).totals == [300])
    }

    // MARK: Balances of another past

    /// PLACE carries the epoch, EXTEND does not: a balance from before a restore must not be spent by growing.
    @Test func afterANewGenerationTheAccountIsLoadedFirst() throws {
        var machine = self.holding()
        machine.saw(ledgerGeneration: 5)
        var isUnderWay = machine.extend(self.hold, to: self.total, now: self.start)
        let said = Said(&machine)
        #expect(isUnderWay && said.totals == [])
        #expect(said.commands.count == 2, "LOAD, and a reading of the node")
        machine.replied(.load(7, number: 1), .listing(incarnation: "i", [self.hold]), now: self.start)
        machine.replied(.node(.load(7, number: 1)), .node(self.node), now: self.start)
        #expect(Said(&machine).reads == [.load(number: 1)])
        machine.accountRead(7, .load(number: 1), .success(self.snapshot(generation: 5)))
        #expect(Said(&machine).totals == [])
        machine.replied(.initialize(7, number: 1), .numbers(HoldNumbers(0)), now: self.start)
        #expect(Said(&machine).totals == [300])

        var believing = self.holding(without: [.epoch])
        believing.saw(ledgerGeneration: 5)
        isUnderWay = believing.extend(self.hold, to: self.total, now: self.start)
        #expect(isUnderWay && Said(&believing).totals == [300])
    }

    /// E2: others may not have put their holds back yet.
    @Test func nothingGrowsWhileTheGateIsShut() {
        var machine = self.holding()
        var next = self.node
        next.epochKey = "x"
        machine.replied(.node(.check), .node(next), now: self.start)
        let isUnderWay = machine.extend(self.hold, to: self.total, now: self.start)
        #expect(isUnderWay && Said(&machine).totals == [])
        machine.keepUp(now: self.start + .seconds(3))
        #expect(Said(&machine).answers == [.unknown])
    }

    /// The hash has the hold and no balance: it was put back into an empty store.
    @Test func anAccountWithoutABalanceIsLoaded() {
        var machine = self.extending()
        let said = self.reply(&machine, HoldNumbers(-1))
        #expect(said.answers == [] && said.commands.count == 2)
        guard case .load(let account, _)? = said.commands.first else {
            Issue.record("LOAD goes first: \(said.commands)")
            return
        }
        #expect(account == 7)
    }
}
