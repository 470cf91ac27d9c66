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
                queue.refill(rest, now: self.start)
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
}
