import Metering

/// Which outcomes wait, which are on their way to the ledger, and how much room is left. A value; the settler
/// holds it under one lock. One batch is in flight at a time, so outcomes of one hold reach the ledger in
/// order.
struct SettlementQueue {
    struct Limits {
        var batchRowsMax = 500
        /// A batch is sent when it is full or its oldest outcome is this old.
        var batchDelay: Duration = .milliseconds(20)
        /// Outcomes waiting, in flight, or reserved for running exchanges; at the limit admission stops.
        var backlogMax = 500_000
    }

    enum NextAction: Equatable {
        /// Send these; the next call comes after `committed` or `failed`.
        case send([Settlement])
        /// Nothing is due before this instant.
        case wait(until: ContinuousClock.Instant)
        /// Nothing waits; wait for `record`.
        case idle
        /// A batch is in flight.
        case busy
    }

    private let limits: Limits
    /// Outcomes before `head` were sent; they are dropped in bulk, so a long backlog is not moved for each
    /// batch.
    private var waiting: [Settlement] = []
    private var head = 0
    private var oldest: ContinuousClock.Instant?
    private var inFlight: [Settlement] = []
    private var reserved = 0
    private var retryAt: ContinuousClock.Instant?
    private var failures = 0

    init(limits: Limits = Limits()) { self.limits = limits }

    /// Waiting and in flight, reservations not counted.
    var backlog: Int { self.waitingCount + self.inFlight.count }

    private var waitingCount: Int { self.waiting.count - self.head }

    mutating func reserve() -> Bool {
        guard self.backlog + self.reserved < self.limits.backlogMax else { return false }
        self.reserved += 1
        return true
    }

    mutating func giveBack() {
        precondition(self.reserved > 0, "each exchange gives back its own reservation, once")
        self.reserved -= 1
    }

    /// Returns whether the settler must be woken.
    mutating func record(_ settlement: Settlement, now: ContinuousClock.Instant) -> Bool {
        self.waiting.append(settlement)
        if self.oldest == nil { self.oldest = now }
        return self.waitingCount == 1 || self.waitingCount == self.limits.batchRowsMax
    }

    /// - Parameter draining: send what there is, without waiting for a fuller batch.
    mutating func next(now: ContinuousClock.Instant, draining: Bool) -> NextAction {
        guard self.inFlight.isEmpty else {
            guard let retryAt = self.retryAt else { return .busy }
            guard now >= retryAt else { return .wait(until: retryAt) }
            self.retryAt = nil
            return .send(self.inFlight)
        }
        guard let oldest = self.oldest else { return .idle }
        let due = oldest.advanced(by: self.limits.batchDelay)
        guard draining || self.waitingCount >= self.limits.batchRowsMax || now >= due else {
            return .wait(until: due)
        }
        let batch = Array(self.waiting[self.head...].prefix(self.limits.batchRowsMax))
        self.head += batch.count
        if self.head * 2 >= self.waiting.count {
            self.waiting.removeFirst(self.head)
            self.head = 0
        }
        self.oldest = self.waitingCount == 0 ? nil : now
        self.inFlight = batch
        return .send(batch)
    }

    /// The ledger has all of the batch in flight (or keeps the refused rows in quarantine).
    mutating func committed() {
        precondition(!self.inFlight.isEmpty, "committed() follows .send")
        self.inFlight = []
        self.failures = 0
    }

    /// It is not known that the ledger has the batch: the same outcomes go again. Returns the pause before
    /// that.
    mutating func failed(now: ContinuousClock.Instant, jitter: Int) -> Duration {
        precondition(!self.inFlight.isEmpty, "failed() follows .send")
        self.failures = min(self.failures + 1, 6)
        let pause = Duration.milliseconds(25 << self.failures) + .milliseconds(jitter % 25)
        self.retryAt = now.advanced(by: pause)
        return pause
    }
}
