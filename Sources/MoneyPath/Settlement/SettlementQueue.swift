import Metering

/// An outcome and its place in the journal; nil: the journal could not take it, so only memory has it.
public struct PendingOutcome: Sendable, Hashable {
    public var settlement: Settlement
    public var sequence: UInt64?

    public init(_ settlement: Settlement, sequence: UInt64?) {
        self.settlement = settlement
        self.sequence = sequence
    }
}

/// Which outcomes wait, which are on their way to the ledger, and what is left in the journal because memory is
/// bounded. A value; the settler holds it under one lock, together with the journal's append, so that the order of
/// the queue is the order of the journal and one watermark says what was posted.
///
/// One batch is in flight at a time, so outcomes of one hold reach the ledger in order.
public struct SettlementQueue {
    public struct Limits: Sendable {
        public var batchRowsMax = 2000
        /// A batch is sent when it is full or its oldest outcome is this old.
        public var batchDelay: Span = .milliseconds(20)
        /// Outcomes in memory; beyond it they are read from the journal when their turn comes.
        public var memoryMax = 20_000
        /// Ids that are remembered of the outcomes that are not in memory, 16 bytes each.
        public var spilledHoldsMax = 2_000_000
        /// Outcomes without a place in the journal beyond which it takes none that will be found again.
        public var unjournaledMax = 10_000

        public init(batchRowsMax: Int = 2000, memoryMax: Int = 20_000) {
            self.batchRowsMax = batchRowsMax
            self.memoryMax = memoryMax
        }
    }

    public enum NextAction: Equatable {
        /// Send these; the next call comes after `committed` or `failed`.
        case send([Settlement])
        /// Read so many outcomes of the journal, from this sequence on, then call `refill`.
        case read(from: UInt64, limit: Int)
        /// Nothing is due before this moment.
        case wait(until: Moment)
        /// Nothing waits; wait for `record`.
        case idle
        /// A batch is in flight.
        case busy
    }

    private let limits: Limits
    /// Outcomes before `head` were sent; they are dropped in bulk, so a long backlog is not moved for each
    /// batch.
    private var waiting: [PendingOutcome] = []
    private var head = 0
    private var oldest: Moment?
    private var inFlight: [PendingOutcome] = []
    private var retryAt: Moment?
    private var failures = 0
    /// Journaled outcomes that are not in memory.
    private var spilled: Spilled?
    /// Outcomes in memory that have no place in the journal.
    private var unjournaled = 0
    /// What the journal could not give back. `committed` stops before the first of them, so the journal keeps them
    /// for the recovery of the next boot.
    private var lost = Lost()

    /// A range that can be read again.
    private struct Stretch {
        var from: UInt64
        var count: Int
    }

    private struct Spilled {
        var range: Stretch
        /// Of the first of them, in their order.
        var holds = HoldIDRow()
        /// All of them are in `holds`.
        var isComplete: Bool { self.holds.count == self.range.count }
    }

    private struct Lost {
        var first: UInt64?
        var count = 0
        var holds: [HoldID] = []
        var isComplete: Bool { self.holds.count == self.count }
    }

    public init(limits: Limits = Limits()) { self.limits = limits }

    /// Waiting and in flight, in memory or not.
    public var backlog: Int { self.waitingCount + self.inFlight.count + (self.spilled?.range.count ?? 0) }

    /// Some outcomes are in the journal only, and not in `unposted`.
    public var hasSpilled: Bool { self.spilled != nil }

    /// How many those are.
    public var spilledCount: Int { self.spilled?.range.count ?? 0 }

    private var waitingCount: Int { self.waiting.count - self.head }

    /// Outcomes in memory that the ledger is not known to have.
    public var unposted: [Settlement] {
        self.inFlight.map(\.settlement) + self.waiting[self.head...].map(\.settlement)
    }

    /// Outcomes that the journal could not give back.
    public var lostCount: Int { self.lost.count }

    /// Everything of which the ledger is not known to have the outcome.
    public var unfinishedHolds: UnfinishedHolds {
        UnfinishedHolds(
            inMemory: self.inFlight.map(\.settlement.hold)
                + self.waiting[self.head...].map(\.settlement.hold),
            spilled: self.spilled?.holds ?? HoldIDRow(), lost: self.lost.holds,
            isComplete: self.lost.isComplete && self.spilled?.isComplete ?? true)
    }

    /// Whether an outcome that will be found again may be recorded without a place in the journal: what a sweep
    /// finds while the disk is full must not fill the memory. What only the data plane knows always may.
    public var hasRoomUnjournaled: Bool { self.unjournaled < self.limits.unjournaledMax }

    /// Returns whether the settler must be woken.
    public mutating func record(_ outcome: PendingOutcome, now: Moment) -> Bool {
        if let sequence = outcome.sequence {
            // Behind what is on disk only: the order of the journal is kept.
            if self.spilled != nil || self.waitingCount >= self.limits.memoryMax {
                self.spill(outcome.settlement.hold, sequence)
                return false
            }
        } else {
            self.unjournaled += 1
        }
        self.waiting.append(outcome)
        if self.oldest == nil { self.oldest = now }
        return self.waitingCount == 1 || self.waitingCount == self.limits.batchRowsMax
    }

    private mutating func spill(_ hold: HoldID, _ sequence: UInt64) {
        var spilled = self.spilled ?? Spilled(range: Stretch(from: sequence, count: 0))
        self.spilled = nil  // No second owner of the ids: they are not copied.
        if spilled.isComplete, spilled.range.count < self.limits.spilledHoldsMax {
            spilled.holds.append(hold)
        }
        spilled.range.count += 1
        self.spilled = spilled
    }

    public enum RefillAction: Sendable, Hashable {
        case refilled
        /// So many are gone, the first with this number: it is logged, and not acknowledged.
        case lost(Int, first: UInt64)
    }

    /// The answer to `.read`, made without the lock: meanwhile outcomes were only added.
    ///
    /// - Parameter page: the first `limit` outcomes from `from` on, in their order. What is missing is lost.
    public mutating func refill(_ page: JournalPage, from: UInt64, limit: Int, now: Moment) -> RefillAction {
        guard var spilled = self.spilled, spilled.range.from == from, limit <= spilled.range.count else {
            preconditionFailure("refill() follows .read, once")
        }
        self.spilled = nil
        let before = self.lost.count
        var (lost, last) = (page.lost[...], from)
        for outcome in page.outcomes {
            while let sequence = lost.first, sequence < outcome.sequence {
                self.lose(lost.removeFirst(), spilled.holds.popFirst())
                last = sequence
            }
            let hold = outcome.settlement.hold
            // Something else than was recorded: whatever that is, the one that was is not acknowledged.
            if let known = spilled.holds.popFirst(), known != hold { self.lose(outcome.sequence, known) }
            self.waiting.append(PendingOutcome(outcome.settlement, sequence: outcome.sequence))
            last = outcome.sequence
        }
        for sequence in lost {
            self.lose(sequence, spilled.holds.popFirst())
            last = sequence
        }
        let read = page.outcomes.count + page.lost.count
        precondition(read <= limit, "the journal has no more than was asked for")
        // The journal ends before what was counted.
        for _ in read..<limit { self.lose(last + (read == 0 ? 0 : 1), spilled.holds.popFirst()) }
        if self.oldest == nil, self.waitingCount > 0 { self.oldest = now }
        spilled.range = Stretch(from: last + 1, count: spilled.range.count - limit)
        if spilled.range.count > 0 { self.spilled = spilled }
        guard self.lost.count > before, let first = self.lost.first else { return .refilled }
        return .lost(self.lost.count - before, first: first)
    }

    private mutating func lose(_ sequence: UInt64, _ hold: HoldID?) {
        self.lost.first = min(self.lost.first ?? sequence, sequence)
        self.lost.count += 1
        if let hold, self.lost.holds.count < self.limits.spilledHoldsMax { self.lost.holds.append(hold) }
    }

    /// - Parameter draining: send what there is, without waiting for a fuller batch.
    public mutating func next(now: Moment, draining: Bool) -> NextAction {
        guard self.inFlight.isEmpty else {
            guard let retryAt = self.retryAt else { return .busy }
            guard now >= retryAt else { return .wait(until: retryAt) }
            self.retryAt = nil
            return .send(self.inFlight.map(\.settlement))
        }
        if let spilled = self.spilled, self.waitingCount <= self.limits.memoryMax / 2 {
            let limit = min(spilled.range.count, max(1, self.limits.memoryMax / 2))
            return .read(from: spilled.range.from, limit: limit)
        }
        guard let oldest = self.oldest else { return .idle }
        let due = oldest + self.limits.batchDelay
        guard draining || self.waitingCount >= self.limits.batchRowsMax || now >= due else {
            return .wait(until: due)
        }
        self.inFlight = Array(self.waiting[self.head...].prefix(self.limits.batchRowsMax))
        self.head += self.inFlight.count
        if self.head * 2 >= self.waiting.count {
            self.waiting.removeFirst(self.head)
            self.head = 0
        }
        self.oldest = self.waitingCount == 0 ? nil : now
        return .send(self.inFlight.map(\.settlement))
    }

    /// The ledger has all of the batch in flight (or keeps the refused rows in quarantine). Returns the number up to
    /// which the journal may take all for posted, once the store was told; nil when it has none of the batch.
    public mutating func committed() -> UInt64? {
        precondition(!self.inFlight.isEmpty, "committed() follows .send")
        var through = self.inFlight.lazy.compactMap(\.sequence).max()
        if let reached = through, let lost = self.lost.first, reached >= lost { through = lost - 1 }
        self.unjournaled -= self.inFlight.count { $0.sequence == nil }
        self.inFlight = []
        self.failures = 0
        return through
    }

    /// It is not known that the ledger has the batch: the same outcomes go again. Returns the pause before
    /// that.
    public mutating func failed(now: Moment, jitter: Int) -> Span {
        precondition(!self.inFlight.isEmpty, "failed() follows .send")
        self.failures = min(self.failures + 1, 6)
        let pause = Span.milliseconds(25 << Int64(self.failures)) + .milliseconds(Int64(jitter % 25))
        self.retryAt = now + pause
        return pause
    }
}
