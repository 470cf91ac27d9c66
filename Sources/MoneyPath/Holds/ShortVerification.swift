import Metering

/// What the hold store knew of an account when it found it short.
public struct BalanceStamp: Sendable, Hashable {
    public var generation: Int64
    public var version: Int64
    public var gateVersion: Int64

    public init(generation: Int64, version: Int64, gateVersion: Int64) {
        self.generation = generation
        self.version = version
        self.gateVersion = gateVersion
    }

    /// Whether a reading of the ledger knows more.
    public func isOlder(than snapshot: AccountSnapshot) -> Bool {
        (snapshot.balance.generation, snapshot.balance.version) > (self.generation, self.version)
            || snapshot.gate.version > self.gateVersion
    }
}

/// Decides when the ledger is read before a 402 (rule G4): one read at a time and at most one per second per
/// account, so someone who has just paid is never turned away for longer than that. A value; time from
/// outside.
public struct ShortVerification: Sendable {
    static let interval: Span = .seconds(1)
    /// A read that did not come back within this is taken for lost.
    static let patience: Span = .seconds(5)
    static let waitersMax = 4096
    private static let entriesMax = 4096

    private struct Entry {
        var startedAt: Moment
        var isReading: Bool
        var waiters: Int
        var last: AccountSnapshot?
    }

    public enum Action: Sendable, Equatable {
        /// Read the ledger, then report to `finished`; the asker waits for the result as well.
        case read
        /// A read is under way; its result is for this asker too.
        case wait
        /// A reading of the last second knows more than the store did.
        case useKnown(AccountSnapshot)
        /// The last reading confirms it.
        case stands
    }

    private var entries: [AccountID: Entry] = [:]

    public init() {}

    public mutating func short(_ account: AccountID, seen: BalanceStamp, now: Moment) -> Action {
        guard var entry = self.entries[account], now - entry.startedAt < Self.limit(entry) else {
            self.makeRoom(now: now)
            let waiters = self.entries[account]?.waiters ?? 0
            self.entries[account] = Entry(startedAt: now, isReading: true, waiters: waiters + 1, last: nil)
            return .read
        }
        if entry.isReading {
            guard entry.waiters < Self.waitersMax else { return .stands }
            entry.waiters += 1
            self.entries[account] = entry
            return .wait
        }
        if let last = entry.last, seen.isOlder(than: last) { return .useKnown(last) }
        return .stands
    }

    /// - Parameter snapshot: nil when the ledger could not be read.
    public mutating func finished(_ account: AccountID, _ snapshot: AccountSnapshot?) {
        guard var entry = self.entries[account] else { return }
        entry.isReading = false
        entry.waiters = 0
        entry.last = snapshot
        self.entries[account] = entry
    }

    public var count: Int { self.entries.count }

    private static func limit(_ entry: Entry) -> Span {
        entry.isReading ? Self.patience : Self.interval
    }

    private mutating func makeRoom(now: Moment) {
        guard self.entries.count >= Self.entriesMax else { return }
        self.entries = self.entries.filter {
            now - $0.value.startedAt < Self.limit($0.value) || $0.value.waiters > 0
        }
    }
}
