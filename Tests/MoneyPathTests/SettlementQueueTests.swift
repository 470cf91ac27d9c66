import Metering
import Testing

@testable import MoneyPath

/// Builds outcomes of account 1, with ids that tell their order.
func outcome(_ number: UInt64, account: AccountID = 1, amount: Int64 = 5) -> Settlement {
    Settlement(
        account: account, hold: HoldID(high: 7, low: number), owner: HoldID(high: 1, low: 1), kind: .final,
        authority: .owner, endpoint: .chat, modelRequested: "gpt-4o-mini", priceID: "c@1/gpt-4o-mini",
        usage: Usage(input: 1, output: 1), charge: Charge(amount: Millicredits(amount), cost: .zero),
        occurredAtMilliseconds: 1)
}

@Suite struct SettlementQueueTests {
    let start = Moment(nanoseconds: 1_000_000_000_000)

    @Test func anIncompleteBatchWaitsForItsDelay() {
        var queue = SettlementQueue()
        #expect(queue.next(now: self.start, draining: false) == .idle)
        #expect(queue.record(PendingOutcome(outcome(1), sequence: nil), now: self.start) == true)
        #expect(queue.record(PendingOutcome(outcome(2), sequence: nil), now: self.start) == false)
        let due = self.start + .milliseconds(20)
        #expect(queue.next(now: self.start, draining: false) == .wait(until: due))
        #expect(queue.next(now: due, draining: false) == .send([outcome(1), outcome(2)]))
        #expect(queue.next(now: due, draining: false) == .busy)
        _ = queue.committed()
        #expect(queue.backlog == 0)
    }

    @Test func aFullBatchGoesAtOnceAndTheRestStaysInOrder() {
        var queue = SettlementQueue(limits: .init(batchRowsMax: 2))
        for number in 1...5 {
            _ = queue.record(PendingOutcome(outcome(UInt64(number)), sequence: nil), now: self.start)
        }
        var sent: [Settlement] = []
        for expected in [2, 2] {
            guard case .send(let batch) = queue.next(now: self.start, draining: false) else {
                Issue.record("no batch")
                return
            }
            #expect(batch.count == expected)
            sent += batch
            _ = queue.committed()
        }
        #expect(queue.next(now: self.start, draining: true) == .send([outcome(5)]))
        #expect(sent == (1...4).map { outcome(UInt64($0)) })
    }

    /// An unknown commit may have happened: the very same outcomes go again, in front of newer ones.
    @Test func aFailedBatchIsSentAgainAfterAPause() {
        var queue = SettlementQueue()
        _ = queue.record(PendingOutcome(outcome(1), sequence: nil), now: self.start)
        _ = queue.next(now: self.start, draining: true)
        let pause = queue.failed(now: self.start, jitter: 0)
        _ = queue.record(PendingOutcome(outcome(2), sequence: nil), now: self.start)
        let retry = self.start + pause
        #expect(queue.next(now: self.start, draining: true) == .wait(until: retry))
        #expect(queue.next(now: retry, draining: true) == .send([outcome(1)]))
        #expect(queue.failed(now: retry, jitter: 0) > pause)
        #expect(queue.backlog == 2)
    }

    /// Memory is bounded: what does not fit stays in the journal, and comes back in its order.
    @Test func aLongBacklogIsReadFromTheJournal() {
        var queue = SettlementQueue(limits: .init(batchRowsMax: 2, memoryMax: 4))
        let journal = (1...11).map { PendingOutcome(outcome(UInt64($0)), sequence: UInt64($0)) }
        for entry in journal { _ = queue.record(entry, now: self.start) }
        #expect(queue.backlog == 11 && queue.unposted.count == 4)
        var sent: [Settlement] = []
        var watermarks: [UInt64?] = []
        var next: UInt64 = 12
        while sent.count < 14 {
            switch queue.next(now: self.start, draining: true) {
            case .send(let batch):
                sent += batch
                watermarks.append(queue.committed())
                // Outcomes that come meanwhile keep their place.
                if next <= 14 {
                    _ = queue.record(
                        PendingOutcome(outcome(next), sequence: next), now: self.start)
                    next += 1
                }
            case .read(let from, let limit):
                let rest = (from..<next).prefix(limit).map { number in
                    JournaledOutcome(sequence: number, settlement: outcome(number))
                }
                let page = JournalPage(outcomes: rest)
                #expect(queue.refill(page, from: from, limit: limit, now: self.start) == .refilled)
            case .wait, .idle, .busy:
                Issue.record("nothing to do with \(sent.count) sent")
                return
            }
        }
        #expect(sent == (1...14).map { outcome(UInt64($0)) })
        #expect(
            watermarks.last == 14 && watermarks.compactMap { $0 } == watermarks.compactMap { $0 }.sorted())
        #expect(queue.next(now: self.start, draining: true) == .idle && queue.backlog == 0)
    }

    @Test func whatTheJournalCouldNotTakeStaysInMemory() {
        var queue = SettlementQueue(limits: .init(batchRowsMax: 10, memoryMax: 1))
        _ = queue.record(PendingOutcome(outcome(1), sequence: 1), now: self.start)
        _ = queue.record(PendingOutcome(outcome(2), sequence: 2), now: self.start)
        _ = queue.record(PendingOutcome(outcome(3), sequence: nil), now: self.start)
        #expect(queue.unposted == [outcome(1), outcome(3)])
        #expect(queue.next(now: self.start, draining: true) == .send([outcome(1), outcome(3)]))
        #expect(queue.committed() == 1)
        #expect(queue.next(now: self.start, draining: true) == .read(from: 2, limit: 1))
    }

    // MARK: What the journal cannot give back

    /// A queue with 1 to 4 in memory, 5 to 9 in the journal.
    private func spilled(spilledHoldsMax: Int = 100) -> SettlementQueue {
        var limits = SettlementQueue.Limits(batchRowsMax: 4, memoryMax: 4)
        limits.spilledHoldsMax = spilledHoldsMax
        var queue = SettlementQueue(limits: limits)
        for number: UInt64 in 1...9 {
            _ = queue.record(PendingOutcome(outcome(number), sequence: number), now: self.start)
        }
        return queue
    }

    /// Sends all in memory, answers the reads from `found`, and returns what was acknowledged.
    private func drain(
        _ queue: inout SettlementQueue, reading found: [UInt64], lost: [UInt64] = []
    ) -> (acknowledged: [UInt64], actions: [SettlementQueue.RefillAction]) {
        var (acknowledged, actions): ([UInt64], [SettlementQueue.RefillAction]) = ([], [])
        while true {
            switch queue.next(now: self.start, draining: true) {
            case .send: acknowledged += queue.committed().map { [$0] } ?? []
            case .read(let from, let limit):
                let numbers = (found + lost).sorted().filter { $0 >= from }.prefix(limit)
                var page = JournalPage(lost: numbers.filter(lost.contains))
                page.outcomes = numbers.filter(found.contains)
                    .map { JournaledOutcome(sequence: $0, settlement: outcome($0)) }
                actions.append(queue.refill(page, from: from, limit: limit, now: self.start))
            case .wait, .idle, .busy: return (acknowledged, actions)
            }
        }
    }

    /// The next boot's recovery takes over what is not acknowledged, and says so when it cannot read it either.
    @Test func whatCannotBeReadIsNeverAcknowledged() {
        var queue = self.spilled()
        let (acknowledged, actions) = self.drain(&queue, reading: [5, 6, 8, 9], lost: [7])
        #expect(actions == [.refilled, .lost(1, first: 7), .refilled])
        #expect(acknowledged == [4, 6, 6] && queue.lostCount == 1 && queue.backlog == 0)
        #expect(queue.unfinishedHolds.among(Set((1...9).map { outcome($0).hold })) == [outcome(7).hold])
    }

    /// Once outcomes were skipped silently, and what came later acknowledged them.
    @Test func aJournalThatEndsBeforeWhatWasCountedStopsTheAcknowledgement() {
        var queue = self.spilled()
        let (acknowledged, actions) = self.drain(&queue, reading: [5])
        #expect(actions.first == .lost(1, first: 6) && queue.lostCount == 4)
        #expect(acknowledged == [4, 5] && queue.backlog == 0)
        _ = queue.record(PendingOutcome(outcome(10), sequence: 10), now: self.start)
        #expect(self.drain(&queue, reading: []).acknowledged == [5])
    }

    @Test func anotherOutcomeThanTheOneRecordedDoesNotAcknowledgeIt() {
        var queue = self.spilled()
        #expect(self.drain(&queue, reading: []).acknowledged == [4])
        var other = self.spilled()
        _ = other.next(now: self.start, draining: true)
        _ = other.committed()
        let wrong = [6, 5].map { JournaledOutcome(sequence: $0 == 6 ? 5 : 6, settlement: outcome($0)) }
        #expect(
            other.refill(JournalPage(outcomes: wrong), from: 5, limit: 2, now: self.start)
                == .lost(2, first: 5))
        #expect(other.unfinishedHolds.isComplete)
    }

    // MARK: What the sweep has to leave alone (F7)

    /// Its account would be told that the exchange cost nothing, or its hold be given back.
    @Test func spilledOutcomesAreUnfinished() {
        var queue = self.spilled()
        let all = Set((1...9).map { outcome($0).hold })
        #expect(queue.unfinishedHolds.among(all.union([outcome(10).hold])) == all)
        #expect(queue.hasSpilled && queue.unposted.count == 4)
        _ = self.drain(&queue, reading: Array(5...9))
        #expect(queue.unfinishedHolds.among(all).isEmpty)
    }

    @Test func moreThanCanBeRememberedMayBeAnything() {
        var queue = self.spilled(spilledHoldsMax: 3)
        let stranger = outcome(77).hold
        #expect(!queue.unfinishedHolds.isComplete && queue.unfinishedHolds.contains(stranger))
        _ = self.drain(&queue, reading: Array(5...9))
        #expect(queue.unfinishedHolds.isComplete && !queue.unfinishedHolds.contains(stranger))
    }

    @Test func rememberedIdsComeAndGoInTheirOrder() {
        var row = HoldIDRow()
        var (added, taken): (UInt64, UInt64) = (0, 0)
        for round in 0..<40 {
            for _ in 0..<1_000 {
                added += 1
                row.append(outcome(added).hold)
            }
            for _ in 0..<(round < 20 ? 500 : 1_490) where taken < added {
                taken += 1
                if row.popFirst() != outcome(taken).hold { Issue.record("\(taken) is not the first") }
            }
            var seen = taken
            row.forEach { hold in
                seen += 1
                if hold != outcome(seen).hold { Issue.record("\(seen) is not where it was put") }
            }
            #expect(seen == added && row.count == Int(added - taken))
        }
    }

    /// While the disk is full, what a sweep finds again anyway must not fill the memory.
    @Test func theSweepIsBoundedWhenTheJournalTakesNothing() {
        var limits = SettlementQueue.Limits()
        limits.unjournaledMax = 2
        var queue = SettlementQueue(limits: limits)
        for number: UInt64 in 1...2 {
            #expect(queue.hasRoomUnjournaled)
            _ = queue.record(PendingOutcome(outcome(number), sequence: nil), now: self.start)
        }
        #expect(!queue.hasRoomUnjournaled)
        // The data plane does not ask.
        _ = queue.record(PendingOutcome(outcome(3), sequence: nil), now: self.start)
        #expect(queue.backlog == 3)
        _ = self.drain(&queue, reading: [])
        #expect(queue.hasRoomUnjournaled)
    }
}
