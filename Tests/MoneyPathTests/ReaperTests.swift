import Metering
import Testing

@testable import MoneyPath

/// Rule F1: who is dead, and above all who is not.
@Suite struct PeerLivenessTests {
    private let start = Moment(nanoseconds: 1_000_000_000_000)
    private let peer = BootID(high: 1, low: 2)

    private func beats(_ liveness: inout PeerLiveness, _ counter: Int64, from: Int64, through: Int64) {
        for second in stride(from: from, through: through, by: 5) {
            liveness.heard([self.peer: counter], now: self.start + .seconds(second))
        }
    }

    private func isDead(_ liveness: inout PeerLiveness, _ boot: BootID, at moment: Moment) -> Bool {
        liveness.isDead(boot, now: moment)
    }

    @Test func aCounterThatStandsStillForTheGraceIsDeath() {
        var liveness = PeerLiveness()
        self.beats(&liveness, 7, from: 0, through: 55)
        #expect(!self.isDead(&liveness, self.peer, at: self.start + .seconds(59)))
        self.beats(&liveness, 7, from: 60, through: 60)
        #expect(self.isDead(&liveness, self.peer, at: self.start + .seconds(60)))
    }

    @Test func oneBeatIsLife() {
        var liveness = PeerLiveness()
        self.beats(&liveness, 7, from: 0, through: 55)
        self.beats(&liveness, 8, from: 60, through: 100)
        #expect(!self.isDead(&liveness, self.peer, at: self.start + .seconds(100)))
    }

    /// C1: an outage of the ledger, or a pause of ours, makes nobody dead: what was seen before proves nothing.
    @Test func aGapOfOurOwnBeginsTheGraceAnew() {
        var liveness = PeerLiveness()
        self.beats(&liveness, 7, from: 0, through: 10)
        self.beats(&liveness, 7, from: 300, through: 355)
        #expect(!self.isDead(&liveness, self.peer, at: self.start + .seconds(355)))
        self.beats(&liveness, 7, from: 360, through: 360)
        #expect(self.isDead(&liveness, self.peer, at: self.start + .seconds(360)))
        // And while we hear nothing ourselves, we judge nobody.
        #expect(!self.isDead(&liveness, self.peer, at: self.start + .seconds(400)))
    }

    /// An owner that no heartbeat ever named is watched from when it is asked about.
    @Test func anUnknownBootGetsTheGraceAsWell() {
        var liveness = PeerLiveness()
        let unknown = BootID(high: 9, low: 9)
        self.beats(&liveness, 1, from: 0, through: 0)
        #expect(!self.isDead(&liveness, unknown, at: self.start))
        self.beats(&liveness, 2, from: 5, through: 60)
        #expect(self.isDead(&liveness, unknown, at: self.start + .seconds(60)))
    }
}

@Suite struct SweepTests {
    private let me = BootID(high: 1, low: 1)
    private let other = BootID(high: 2, low: 2)
    private let account: AccountID = 5

    private func hold(_ low: UInt64, _ owner: HoldOwner, progress: Int64? = nil) -> StoredHold {
        StoredHold(
            hold: HoldID(high: 7, low: low), amount: Millicredits(100), deadlineMilliseconds: 0, owner: owner,
            placedMilliseconds: 1, inputEstimate: Millicredits(30), priceID: "c@1/m", endpoint: .chat,
            progress: progress.map { Millicredits($0) })
    }

    private func steps(_ holds: [StoredHold], _ owner: Sweep.Owner, known: Set<HoldID> = []) -> [Sweep.Step] {
        Sweep(me: self.me).steps(
            for: StoredAccount(account: self.account, holds: holds, captures: []), known: known.contains,
            owner: { $0 == self.me ? .me : owner }, opened: { _, _ in false })
    }

    @Test func theLivingAndTheKnownAreLeftAlone() {
        #expect(self.steps([self.hold(1, HoldOwner(self.other))], .live).isEmpty)
        let mine = self.hold(2, HoldOwner(self.me))
        #expect(self.steps([mine], .live, known: [mine.hold]).isEmpty)
    }

    /// F3: first it is taken over, then it is settled.
    @Test func aHoldOfTheDeadIsReapedBeforeItIsSettled() {
        let left = self.hold(1, HoldOwner(self.other), progress: 44)
        #expect(self.steps([left], .dead) == [.reap(left.hold, from: HoldOwner(self.other))])
        let sweep = Sweep(me: self.me)
        #expect(sweep.reaped(nil, of: self.account).isEmpty)
        guard case .record(let orphan)? = sweep.reaped(left, of: self.account).first else {
            Issue.record("nothing is settled")
            return
        }
        #expect(orphan.charge.amount == Millicredits(44) && orphan.authority == .reaper)
        #expect(orphan.owner == self.other)
    }

    /// The estimate is the last progress, the input when none was said, and never more than the hold.
    @Test func whatAReaperCharges() {
        let owner = HoldOwner(self.other)
        func charge(_ progress: Int64?) -> Int64 {
            self.hold(1, owner, progress: progress).orphan(of: self.account).charge.amount.value
        }
        #expect(charge(nil) == 30 && charge(0) == 0 && charge(70) == 70 && charge(400) == 100)
    }

    /// REAP whose answer was lost: the hold bears our name, and is settled in the dead one's.
    @Test func whatWeTookOverWithoutHearingSoIsSettledNotGivenBack() {
        let taken = self.hold(1, HoldOwner(self.other, reaper: self.me))
        #expect(self.steps([taken], .dead) == [.lookUp([taken.hold])])
        let account = StoredAccount(account: self.account, holds: [taken], captures: [])
        let steps = Sweep(me: self.me).read([taken.hold], settled: [], in: account, opened: { _, _ in false })
        #expect(steps == [.record(taken.orphan(of: self.account))])
        // And a reaper that died with it is followed by the next one.
        let third = BootID(high: 3, low: 3)
        let orphaned = self.hold(2, HoldOwner(self.other, reaper: third))
        #expect(self.steps([orphaned], .dead) == [.reap(orphaned.hold, from: orphaned.owner)])
    }

    /// F7: VOID or POSTED, as the ledger says.
    @Test func anEntryOfOursThatNobodyKnowsIsEnded() {
        let mine = self.hold(1, HoldOwner(self.me))
        #expect(self.steps([mine], .live) == [.lookUp([mine.hold])])
        let account = StoredAccount(account: self.account, holds: [mine], captures: [])
        let sweep = Sweep(me: self.me)
        let never = sweep.read([mine.hold], settled: [], in: account, opened: { _, _ in false })
        #expect(never == [.release(mine.hold, owner: self.me)])
        let settled = SettledHold(hold: mine.hold, amount: Millicredits(9))
        let posted = sweep.read([mine.hold], settled: [settled], in: account, opened: { _, _ in false })
        #expect(posted == [.posted([settled])])
        #expect(sweep.released(mine, of: self.account, takenOver: false).isEmpty)
        guard case .record(let void)? = sweep.released(mine, of: self.account, takenOver: true).first else {
            Issue.record("a reaper's estimate would stand")
            return
        }
        #expect(void.kind == .void && void.authority == .owner)
    }

    /// C6: an estimate of the same amount, as 0 of a waived hold always is, does not stand for what its owner captured.
    @Test func aCaptureAboveTheEstimateThatCountsIsSaidOnceMore() {
        let settlement = Settlement(
            account: self.account, hold: self.hold(1, HoldOwner(self.me)).hold, owner: self.me, kind: .waived,
            authority: .owner, endpoint: .chat, modelRequested: "m", priceID: "c@1/m",
            usage: Usage(input: 1, output: 2), charge: .zero, shadow: Millicredits(7),
            occurredAtMilliseconds: 1)
        let capture = StoredCapture(hold: settlement.hold, amount: .zero, settlement: settlement)
        let account = StoredAccount(account: self.account, holds: [], captures: [capture])
        for authority in Settlement.Authority.allCases {
            let settled = SettledHold(hold: capture.hold, amount: .zero, authority: authority)
            let steps = Sweep(me: self.me)
                .read([capture.hold], settled: [settled], in: account, opened: { _, _ in false })
            let more: [Sweep.Step] = authority == .owner ? [] : [.record(settlement)]
            #expect(steps == [.posted([settled])] + more)
        }
    }

    @Test func ownersAreReadAsTheyAreWritten() {
        for owner in [HoldOwner(self.other), HoldOwner(self.other, reaper: self.me)] {
            #expect(HoldOwner(text: owner.description) == owner)
        }
        #expect(HoldOwner(text: "") == nil && HoldOwner(text: "\(self.me)~") == nil)
        #expect(HoldOwner(text: "\(self.me)~\(self.me)~\(self.me)") == nil)
    }
}
