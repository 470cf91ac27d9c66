import Metering
import Testing

@testable import MoneyPath

@Suite struct PostingOutboxTests {
    let start = Moment(nanoseconds: 1_000_000_000_000)

    func receipt(_ version: Int64, _ balance: Int64, quarantined: [HoldID] = []) -> SettlementReceipt {
        SettlementReceipt(
            balances: [
                LedgerBalance(account: 1, generation: 1, version: version, balance: Millicredits(balance))
            ], quarantined: quarantined)
    }

    /// What `next` sends; empty when it sends nothing.
    func sent(_ outbox: inout PostingOutbox) -> [PostedAccount] {
        if case .post(let postings) = outbox.next() { return postings }
        return []
    }

    @Test func postingsOfOneAccountMergeToTheNewestBalance() {
        var outbox = PostingOutbox()
        outbox.add([outcome(1)], self.receipt(2, 90), through: nil)
        outbox.add([outcome(2)], self.receipt(1, 95), through: nil)
        let postings = self.sent(&outbox)
        #expect(postings.count == 1)
        #expect(postings.first?.balance.version == 2)
        #expect(postings.first?.settled.map(\.hold.low) == [1, 2])
        _ = outbox.failed(now: self.start, draining: false)
        #expect(self.sent(&outbox) == postings, "the same goes again")
        _ = outbox.acknowledged()
        #expect(outbox.next() == .idle)
    }

    /// Repeats change nothing in the ledger, but the store may still hold them (MONEY_PATH A4).
    @Test func anAccountWithoutNewRowsIsStillTold() {
        var outbox = PostingOutbox()
        outbox.add([outcome(1)], self.receipt(3, 80), through: nil)
        #expect(self.sent(&outbox).first?.settled.count == 1)
    }

    /// A row in quarantine was not posted: its hold must stay until a person has decided.
    @Test func aQuarantinedHoldIsNotDropped() {
        var outbox = PostingOutbox()
        outbox.add(
            [outcome(1), outcome(2)], self.receipt(3, 80, quarantined: [HoldID(high: 7, low: 1)]),
            through: nil)
        #expect(self.sent(&outbox).first?.settled.map(\.hold.low) == [2])
    }

    /// The poster finds nothing, and only then do the last batch and the end come: it must look once more.
    @Test func theLastBatchIsToldThoughNothingWaitedBefore() {
        var outbox = PostingOutbox()
        #expect(outbox.next() == .idle)
        outbox.add([outcome(1)], self.receipt(1, 95), through: nil)
        outbox.close()
        #expect(self.sent(&outbox).first?.settled.map(\.hold.low) == [1])
        _ = outbox.acknowledged()
        #expect(outbox.next() == .done)
    }

    /// A Redis that fails over needs seconds; failures from before the drain are no reason not to wait for it.
    @Test func aDrainWaitsTenSecondsForTheStoreWhateverFailedBefore() {
        var outbox = PostingOutbox()
        outbox.add([outcome(1)], self.receipt(1, 95), through: nil)
        for _ in 0..<100 {
            _ = outbox.next()
            #expect(outbox.failed(now: self.start, draining: false) != .giveUp)
        }
        outbox.close()
        var now = self.start
        var action = PostingOutbox.FailedAction.giveUp
        repeat {
            #expect(!self.sent(&outbox).isEmpty)
            action = outbox.failed(now: now, draining: true)
            if case .again(let pause) = action {
                #expect(pause > .zero && pause <= .seconds(1))
                now = now + pause
            }
        } while action != .giveUp
        #expect(now - self.start == .seconds(10))
        #expect(outbox.untold == (accounts: 1, holds: 1), "what is dropped can be told")
    }

    /// The store that comes back in time is told, and may fail again for as long.
    @Test func anAnswerEndsTheWaitingThatBeganBeforeIt() {
        var outbox = PostingOutbox(patience: .seconds(10))
        outbox.add([outcome(1)], self.receipt(1, 95), through: nil)
        _ = outbox.next()
        _ = outbox.failed(now: self.start, draining: true)
        _ = outbox.next()
        _ = outbox.acknowledged()
        outbox.add([outcome(2)], self.receipt(2, 90), through: nil)
        outbox.close()
        _ = outbox.next()
        let late = self.start + .seconds(11)
        #expect(outbox.failed(now: late, draining: true) != .giveUp)
    }

    /// As long as the ledger is waited for, nothing is gained by leaving the store alone.
    @Test func theStoreIsNotGivenUpWhileBatchesMayCome() {
        var outbox = PostingOutbox(patience: .seconds(10))
        outbox.add([outcome(1)], self.receipt(1, 95), through: nil)
        for seconds in 0..<60 {
            _ = outbox.next()
            let now = self.start + .seconds(seconds)
            #expect(outbox.failed(now: now, draining: true) != .giveUp)
        }
        outbox.close()
        _ = outbox.next()
        #expect(outbox.failed(now: self.start + .seconds(61), draining: true) == .giveUp)
    }

    /// Whatever the store answers: at the end each settled hold was told, or is counted as untold.
    @Test func everySettledHoldIsToldOrCounted() {
        let seed = UInt64.random(in: .min ... .max)
        print("PostingOutbox random answers, seed \(seed)")
        var dice = Dice(state: seed)
        for _ in 0..<2000 {
            var outbox = PostingOutbox(patience: .seconds(Int.random(in: 0...5, using: &dice)))
            var (told, added, now): (Set<HoldID>, UInt64, Moment) = ([], 0, self.start)
            let total = UInt64.random(in: 0...8, using: &dice)
            ending: while true {
                if added < total, Bool.random(using: &dice) {
                    added += 1
                    outbox.add([outcome(added)], self.receipt(Int64(added), 0), through: nil)
                } else if added == total {
                    outbox.close()
                }
                switch outbox.next() {
                case .idle: continue
                case .done: break ending
                case .post(let postings) where Bool.random(using: &dice):
                    told.formUnion(postings.flatMap(\.settled).map(\.hold))
                    _ = outbox.acknowledged()
                case .post:
                    now = now + .milliseconds(Int.random(in: 0...900, using: &dice))
                    if outbox.failed(now: now, draining: true) == .giveUp { break ending }
                }
            }
            guard told.count + outbox.untold.holds == Int(total) else {
                Issue.record("seed \(seed): \(told.count) told, \(outbox.untold) untold of \(total)")
                return
            }
        }
    }
}

/// Steele, Lea, Flood: a generator whose whole state is its seed, so that a failure can be replayed.
private struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
