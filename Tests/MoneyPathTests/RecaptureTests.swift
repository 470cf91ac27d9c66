import Metering
import Testing

@testable import MoneyPath

@Suite struct RecaptureTests {
    let start = Moment(nanoseconds: 1_000_000_000_000)
    let done = HoldReply.numbers(HoldNumbers(3))

    private func unposted(_ numbers: ClosedRange<UInt64>, isWhole: Bool = true) -> Recapture.Unposted {
        Recapture.Unposted(numbers.map { outcome($0) }, isWhole: isWhole)
    }

    private let nothing = Recapture.Unposted([], isWhole: true)

    private func slots(_ actions: [Recapture.Action]) -> [Recapture.Slot] {
        actions.compactMap { if case .send(_, let slot) = $0 { slot } else { nil } }
    }

    private func commands(_ actions: [Recapture.Action]) -> [Recapture.Command] {
        actions.compactMap { if case .send(let command, _) = $0 { command } else { nil } }
    }

    private func posting(_ number: UInt64) -> PostedAccount {
        PostedAccount(
            balance: LedgerBalance(account: 1, generation: 1, version: 2, balance: Millicredits(9)),
            settled: [SettledHold(hold: outcome(number).hold, amount: Millicredits(5))])
    }

    @Test func itIsFinishedWhenEachCaptureWasAcknowledged() {
        var recapture = Recapture()
        let slots = self.slots(recapture.begin("e", self.unposted(1...2), now: self.start))
        #expect(slots.count == 2)
        #expect(recapture.answered(slots[0], self.done, now: self.start) == [])
        #expect(recapture.answered(slots[1], self.done, now: self.start) == [.finished(epoch: "e")])
        #expect(!recapture.isUnderWay)
    }

    /// Nothing is charged for it, and caps count it.
    @Test func whatIsWaivedIsWrittenAgainAndWhatIsFreeIsNot() {
        var (waived, free) = (outcome(1), outcome(2))
        (waived.kind, waived.charge, waived.shadow) = (.waived, .zero, Millicredits(5))
        (free.charge, free.shadow) = (.zero, .zero)
        var recapture = Recapture()
        let unposted = Recapture.Unposted([waived, free], isWhole: true)
        #expect(self.commands(recapture.begin("e", unposted, now: self.start)) == [.capture(waived)])
    }

    @Test func withNothingToWriteItIsFinishedAtOnce() {
        var recapture = Recapture()
        #expect(recapture.begin("e", self.nothing, now: self.start) == [.finished(epoch: "e")])
    }

    /// S3: NOREPLICAS, MISCONF, OOM and BUSY are what a store in trouble says just after a fail-over.
    @Test(arguments: [
        HoldReply.refused(.notExecuted(.noReplicas)), .refused(.notExecuted(.busy)), .refused(.unknown),
        .numbers(HoldNumbers(-5)), .unreadable,
    ])
    func aRefusedCaptureIsRepeatedAfterAPauseUntilItIsAcknowledged(_ refusal: HoldReply) {
        var recapture = Recapture()
        let slots = self.slots(recapture.begin("e", self.unposted(1...2), now: self.start))
        #expect(recapture.answered(slots[0], refusal, now: self.start) == [])
        #expect(recapture.answered(slots[1], self.done, now: self.start) == [])
        #expect(recapture.isUnderWay)
        let later = self.start + .seconds(1)
        #expect(recapture.tick(self.unposted(1...2), now: self.start + .milliseconds(99)) == [])
        let again = recapture.tick(self.unposted(1...2), now: later)
        #expect(self.commands(again) == [.capture(outcome(1))])
        let slot = self.slots(again)[0]
        #expect(recapture.answered(slot, self.done, now: later) == [.finished(epoch: "e")])
    }

    /// O4: N commands answered NOSCRIPT are sent once more, not N times.
    @Test func forgottenScriptsCostOneRepetitionOfTheRound() {
        var recapture = Recapture()
        let slots = self.slots(recapture.begin("e", self.unposted(1...50), now: self.start))
        var sent: [Recapture.Action] = []
        for slot in slots { sent += recapture.answered(slot, .refused(.noScript), now: self.start) }
        #expect(sent.count { $0 == .reloadScripts } == 1)
        let again = self.slots(sent)
        #expect(again.count == 50)
        for slot in again.dropLast() { #expect(recapture.answered(slot, self.done, now: self.start) == []) }
        #expect(recapture.answered(again[49], self.done, now: self.start) == [.finished(epoch: "e")])
    }

    /// A store that always says NOSCRIPT is not asked without end.
    @Test func scriptsThatDoNotStayAreTriedAgainAfterAPause() {
        var recapture = Recapture()
        var actions = recapture.begin("e", self.unposted(1...1), now: self.start)
        var rounds = 0
        while let slot = self.slots(actions).first, rounds < 20 {
            rounds += 1
            actions = recapture.answered(slot, .refused(.noScript), now: self.start)
        }
        #expect(rounds == 4)
    }

    /// L4: a CAPTURE of the dead connection may still come; its hold was posted meanwhile. The repeated CAPTURE
    /// shuts it out, and POSTED behind it drops what the repeated one wrote.
    @Test func aHoldThatWasPostedWhileItsCaptureWasUnknownIsCapturedAndPostedAgain() {
        var recapture = Recapture()
        _ = recapture.begin("e", self.unposted(1...2), now: self.start)
        recapture.told(self.posting(1))
        let again = recapture.resume(self.unposted(2...2), now: self.start)
        #expect(
            self.commands(again) == [.capture(outcome(1)), .capture(outcome(2)), .post(self.posting(1))])
        let slots = self.slots(again)
        #expect(recapture.answered(slots[0], self.done, now: self.start) == [])
        #expect(recapture.answered(slots[1], self.done, now: self.start) == [])
        // Only POSTED is left, and a second cut repeats no more than that.
        let third = recapture.resume(self.nothing, now: self.start)
        #expect(self.commands(third) == [.post(self.posting(1))])
        #expect(
            recapture.answered(self.slots(third)[0], .numbers(HoldNumbers(1)), now: self.start)
                == [.finished(epoch: "e")])
    }

    /// POSTED follows CAPTURE on one connection: nothing is to be repeated.
    @Test func aHoldThatIsPostedBehindItsCaptureIsNotPostedAgain() {
        var recapture = Recapture()
        let slots = self.slots(recapture.begin("e", self.unposted(1...1), now: self.start))
        recapture.told(self.posting(1))
        #expect(recapture.answered(slots[0], self.done, now: self.start) == [.finished(epoch: "e")])
    }

    /// S3b: what only the journal has cannot be captured yet, so not everything is back.
    @Test func itIsNotFinishedWhileTheJournalAloneHasOutcomes() {
        var recapture = Recapture()
        let slots = self.slots(recapture.begin("e", self.unposted(1...1, isWhole: false), now: self.start))
        #expect(recapture.answered(slots[0], self.done, now: self.start) == [])
        // The ledger took the first, and the second came into memory.
        let later = self.start + .seconds(1)
        let next = recapture.tick(self.unposted(2...2), now: later)
        #expect(self.commands(next) == [.capture(outcome(2))])
        #expect(recapture.answered(self.slots(next)[0], self.done, now: later) == [.finished(epoch: "e")])
    }

    @Test func anotherEpochCapturesEverythingAgain() {
        var recapture = Recapture()
        let slots = self.slots(recapture.begin("e", self.unposted(1...2), now: self.start))
        _ = recapture.answered(slots[0], self.done, now: self.start)
        let again = recapture.begin("f", self.unposted(1...2), now: self.start)
        #expect(self.commands(again).count == 2)
        #expect(recapture.answered(slots[1], self.done, now: self.start) == [], "an answer to the old round")
        for slot in self.slots(again).dropLast() { _ = recapture.answered(slot, self.done, now: self.start) }
        #expect(
            recapture.answered(self.slots(again)[1], self.done, now: self.start) == [.finished(epoch: "f")])
    }
}
