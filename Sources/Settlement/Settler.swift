import Logging
import Metering
import Synchronization

/// Posts outcomes to the ledger in batches and then tells the hold store the new balances (DESIGN §3.9).
///
/// An outcome that `record` took stays here until the ledger acknowledged it: an unknown commit is sent
/// again, and the hold id makes that harmless. What a killed process held is the journal's matter.
public final class Settler: SettlementSink, Sendable {
    private let ledger: any SettlementPosting
    private let logger: Logger
    private let clock = ContinuousClock()
    private let queue: Mutex<SettlementQueue>
    private let outbox: Mutex<PostingOutbox>
    private let wakeStream: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    private let outboxStream: AsyncStream<Void>
    private let outboxWake: AsyncStream<Void>.Continuation
    private let draining = Atomic(false)
    let counters = SettlerCounters()

    /// - Parameter backlogMax: outcomes that may wait or be reserved before admission stops.
    public init(
        ledger: any SettlementPosting, logger: Logger, backlogMax: Int = 500_000
    ) {
        self.ledger = ledger
        self.logger = logger
        self.queue = Mutex(SettlementQueue(limits: .init(backlogMax: backlogMax)))
        self.outbox = Mutex(PostingOutbox())
        (self.wakeStream, self.wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (self.outboxStream, self.outboxWake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: Called by the data plane

    public func reserve() -> Bool { self.queue.withLock { $0.reserve() } }

    public func giveBackReservation() { self.queue.withLock { $0.giveBack() } }

    public func record(_ settlement: Settlement) {
        self.take(settlement, reserved: true)
    }

    public func recordUnreserved(_ settlement: Settlement) {
        self.take(settlement, reserved: false)
    }

    private func take(_ settlement: Settlement, reserved: Bool) {
        self.counters.count(settlement)
        let mustWake = self.queue.withLock { queue in
            if reserved { queue.giveBack() }
            return queue.record(settlement, now: self.clock.now)
        }
        if mustWake { self.wake.yield() }
    }

    /// Outcomes that the ledger has not acknowledged.
    public var backlog: Int { self.queue.withLock { $0.backlog } }

    // MARK: Running

    /// Runs until `drain()` was called and everything recorded is posted, or the task is cancelled.
    ///
    /// - Parameter holds: is told what the ledger committed.
    public func run(telling holds: any HoldPosting) async {
        await withTaskGroup { group in
            group.addTask { await self.settleLoop() }
            group.addTask { await self.postLoop(holds) }
        }
    }

    /// No exchange will record any more: post what waits, then let `run` return.
    public func drain() {
        self.draining.store(true, ordering: .sequentiallyConsistent)
        self.wake.yield()
        self.outboxWake.yield()
    }

    private var isDraining: Bool { self.draining.load(ordering: .sequentiallyConsistent) }

    private func settleLoop() async {
        var wakes = self.wakeStream.makeAsyncIterator()
        while !Task.isCancelled {
            let draining = self.isDraining
            switch self.queue.withLock({ $0.next(now: self.clock.now, draining: draining) }) {
            case .send(let batch): await self.settle(batch)
            case .wait(let until): try? await self.clock.sleep(until: until)
            case .busy: preconditionFailure("settle() finishes the batch before the next one is asked for")
            case .idle:
                if draining { break }
                _ = await wakes.next()
                continue
            }
            if draining && self.backlog == 0 { break }
        }
        self.counters.settleLoopEnded.store(true, ordering: .sequentiallyConsistent)
        self.outboxWake.yield()
    }

    private func settle(_ batch: [Settlement]) async {
        let started = self.clock.now
        do {
            let receipt = try await self.ledger.settle(batch)
            self.queue.withLock { $0.committed() }
            self.counters.batchSettled(rows: batch.count, took: started.duration(to: self.clock.now), receipt)
            self.report(receipt)
            self.outbox.withLock { $0.add(batch, receipt) }
            self.outboxWake.yield()
        } catch {
            let pause = self.queue.withLock {
                $0.failed(now: self.clock.now, jitter: Int.random(in: 0..<25))
            }
            self.counters.batchesFailed.wrappingAdd(1, ordering: .relaxed)
            self.logger.warning(
                "settlement batch not acknowledged, will be sent again",
                metadata: ["rows": "\(batch.count)", "pause": "\(pause)", "error": "\(error)"])
        }
    }

    private func report(_ receipt: SettlementReceipt) {
        for hold in receipt.quarantined {
            self.logger.error("settlement row in quarantine", metadata: ["hold": "\(hold)"])
        }
        if receipt.conflicts > 0 {
            self.logger.error("settlement conflict recorded", metadata: ["rows": "\(receipt.conflicts)"])
        }
    }

    /// Tells the hold store. Separate from the settle loop, so a slow Redis does not hold back the ledger.
    private func postLoop(_ holds: any HoldPosting) async {
        var wakes = self.outboxStream.makeAsyncIterator()
        var failures = 0
        while !Task.isCancelled {
            let postings = self.outbox.withLock { $0.take() }
            if postings.isEmpty {
                if self.counters.settleLoopEnded.load(ordering: .sequentiallyConsistent) { return }
                _ = await wakes.next()
                continue
            }
            do {
                try await holds.posted(postings)
                failures = 0
            } catch {
                // While draining the store may be gone for good; its holds are swept by whoever starts next.
                if self.isDraining && failures >= 5 { return }
                self.outbox.withLock { $0.giveBack(postings) }
                failures += 1
                try? await self.clock.sleep(for: .milliseconds(min(25 << min(failures, 6), 1000)))
            }
        }
    }
}
