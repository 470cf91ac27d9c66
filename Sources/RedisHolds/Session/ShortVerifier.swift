import Metering
import MoneyPath
import Synchronization

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
            let action = state.machine.short(account, seen: seen, now: .now)
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
