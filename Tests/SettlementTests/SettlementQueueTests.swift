import Metering
import Testing

@testable import Settlement

/// Builds outcomes of account 1, with ids that tell their order.
func outcome(_ number: UInt64, account: AccountID = 1, amount: Int64 = 5) -> Settlement {
    Settlement(
        account: account, hold: HoldID(high: 7, low: number), owner: HoldID(high: 1, low: 1), kind: .final,
        authority: .owner, endpoint: .chat, modelRequested: "gpt-4o-mini", priceID: "c@1/gpt-4o-mini",
        usage: Usage(input: 1, output: 1), charge: Charge(amount: Millicredits(amount), cost: .zero),
        occurredAtMilliseconds: 1)
}

@Suite struct SettlementQueueTests {
    let start = ContinuousClock.now

    @Test func anIncompleteBatchWaitsForItsDelay() {
        var queue = SettlementQueue()
        #expect(queue.next(now: self.start, draining: false) == .idle)
        #expect(queue.record(outcome(1), now: self.start) == true)
        #expect(queue.record(outcome(2), now: self.start) == false)
        let due = self.start.advanced(by: .milliseconds(20))
        #expect(queue.next(now: self.start, draining: false) == .wait(until: due))
        #expect(queue.next(now: due, draining: false) == .send([outcome(1), outcome(2)]))
        #expect(queue.next(now: due, draining: false) == .busy)
        queue.committed()
        #expect(queue.backlog == 0)
    }

    @Test func aFullBatchGoesAtOnceAndTheRestStaysInOrder() {
        var queue = SettlementQueue(limits: .init(batchRowsMax: 2))
        for number in 1...5 { _ = queue.record(outcome(UInt64(number)), now: self.start) }
        var sent: [Settlement] = []
        for expected in [2, 2] {
            guard case .send(let batch) = queue.next(now: self.start, draining: false) else {
                Issue.record("no batch")
                return
            }
            #expect(batch.count == expected)
            sent += batch
            queue.committed()
        }
        #expect(queue.next(now: self.start, draining: true) == .send([outcome(5)]))
        #expect(sent == (1...4).map { outcome(UInt64($0)) })
    }

    /// An unknown commit may have happened: the very same outcomes go again, in front of newer ones.
    @Test func aFailedBatchIsSentAgainAfterAPause() {
        var queue = SettlementQueue()
        _ = queue.record(outcome(1), now: self.start)
        _ = queue.next(now: self.start, draining: true)
        let pause = queue.failed(now: self.start, jitter: 0)
        _ = queue.record(outcome(2), now: self.start)
        let retry = self.start.advanced(by: pause)
        #expect(queue.next(now: self.start, draining: true) == .wait(until: retry))
        #expect(queue.next(now: retry, draining: true) == .send([outcome(1)]))
        #expect(queue.failed(now: retry, jitter: 0) > pause)
        #expect(queue.backlog == 2)
    }

    @Test func reservationsBoundTheBacklog() {
        var queue = SettlementQueue(limits: .init(backlogMax: 2))
        #expect(queue.reserve() == true)
        #expect(queue.reserve() == true)
        #expect(queue.reserve() == false)
        queue.giveBack()
        _ = queue.record(outcome(1), now: self.start)
        #expect(queue.reserve() == false, "one waits, one is reserved")
    }
}
