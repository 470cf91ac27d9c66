import Metering
import NIOCore
import Synchronization

/// What the hold store knew of an account when it found it short.
struct BalanceStamp: Sendable, Hashable {
    var generation: Int64
    var version: Int64
    var gateVersion: Int64

    /// Whether a reading of the ledger knows more.
    func isOlder(than snapshot: AccountSnapshot) -> Bool {
        (snapshot.balance.generation, snapshot.balance.version) > (self.generation, self.version)
            || snapshot.gate.version > self.gateVersion
    }
}

/// Decides when the ledger is read before a 402 (rule G4): one read at a time and at most one per second per
/// account, so someone who has just paid is never turned away for longer than that. A value; time from
/// outside.
struct ShortVerification: Sendable {
    static let interval: TimeAmount = .seconds(1)
    /// A read that did not come back within this is taken for lost.
    static let patience: TimeAmount = .seconds(5)
    static let waitersMax = 4096
    private static let entriesMax = 4096

    private struct Entry {
        var startedAt: NIODeadline
        var isReading: Bool
        var waiters: Int
        var last: AccountSnapshot?
    }

    enum Action: Sendable, Equatable {
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

    mutating func short(_ account: AccountID, seen: BalanceStamp, now: NIODeadline) -> Action {
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
    mutating func finished(_ account: AccountID, _ snapshot: AccountSnapshot?) {
        guard var entry = self.entries[account] else { return }
        entry.isReading = false
        entry.waiters = 0
        entry.last = snapshot
        self.entries[account] = entry
    }

    var count: Int { self.entries.count }

    private static func limit(_ entry: Entry) -> TimeAmount {
        entry.isReading ? Self.patience : Self.interval
    }

    private mutating func makeRoom(now: NIODeadline) {
        guard self.entries.count >= Self.entriesMax else { return }
        self.entries = self.entries.filter {
            now - $0.value.startedAt < Self.limit($0.value) || $0.value.waiters > 0
        }
    }
}

/// The verification shared by all sessions of a process.
final class ShortVerifier: Sendable {
    enum Outcome: Sendable {
        case known(AccountSnapshot)
        /// Nothing newer is known: the refusal stands.
        case stands
    }
    private struct State {
        var machine = ShortVerification()
        var waiters: [AccountID: [@Sendable (Outcome) -> Void]] = [:]
    }

    private let accounts: any AccountReading
    private let counters: RedisHoldCounters
    private let state = Mutex(State())

    init(accounts: any AccountReading, counters: RedisHoldCounters) {
        self.accounts = accounts
        self.counters = counters
    }

    /// `reply` is called exactly once, at once or later, on any thread.
    func verify(_ account: AccountID, seen: BalanceStamp, reply: @escaping @Sendable (Outcome) -> Void) {
        let action = self.state.withLock { state in
            let action = state.machine.short(account, seen: seen, now: .now())
            if action == .read || action == .wait { state.waiters[account, default: []].append(reply) }
            return action
        }
        switch action {
        case .stands: reply(.stands)
        case .useKnown(let snapshot): reply(.known(snapshot))
        case .wait: break
        case .read:
            self.counters.shortVerifications.add(1)
            self.accounts.snapshot(of: account, among: []) { result in
                let snapshot = try? result.get()
                let waiters = self.state.withLock { state in
                    state.machine.finished(account, snapshot)
                    return state.waiters.removeValue(forKey: account) ?? []
                }
                for waiter in waiters { waiter(snapshot.map(Outcome.known) ?? .stands) }
            }
        }
    }
}
