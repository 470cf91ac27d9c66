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

    /// - Parameters:
    ///   - backlogMax: outcomes that may wait or be reserved before admission stops.
    ///   - storePatience: how long a hold store that is away may hold up the end of the process.
    public init(
        ledger: any SettlementPosting, logger: Logger, backlogMax: Int = 500_000,
        storePatience: Duration = .seconds(10)
    ) {
        self.ledger = ledger
        self.logger = logger
        self.queue = Mutex(SettlementQueue(limits: .init(backlogMax: backlogMax)))
        self.outbox = Mutex(PostingOutbox(patience: storePatience))
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

    /// Runs until `drain()` was called, everything recorded is posted, and the hold store was told or given up; or the
    /// task is cancelled.
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
        self.outbox.withLock { $0.close() }
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
        while !Task.isCancelled {
            switch self.outbox.withLock({ $0.next() }) {
            case .post(let postings):
                guard await self.post(postings, to: holds) else { return self.reportUntold() }
            case .idle: _ = await wakes.next()
            case .done: return
            }
        }
        self.reportUntold()
    }

    /// Returns false when the store is given up.
    private func post(_ postings: [PostedAccount], to holds: any HoldPosting) async -> Bool {
        do {
            try await holds.posted(postings)
            self.outbox.withLock { $0.acknowledged() }
            return true
        } catch {
            let draining = self.isDraining
            switch self.outbox.withLock({ $0.failed(now: self.clock.now, draining: draining) }) {
            case .giveUp: return false
            case .again(let pause):
                try? await self.clock.sleep(for: pause)
                return true
            }
        }
    }

    /// The ledger has the money right; the holds stay in the store until whoever starts next sweeps them.
    private func reportUntold() {
        let untold = self.outbox.withLock { $0.untold }
        guard untold.accounts > 0 else { return }
        self.logger.error(
            "hold store not told of settled holds",
            metadata: ["accounts": "\(untold.accounts)", "holds": "\(untold.holds)"])
    }
}
