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
        if case .post(let postings) = outbox.next(now: self.start) { return postings }
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
        #expect(outbox.next(now: self.start) == .idle)
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
        #expect(outbox.next(now: self.start) == .idle)
        outbox.add([outcome(1)], self.receipt(1, 95), through: nil)
        outbox.close()
        #expect(self.sent(&outbox).first?.settled.map(\.hold.low) == [1])
        _ = outbox.acknowledged()
        #expect(outbox.next(now: self.start) == .done)
    }

    /// A Redis that fails over needs seconds; failures from before the drain are no reason not to wait for it.
    @Test func aDrainWaitsTenSecondsForTheStoreWhateverFailedBefore() {
        var outbox = PostingOutbox()
        outbox.add([outcome(1)], self.receipt(1, 95), through: nil)
        for _ in 0..<100 {
            _ = outbox.next(now: self.start)
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
        _ = outbox.next(now: self.start)
        _ = outbox.failed(now: self.start, draining: true)
        _ = outbox.next(now: self.start)
        _ = outbox.acknowledged()
        outbox.add([outcome(2)], self.receipt(2, 90), through: nil)
        outbox.close()
        _ = outbox.next(now: self.start)
        let late = self.start + .seconds(11)
        #expect(outbox.failed(now: late, draining: true) != .giveUp)
    }

    /// As long as the ledger is waited for, nothing is gained by leaving the store alone.
    @Test func theStoreIsNotGivenUpWhileBatchesMayCome() {
        var outbox = PostingOutbox(patience: .seconds(10))
        outbox.add([outcome(1)], self.receipt(1, 95), through: nil)
        for seconds in 0..<60 {
            _ = outbox.next(now: self.start)
            let now = self.start + .seconds(seconds)
            #expect(outbox.failed(now: now, draining: true) != .giveUp)
        }
        outbox.close()
        _ = outbox.next(now: self.start)
        #expect(outbox.failed(now: self.start + .seconds(61), draining: true) == .giveUp)
    }

    // MARK: Accounts that are refused

    /// Two accounts, 1 and 2, of one batch each.
    private func ofTwoAccounts() -> PostingOutbox {
        var outbox = PostingOutbox()
        for account: AccountID in 1...2 {
            let balance = LedgerBalance(account: account, generation: 1, version: 1, balance: .zero)
            outbox.add(
                [outcome(UInt64(account), account: account)], SettlementReceipt(balances: [balance]),
                through: UInt64(account) * 10)
        }
        return outbox
    }

    /// O6: one key of another type must not keep everybody's balance from the store.
    @Test func anAccountThatIsRefusedWaitsByItselfAndOnlyTheWatermarkWaitsForIt() {
        var outbox = self.ofTwoAccounts()
        #expect(self.sent(&outbox).map(\.balance.account) == [1, 2])
        #expect(
            outbox.refused([1], now: self.start, draining: false) == .goOn(acknowledge: nil),
            "the journal still has to keep batch 1, and so everything behind it")
        let retry = self.start + .milliseconds(50)
        #expect(outbox.next(now: self.start) == .wait(until: retry))
        outbox.add(
            [outcome(3, account: 2)],
            SettlementReceipt(balances: [LedgerBalance(account: 2, generation: 1, version: 2, balance: .zero)]
            ),
            through: 30)
        #expect(self.sent(&outbox).map(\.balance.account) == [2])
        #expect(outbox.acknowledged() == nil)
        guard case .post(let postings) = outbox.next(now: retry) else {
            Issue.record("the refused one is due")
            return
        }
        #expect(postings.map(\.balance.account) == [1])
        #expect(outbox.acknowledged() == 30)
        #expect(outbox.next(now: retry) == .idle)
    }

    /// What is before the refused account's batch is safe to forget.
    @Test func theWatermarkComesUpToTheFirstBatchThatIsNotTold() {
        var outbox = self.ofTwoAccounts()
        _ = self.sent(&outbox)
        #expect(outbox.refused([2], now: self.start, draining: false) == .goOn(acknowledge: 10))
    }

    @Test func anAccountThatIsRefusedForGoodEndsTheDrainAfterItsPatience() {
        var outbox = self.ofTwoAccounts()
        outbox.close()
        var now = self.start
        var action = PostingOutbox.RefusedAction.giveUp
        repeat {
            switch outbox.next(now: now) {
            case .wait(let until): now = until
            case .post: action = outbox.refused([1], now: now, draining: true)
            case .idle, .done: Issue.record("it was never told")
            }
        } while action != .giveUp && now < self.start + .seconds(60)
        #expect(action == .giveUp && now - self.start >= .seconds(10) && now - self.start < .seconds(12))
        #expect(outbox.untold == (accounts: 1, holds: 1))
    }

    // MARK: Bounds

    /// A store that was away for an hour gets its backlog in parts that it can execute in time.
    @Test func noMoreThanABoundOfHoldsGoesAtOnceOldestFirst() {
        var limits = PostingOutbox.Limits()
        limits.holdsPerPostMax = 3
        var outbox = PostingOutbox(limits: limits)
        outbox.add((1...5).map { outcome($0) }, self.receipt(1, 0), through: 5)
        let balance = LedgerBalance(account: 2, generation: 1, version: 1, balance: .zero)
        outbox.add([outcome(6, account: 2)], SettlementReceipt(balances: [balance]), through: 6)
        #expect(self.sent(&outbox).flatMap(\.settled).map(\.hold.low) == [1, 2, 3])
        #expect(outbox.untold == (accounts: 2, holds: 6))
        #expect(outbox.acknowledged() == nil, "two holds of the first batch are not told")
        #expect(self.sent(&outbox).flatMap(\.settled).map(\.hold.low) == [4, 5, 6])
        #expect(outbox.acknowledged() == 6)
    }

    /// Posting again to a new generation of the ledger brings every hold once more.
    @Test func aHoldThatComesTwiceIsToldOnce() {
        var outbox = PostingOutbox()
        for version: Int64 in 1...3 { outbox.addIfOpen([outcome(1), outcome(2)], self.receipt(version, 0)) }
        #expect(self.sent(&outbox).first?.settled.map(\.hold.low) == [1, 2])
        outbox.addIfOpen([outcome(1)], self.receipt(4, 0))
        _ = outbox.failed(now: self.start, draining: false)
        #expect(self.sent(&outbox).first?.settled.map(\.hold.low).sorted() == [1, 2])
    }

    @Test func anOutboxThatIsBehindSaysSo() {
        var limits = PostingOutbox.Limits()
        limits.holdsMax = 2
        var outbox = PostingOutbox(limits: limits)
        outbox.add([outcome(1), outcome(2)], self.receipt(1, 0), through: nil)
        #expect(!outbox.isFull)
        outbox.add([outcome(3)], self.receipt(2, 0), through: nil)
        #expect(outbox.isFull)
    }

    /// Whatever is refused, failed or split: the watermark never passes a batch of which something is not told.
    @Test func theWatermarkNeverPassesAnUntoldBatch() {
        let seed = UInt64.random(in: .min ... .max)
        print("PostingOutbox watermark, seed \(seed)")
        var dice = SplitMix(state: seed)
        var limits = PostingOutbox.Limits()
        limits.holdsPerPostMax = 4
        for _ in 0..<500 {
            var outbox = PostingOutbox(limits: limits)
            var (now, number, watermark): (Moment, UInt64, UInt64) = (self.start, 0, 0)
            var untold: [HoldID: UInt64] = [:]
            func check(_ through: UInt64?) -> Bool {
                guard let through else { return true }
                watermark = max(watermark, through)
                return untold.values.allSatisfy { $0 > through }
            }
            for batch: UInt64 in 1...20 {
                var rows: [Settlement] = []
                for _ in 0..<Int.random(in: 1...6, using: &dice) {
                    number += 1
                    rows.append(outcome(number, account: AccountID.random(in: 1...3, using: &dice)))
                    untold[rows[rows.count - 1].hold] = batch
                }
                let accounts = Set(rows.map(\.account))
                outbox.add(
                    rows,
                    SettlementReceipt(
                        balances: accounts.map {
                            LedgerBalance(account: $0, generation: 1, version: Int64(batch), balance: .zero)
                        }), through: batch)
                for _ in 0..<(batch == 20 ? 200 : 2) {
                    now = now + .milliseconds(Int.random(in: 0...900, using: &dice))
                    guard case .post(let postings) = outbox.next(now: now) else { continue }
                    let refused = postings.map(\.balance.account).filter { _ in
                        batch < 20 && Int.random(in: 0..<3, using: &dice) == 0
                    }
                    if batch < 20, Int.random(in: 0..<4, using: &dice) == 0 {
                        _ = outbox.failed(now: now, draining: false)
                        continue
                    }
                    for posting in postings where !refused.contains(posting.balance.account) {
                        for settled in posting.settled { untold[settled.hold] = nil }
                    }
                    var through: UInt64?
                    if case .goOn(let acknowledge) = outbox.refused(Set(refused), now: now, draining: false) {
                        through = acknowledge
                    }
                    guard check(through) else {
                        Issue.record("seed \(seed): acknowledged up to \(through ?? 0), untold \(untold)")
                        return
                    }
                }
            }
            guard untold.isEmpty, watermark == 20 else {
                Issue.record("seed \(seed): at the end \(untold.count) untold, watermark \(watermark)")
                return
            }
        }
    }

    /// Whatever the store answers: at the end each settled hold was told, or is counted as untold.
    @Test func everySettledHoldIsToldOrCounted() {
        let seed = UInt64.random(in: .min ... .max)
        print("PostingOutbox random answers, seed \(seed)")
        var dice = SplitMix(state: seed)
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
                switch outbox.next(now: now) {
                case .idle, .wait: continue
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
