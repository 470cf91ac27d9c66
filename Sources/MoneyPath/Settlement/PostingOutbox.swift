import Metering

/// What the hold store has still to be told, merged by account: only the newest balance matters, and every
/// settled hold of the account goes with it, once.
///
/// Handed out in bounded parts, oldest first. An account that the store refuses waits by itself and holds up no other;
/// only the watermark of the journal's ACK waits for it.
///
/// A value; the settler holds it under one lock, so that "nothing waits" and "nothing will come" are one judgement:
/// taken apart, the last batch could slip between them and never be told.
public struct PostingOutbox {
    public struct Limits: Sendable {
        /// Holds handed out at once: what the store executes well within the poster's deadline.
        public var holdsPerPostMax = 10_000
        /// Above so many holds the outbox takes no outcomes that were posted before (`isFull`).
        public var holdsMax = 50_000
        public init() {}
    }

    public enum NextAction: Equatable {
        /// Tell the store these; the next call comes after `acknowledged`, `refused` or `failed`.
        case post([PostedAccount])
        /// All that waits was refused, and goes again from this moment on. `add` may bring something earlier.
        case wait(until: Moment)
        /// Nothing waits; wait for `add` or `close`.
        case idle
        /// Nothing waits, and nothing will come.
        case done
    }

    public enum FailedAction: Equatable {
        /// Everything goes again, after this pause.
        case again(after: Span)
        /// The process ends, and the store was waited for long enough.
        case giveUp
    }

    public enum RefusedAction: Equatable {
        /// Go on with `next`.
        ///
        /// - Parameter acknowledge: as `acknowledged` returns it.
        case goOn(acknowledge: UInt64?)
        case giveUp
    }

    private let limits: Limits
    /// From the first failure seen while draining: for so long a store that is away may hold up the end.
    private let patience: Span
    private var waiting: [AccountID: UntoldAccount] = [:]
    private var inFlight: [UntoldAccount] = []
    private var batches = BatchMarks()
    private var isClosed = false
    private var failures = 0
    private var failingSince: Moment?

    public init(patience: Span = .seconds(10), limits: Limits = Limits()) {
        self.patience = patience
        self.limits = limits
    }

    private var all: some Sequence<UntoldAccount> { [self.inFlight, Array(self.waiting.values)].joined() }

    /// Holds that the ledger has and the store was not told of.
    public var untoldHolds: [HoldID] { self.all.flatMap { $0.holds.map(\.hold) } }

    /// Accounts and settled holds that the store has not acknowledged.
    public var untold: (accounts: Int, holds: Int) {
        (
            Set(self.all.lazy.map(\.balance.account)).count,
            self.all.reduce(0) { $0 + $1.holds.count }
        )
    }

    /// What can wait should: the store is behind.
    public var isFull: Bool { self.untold.holds > self.limits.holdsMax }

    // MARK: Adding

    /// The ledger committed a batch.
    ///
    /// - Parameter through: the last sequence of the batch in the journal.
    public mutating func add(_ batch: [Settlement], _ receipt: SettlementReceipt, through: UInt64?) {
        precondition(!self.isClosed, "close() follows the last batch")
        let number = self.batches.add(through: through)
        let refused = Set(receipt.quarantined)
        var settled: [AccountID: [SettledHold]] = [:]
        for settlement in batch where !refused.contains(settlement.hold) {
            settled[settlement.account, default: []].append(SettledHold(settlement))
        }
        for balance in receipt.balances {
            self.merge(UntoldAccount(balance: balance, settled[balance.account] ?? [], batch: number))
        }
    }

    /// As `add`, for a batch that is not of the queue; nothing happens when the process ends anyway.
    public mutating func addIfOpen(_ batch: [Settlement], _ receipt: SettlementReceipt) {
        guard !self.isClosed else { return }
        self.add(batch, receipt, through: nil)
    }

    /// No batch will be added any more.
    public mutating func close() { self.isClosed = true }

    private mutating func merge(_ account: UntoldAccount) {
        let id = account.balance.account
        guard self.waiting[id] != nil else {
            self.waiting[id] = account
            return
        }
        self.waiting[id]?.merge(account)
    }

    // MARK: Telling

    public mutating func next(now: Moment) -> NextAction {
        precondition(self.inFlight.isEmpty, "acknowledged(), refused() or failed() answers each .post")
        guard !self.waiting.isEmpty else { return self.isClosed ? .done : .idle }
        let due = self.waiting.values.filter { $0.retryAt <= now }
        guard !due.isEmpty else {
            return .wait(until: self.waiting.values.reduce(.distantFuture) { min($0, $1.retryAt) })
        }
        var room = self.limits.holdsPerPostMax
        for account in due.sorted(by: { $0.order < $1.order }) {
            guard room > 0 else { break }
            let id = account.balance.account
            guard let part = self.waiting[id]?.takeFirst(room) else { continue }
            if self.waiting[id]?.holds.isEmpty ?? true { self.waiting[id] = nil }
            room -= max(1, part.holds.count)
            self.inFlight.append(part)
        }
        return .post(self.inFlight.map { PostedAccount(balance: $0.balance, settled: $0.holds) })
    }

    /// The store has all that was in flight. Returns the sequence of the journal up to which every outcome was posted
    /// and told: the watermark of its ACK (rule J5). nil: it is where it was.
    public mutating func acknowledged() -> UInt64? {
        precondition(!self.inFlight.isEmpty, "acknowledged() follows .post")
        self.inFlight = []
        self.failures = 0
        self.failingSince = nil
        return self.takeWatermark()
    }

    /// The store has all that was in flight but for these accounts; each goes again after a pause of its own.
    public mutating func refused(
        _ accounts: Set<AccountID>, now: Moment, draining: Bool
    ) -> RefusedAction {
        precondition(!self.inFlight.isEmpty, "refused() follows .post")
        let left = self.inFlight.filter { accounts.contains($0.balance.account) }
        if left.count < self.inFlight.count { (self.failures, self.failingSince) = (0, nil) }
        self.inFlight = []
        for var account in left {
            account.failures = min(account.failures + 1, 6)
            account.retryAt = now + Self.pause(account.failures)
            self.merge(account)
        }
        guard left.isEmpty || !self.isGivenUp(now: now, draining: draining) else { return .giveUp }
        return .goOn(acknowledge: self.takeWatermark())
    }

    /// It is not known that the store has what was in flight; repeating it is harmless.
    public mutating func failed(now: Moment, draining: Bool) -> FailedAction {
        precondition(!self.inFlight.isEmpty, "failed() follows .post")
        for account in self.inFlight { self.merge(account) }
        self.inFlight = []
        self.failures = min(self.failures + 1, 6)
        let pause = Self.pause(self.failures)
        if self.isGivenUp(now: now, draining: draining) { return .giveUp }
        guard draining, let since = self.failingSince, since + self.patience > now else {
            return .again(after: pause)
        }
        return .again(after: min(pause, since + self.patience - now))
    }

    private static func pause(_ failures: Int) -> Span {
        min(.milliseconds(25 << Int64(failures)), .seconds(1))
    }

    /// As long as the ledger is waited for, the store costs no time.
    private mutating func isGivenUp(now: Moment, draining: Bool) -> Bool {
        guard draining else { return false }
        let since = self.failingSince ?? now
        self.failingSince = since
        return self.isClosed && now - since >= self.patience
    }

    private mutating func takeWatermark() -> UInt64? {
        self.batches.take(before: self.waiting.values.lazy.map(\.batch).min())
    }
}

/// One account, with what has to be told of it.
private struct UntoldAccount {
    private(set) var balance: LedgerBalance
    private(set) var holds: [SettledHold]
    /// The oldest batch of which something is not told.
    private(set) var batch: UInt64
    var failures = 0
    var retryAt: Moment = .distantPast
    /// `holds`, once something was merged into them.
    private var known: Set<SettledHold>?

    init(balance: LedgerBalance, _ holds: [SettledHold], batch: UInt64) {
        (self.balance, self.holds, self.batch) = (balance, holds, batch)
    }

    /// Oldest first; accounts of one batch by their number.
    var order: (UInt64, AccountID) { (self.batch, self.balance.account) }

    mutating func merge(_ other: UntoldAccount) {
        var known = self.known ?? Set(self.holds)
        self.known = nil
        for hold in other.holds where known.insert(hold).inserted { self.holds.append(hold) }
        self.known = known
        let (old, new) = (self.balance, other.balance)
        if (new.generation, new.version) > (old.generation, old.version) { self.balance = new }
        self.batch = min(self.batch, other.batch)
        self.failures = max(self.failures, other.failures)
        self.retryAt = max(self.retryAt, other.retryAt)
    }

    /// Takes at most so many holds out; what stays still belongs to the same batches.
    mutating func takeFirst(_ count: Int) -> UntoldAccount {
        var part = self
        part.known = nil
        guard self.holds.count > count else {
            self.holds = []
            return part
        }
        part.holds = Array(self.holds.prefix(count))
        self.holds.removeFirst(count)
        self.known = nil
        return part
    }
}

/// Which batches are told, in the order in which they were added.
private struct BatchMarks {
    private var last: UInt64 = 0
    private var marks: [(batch: UInt64, through: UInt64)] = []

    /// Returns the number of the batch.
    mutating func add(through: UInt64?) -> UInt64 {
        self.last += 1
        if let through { self.marks.append((self.last, through)) }
        return self.last
    }

    /// - Parameter first: the oldest batch of which something is not told; nil: there is none.
    mutating func take(before first: UInt64?) -> UInt64? {
        let told = self.marks.prefix { $0.batch < first ?? .max }
        let through = told.lazy.map(\.through).max()
        self.marks.removeFirst(told.count)
        return through
    }
}
