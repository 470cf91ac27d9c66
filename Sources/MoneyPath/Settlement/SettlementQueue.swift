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
        public var batchRowsMax = 500
        /// A batch is sent when it is full or its oldest outcome is this old.
        public var batchDelay: Span = .milliseconds(20)
        /// Outcomes in memory; beyond it they are read from the journal when their turn comes.
        public var memoryMax = 20_000

        public init(batchRowsMax: Int = 500, memoryMax: Int = 20_000) {
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
    /// Journaled outcomes that are not in memory, and where they begin.
    private var spilled: (from: UInt64, count: Int)?

    public init(limits: Limits = Limits()) { self.limits = limits }

    /// Waiting and in flight, in memory or not.
    public var backlog: Int { self.waitingCount + self.inFlight.count + (self.spilled?.count ?? 0) }

    private var waitingCount: Int { self.waiting.count - self.head }

    /// Outcomes in memory that the ledger is not known to have.
    public var unposted: [Settlement] {
        self.inFlight.map(\.settlement) + self.waiting[self.head...].map(\.settlement)
    }

    /// Returns whether the settler must be woken.
    public mutating func record(_ outcome: PendingOutcome, now: Moment) -> Bool {
        if let sequence = outcome.sequence {
            // Behind what is on disk only: the order of the journal is kept.
            if let spilled = self.spilled {
                self.spilled = (spilled.from, spilled.count + 1)
                return false
            }
            if self.waitingCount >= self.limits.memoryMax {
                self.spilled = (sequence, 1)
                return false
            }
        }
        self.waiting.append(outcome)
        if self.oldest == nil { self.oldest = now }
        return self.waitingCount == 1 || self.waitingCount == self.limits.batchRowsMax
    }

    /// The answer to `.read`: outcomes in the order of the journal.
    public mutating func refill(_ outcomes: [JournaledOutcome], now: Moment) {
        guard let spilled = self.spilled else { preconditionFailure("refill() follows .read") }
        precondition(outcomes.count <= spilled.count, "the journal has no more than was recorded")
        self.waiting += outcomes.map { PendingOutcome($0.settlement, sequence: $0.sequence) }
        if self.oldest == nil, !outcomes.isEmpty { self.oldest = now }
        let left = spilled.count - outcomes.count
        // A journal that has less than was recorded lost it: what it has is all there is.
        guard left > 0, let last = outcomes.last?.sequence else {
            self.spilled = nil
            return
        }
        self.spilled = (last + 1, left)
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
            return .read(from: spilled.from, limit: min(spilled.count, max(1, self.limits.memoryMax / 2)))
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

    /// The ledger has all of the batch in flight (or keeps the refused rows in quarantine). Returns the last sequence
    /// of the batch; nil when the journal has none of it.
    public mutating func committed() -> UInt64? {
        precondition(!self.inFlight.isEmpty, "committed() follows .send")
        let through = self.inFlight.lazy.compactMap(\.sequence).max()
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
