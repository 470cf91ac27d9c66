import Metering

/// What the hold store has still to be told, merged by account: only the newest balance matters, and every
/// settled hold of the account goes with it.
///
/// A value; the settler holds it under one lock, so that "nothing waits" and "nothing will come" are one judgement:
/// taken apart, the last batch could slip between them and never be told.
public struct PostingOutbox {
    public enum NextAction: Equatable {
        /// Tell the store these; the next call comes after `acknowledged` or `failed`.
        case post([PostedAccount])
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

    /// From the first failure seen while draining: for so long a store that is away may hold up the end.
    private let patience: Span
    private var accounts: [AccountID: PostedAccount] = [:]
    private var inFlight: [PostedAccount] = []
    /// Last sequences of what waits, and of what is in flight.
    private var through: UInt64?
    private var inFlightThrough: UInt64?
    private var isClosed = false
    private var failures = 0
    private var failingSince: Moment?

    public init(patience: Span = .seconds(10)) { self.patience = patience }

    /// Holds that the ledger has and the store was not told of.
    public var untoldHolds: [HoldID] {
        (self.inFlight + self.accounts.values).flatMap { $0.settled.map(\.hold) }
    }

    /// Accounts and settled holds that the store has not acknowledged.
    public var untold: (accounts: Int, holds: Int) {
        let all = self.inFlight + self.accounts.values
        return (all.count, all.reduce(0) { $0 + $1.settled.count })
    }

    /// The ledger committed a batch.
    ///
    /// - Parameter through: the last sequence of the batch in the journal.
    public mutating func add(_ batch: [Settlement], _ receipt: SettlementReceipt, through: UInt64?) {
        precondition(!self.isClosed, "close() follows the last batch")
        if let through { self.through = max(self.through ?? 0, through) }
        let refused = Set(receipt.quarantined)
        var settled: [AccountID: [SettledHold]] = [:]
        for settlement in batch where !refused.contains(settlement.hold) {
            settled[settlement.account, default: []]
                .append(SettledHold(hold: settlement.hold, amount: settlement.charge.amount))
        }
        for balance in receipt.balances {
            self.merge(PostedAccount(balance: balance, settled: settled[balance.account] ?? []))
        }
    }

    /// As `add`, for a batch that is not of the queue; nothing happens when the process ends anyway.
    public mutating func addIfOpen(_ batch: [Settlement], _ receipt: SettlementReceipt) {
        guard !self.isClosed else { return }
        self.add(batch, receipt, through: nil)
    }

    /// No batch will be added any more.
    public mutating func close() { self.isClosed = true }

    public mutating func next() -> NextAction {
        precondition(self.inFlight.isEmpty, "acknowledged() or failed() answers each .post")
        guard !self.accounts.isEmpty else { return self.isClosed ? .done : .idle }
        self.inFlight = self.accounts.values.sorted { $0.balance.account < $1.balance.account }
        self.inFlightThrough = self.through
        self.accounts.removeAll(keepingCapacity: true)
        return .post(self.inFlight)
    }

    /// The store has all that was in flight. Returns the sequence of the journal up to which every outcome was posted
    /// and told: the watermark of its ACK (rule J5).
    public mutating func acknowledged() -> UInt64? {
        precondition(!self.inFlight.isEmpty, "acknowledged() follows .post")
        self.inFlight = []
        self.failures = 0
        self.failingSince = nil
        defer { self.inFlightThrough = nil }
        return self.inFlightThrough
    }

    /// It is not known that the store has what was in flight; repeating it is harmless.
    public mutating func failed(now: Moment, draining: Bool) -> FailedAction {
        precondition(!self.inFlight.isEmpty, "failed() follows .post")
        for posting in self.inFlight { self.merge(posting) }
        self.inFlight = []
        self.failures = min(self.failures + 1, 6)
        let pause = min(Span.milliseconds(25 << Int64(self.failures)), .seconds(1))
        guard draining else { return .again(after: pause) }
        let since = self.failingSince ?? now
        self.failingSince = since
        let left = since + self.patience - now
        if left > .zero { return .again(after: min(pause, left)) }
        // As long as the ledger is waited for, the store costs no time.
        return self.isClosed ? .giveUp : .again(after: pause)
    }

    private mutating func merge(_ posting: PostedAccount) {
        guard var known = self.accounts[posting.balance.account] else {
            self.accounts[posting.balance.account] = posting
            return
        }
        known.settled += posting.settled
        let (old, new) = (known.balance, posting.balance)
        if (new.generation, new.version) > (old.generation, old.version) { known.balance = new }
        self.accounts[posting.balance.account] = known
    }
}
