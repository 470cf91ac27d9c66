import Glibc
import Logging
import Metering
import MoneyPath
import Synchronization

/// Posts outcomes to the ledger in batches and then tells the hold store the new balances (DESIGN §3.9).
///
/// An outcome that `record` took is in the journal; it stays there until the ledger acknowledged it and the hold store
/// was told. An unknown commit is sent again, and the hold id makes that harmless.
public final class Settler: SettlementSink, Sendable {
    private let ledger: any SettlementPosting
    private let journal: any OutcomeJournal
    private let logger: Logger
    private let queue: Mutex<SettlementQueue>
    private let outbox: Mutex<PostingOutbox>
    private let wakeStream: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    private let outboxStream: AsyncStream<Void>
    private let outboxWake: AsyncStream<Void>.Continuation
    private let draining = Atomic(false)
    private let newestGeneration = Atomic<Int64>(0)
    /// Replies that wait for the ledger to have an outcome that the journal could not take.
    private let unjournaled = Mutex<[HoldID: @Sendable () -> Void]>([:])
    let counters = SettlerCounters()
    private static let lookEvery: Span = .milliseconds(20)

    /// - Parameters:
    ///   - memoryMax: outcomes in memory; beyond it they are read from the journal.
    ///   - storePatience: how long a hold store that is away may hold up the end of the process.
    public init(
        ledger: any SettlementPosting, journal: any OutcomeJournal, logger: Logger, memoryMax: Int = 20_000,
        storePatience: Span = .seconds(10)
    ) {
        self.ledger = ledger
        self.journal = journal
        self.logger = logger
        self.queue = Mutex(SettlementQueue(limits: .init(memoryMax: memoryMax)))
        self.outbox = Mutex(PostingOutbox(patience: storePatience))
        (self.wakeStream, self.wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (self.outboxStream, self.outboxWake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: Called by the data plane

    public func reserve() -> Bool { self.journal.reserve() }

    public func giveBackReservation() { self.journal.giveBackReservation() }

    public func opened(_ worst: Settlement) -> Bool { self.journal.open(worst) }

    public func progressed(_ progress: ExchangeProgress) { self.journal.progressed(progress) }

    /// A disk in trouble may make any outcome wait for the ledger (C10).
    public var isStrict: Bool { self.journal.isStrict || !self.journal.isReady }

    public func record(
        _ settlement: Settlement, whenSafe completion: @escaping @Sendable () -> Void
    ) -> Bool {
        guard let sequence = self.take(settlement, reserved: true, whenPosted: completion)
        else {
            // Only memory has it: the reply ends when the ledger has it, too (C10).
            self.logger.error(
                "an outcome found no room in the journal", metadata: ["hold": "\(settlement.hold)"])
            return true
        }
        guard self.journal.isStrict else { return false }
        self.journal.whenDurable(sequence, completion)
        return true
    }

    public func recordUnreserved(_ settlement: Settlement) { _ = self.take(settlement, reserved: false) }

    /// Takes an outcome that will be found again if it is not taken: of a sweep, or of somebody who died. Returns its
    /// place in the journal; nil: it had no room there, and may be in memory or not at all.
    @discardableResult
    public func adopt(_ settlement: Settlement) -> UInt64? {
        self.take(settlement, reserved: false, isFoundAgain: true)
    }

    /// The journal and the queue take an outcome under one lock: the order of both is the same, and a watermark of the
    /// one means the other.
    private func take(
        _ settlement: Settlement, reserved: Bool, isFoundAgain: Bool = false,
        whenPosted completion: (@Sendable () -> Void)? = nil
    ) -> UInt64? {
        let (sequence, isTaken, mustWake) = self.queue.withLock { queue -> (UInt64?, Bool, Bool) in
            let sequence = self.journal.end(settlement, reserved: reserved)
            if sequence == nil, isFoundAgain, !queue.hasRoomUnjournaled { return (nil, false, false) }
            if sequence == nil, let completion {
                self.unjournaled.withLock { $0[settlement.hold] = completion }
            }
            return (sequence, true, queue.record(PendingOutcome(settlement, sequence: sequence), now: .now))
        }
        if isTaken { self.counters.count(settlement) }
        if mustWake { self.wake.yield() }
        return sequence
    }

    /// Outcomes that the ledger has not acknowledged.
    public var backlog: Int { self.queue.withLock { $0.backlog } }

    /// Some outcome could not be read back: what has none here may have had one.
    var hasLostOutcomes: Bool { self.queue.withLock { $0.lostCount > 0 } }

    /// All that the ledger has not acknowledged, and those of them that are in the journal only.
    var queueLengths: (backlog: Int, spilled: Int) {
        self.queue.withLock { ($0.backlog, $0.spilledCount) }
    }

    /// As many as are in memory; while `hasSpilled`, the rest is in the journal only.
    public func unposted() -> [Settlement] { self.queue.withLock { $0.unposted } }

    public var hasSpilled: Bool { self.queue.withLock { $0.hasSpilled } }

    /// Those of `holds` whose outcome waits for the ledger, or for the hold store to be told, or may do so (rule F7).
    /// Goes through all that wait: ask for many at once.
    public func unfinished(among holds: Set<HoldID>) -> Set<HoldID> {
        // In the order in which an outcome goes.
        let unposted = self.queue.withLock { $0.unfinishedHolds }
        let untold = self.outbox.withLock { $0.untoldHolds }
        return unposted.among(holds).union(untold.lazy.filter(holds.contains))
    }

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
            switch self.queue.withLock({ $0.next(now: Moment.now, draining: draining) }) {
            case .send(let batch): await self.settle(batch)
            case .read(let from, let limit): self.refill(from: from, limit: limit)
            case .wait(let until): try? await Task.sleep(nanoseconds: Moment.nanoseconds(until: until))
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
        let started = Moment.now
        do {
            let receipt = try await self.ledger.settle(batch)
            try self.checkGeneration(of: receipt)
            let through = self.queue.withLock { $0.committed() }
            self.counters.batchSettled(batch, took: Moment.now - started, receipt)
            self.report(receipt)
            self.releaseReplies(of: batch)
            self.outbox.withLock { $0.add(batch, receipt, through: through) }
            self.outboxWake.yield()
        } catch {
            let pause = self.queue.withLock {
                $0.failed(now: Moment.now, jitter: Int.random(in: 0..<25))
            }
            self.counters.batchesFailed.wrappingAdd(1, ordering: .relaxed)
            self.logger.warning(
                "settlement batch not acknowledged, will be sent again",
                metadata: [
                    "rows": "\(batch.count)", "pauseMilliseconds": "\(pause.milliseconds)",
                    "error": "\(error)",
                ])
        }
    }

    /// A receipt of an older generation than one that was seen comes from a primary that was replaced and still answers:
    /// the present ledger does not have the batch. Its connection is given up, so that the next attempt finds that one.
    private func checkGeneration(of receipt: SettlementReceipt) throws {
        let newest = receipt.balances.map(\.generation).max() ?? 0
        let seen = self.newestGeneration.max(newest, ordering: .relaxed).oldValue
        guard newest == 0 || newest >= seen else {
            self.ledger.reconnect()
            throw OldGeneration()
        }
    }

    private struct OldGeneration: Error {}

    /// Heartbeats see a new generation before a settlement does.
    public func saw(generation: Int64) { _ = self.newestGeneration.max(generation, ordering: .relaxed) }

    private func releaseReplies(of batch: [Settlement]) {
        let waiting = self.unjournaled.withLock { unjournaled in
            unjournaled.isEmpty ? [] : batch.compactMap { unjournaled.removeValue(forKey: $0.hold) }
        }
        for completion in waiting { completion() }
    }

    /// Posts outcomes that were posted before, to a ledger that may have lost them (rule P7); false: it is not known
    /// whether it has them now, or the hold store is behind and what is new goes first. The caller tries again after a
    /// pause.
    public func repost(_ batch: [Settlement]) async -> Bool {
        guard self.outbox.withLock({ !$0.isFull }) else { return false }
        guard let receipt = try? await self.ledger.settle(batch),
            (try? self.checkGeneration(of: receipt)) != nil
        else { return false }
        self.report(receipt)
        self.outbox.withLock { $0.addIfOpen(batch, receipt) }
        self.outboxWake.yield()
        return true
    }

    private func refill(from sequence: UInt64, limit: Int) {
        // The lock is the data plane's as well. Meanwhile outcomes are only added behind those that are read.
        let page = self.journal.backlog(from: sequence, limit: limit)
        let action = self.queue.withLock { $0.refill(page, from: sequence, limit: limit, now: .now) }
        guard case .lost(let count, let first) = action else { return }
        self.counters.outcomesLost.wrappingAdd(count, ordering: .relaxed)
        self.logger.critical(
            "outcomes cannot be read from the journal; it is not acknowledged beyond them",
            metadata: ["outcomes": "\(count)", "from": "\(first)"])
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
            switch self.outbox.withLock({ $0.next(now: .now) }) {
            case .wait(let until):
                // In slices: what is added meanwhile must not wait for accounts that the store refused.
                let pause = min(max(.zero, until - .now), Self.lookEvery)
                try? await Task.sleep(nanoseconds: UInt64(pause.nanoseconds))
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
            if let through = self.outbox.withLock({ $0.acknowledged() }) {
                self.journal.acknowledge(through: through)
            }
            return true
        } catch let refused as PostingRefused {
            return self.refused(refused)
        } catch {
            let draining = self.isDraining
            switch self.outbox.withLock({ $0.failed(now: Moment.now, draining: draining) }) {
            case .giveUp: return false
            case .again(let pause):
                try? await Task.sleep(nanoseconds: UInt64(pause.nanoseconds))
                return true
            }
        }
    }

    private func refused(_ refused: PostingRefused) -> Bool {
        let draining = self.isDraining
        let action = self.outbox.withLock {
            $0.refused(refused.accounts, now: .now, draining: draining)
        }
        guard case .goOn(let acknowledge) = action else { return false }
        if let acknowledge { self.journal.acknowledge(through: acknowledge) }
        return true
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

extension Moment {
    /// CLOCK_MONOTONIC.
    static var now: Moment {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Moment(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    static func nanoseconds(until moment: Moment) -> UInt64 {
        UInt64(max(0, (moment - .now).nanoseconds))
    }
}
