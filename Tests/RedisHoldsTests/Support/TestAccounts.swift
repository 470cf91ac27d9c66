import Metering
import Synchronization

@testable import RedisHolds

/// Account numbers that no other test uses.
private let nextAccount = Atomic<Int64>(1)
func freshAccount() -> AccountID { nextAccount.wrappingAdd(1, ordering: .relaxed).newValue }

private let nextHold = Atomic<UInt64>(1)
func freshHold() -> HoldID {
    HoldID(
        millisecondsSinceEpoch: 1_763_900_000_000, randomA: 7,
        randomB: nextHold.wrappingAdd(1, ordering: .relaxed).newValue)
}

let bootA = HoldID(high: 0x0193_0000_0000_7000, low: 0x8000_0000_0000_000a)

/// A seeded generator: a failure is repeated by its seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var z = self.state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// A ledger in memory that can be slow, or away.
final class FakeLedger: AccountReading, Sendable {
    struct State {
        var accounts: [AccountID: AccountSnapshot] = [:]
        var settled: [AccountID: [HoldID: Millicredits]] = [:]
        var isDown = false
        /// Replies are kept until `answerAll`.
        var isHeldBack = false
        var reads = 0
        var waiting: [@Sendable () -> Void] = []
    }
    let state = Mutex(State())

    func set(
        _ account: AccountID, balance: Int64, version: Int64 = 1, generation: Int64 = 1, floor: Int64 = 0,
        blocked: Bool = false, gateVersion: Int64 = 1, hour: Int64 = 0, day: Int64 = 0
    ) {
        let snapshot = AccountSnapshot(
            balance: LedgerBalance(
                account: account, generation: generation, version: version, balance: Millicredits(balance)),
            gate: AccountGate(
                account: account, version: gateVersion, floor: Millicredits(floor), blocked: blocked),
            spentLastHour: Millicredits(hour), spentToday: Millicredits(day), settled: [])
        self.state.withLock { $0.accounts[account] = snapshot }
    }

    func settle(_ account: AccountID, _ hold: HoldID, _ amount: Int64) {
        self.state.withLock { $0.settled[account, default: [:]][hold] = Millicredits(amount) }
    }

    var reads: Int { self.state.withLock { $0.reads } }

    func answerAll() {
        let waiting = self.state.withLock { state in
            state.isHeldBack = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for answer in waiting { answer() }
    }

    func snapshot(
        of account: AccountID, among holds: [HoldID],
        reply: @escaping @Sendable (Result<AccountSnapshot, LedgerReadFailure>) -> Void
    ) {
        let answer: (@Sendable () -> Void)? = self.state.withLock { state in
            state.reads += 1
            let answer: @Sendable () -> Void = {
                let result: Result<AccountSnapshot, LedgerReadFailure> = self.state.withLock { state in
                    if state.isDown { return .failure(.unreachable) }
                    guard var snapshot = state.accounts[account] else { return .failure(.noSuchAccount) }
                    let known = state.settled[account] ?? [:]
                    snapshot.settled = holds.compactMap { id in
                        known[id].map { SettledHold(hold: id, amount: $0) }
                    }
                    return .success(snapshot)
                }
                reply(result)
            }
            if state.isHeldBack {
                state.waiting.append(answer)
                return nil
            }
            return answer
        }
        answer?()
    }
}

final class RecordingSink: SettlementSink, Sendable {
    private let settlements = Mutex<[Settlement]>([])
    var recorded: [Settlement] { self.settlements.withLock { $0 } }
    func reserve() -> Bool { true }
    func giveBackReservation() {}
    func opened(_ worst: Settlement) -> Bool { true }
    func progressed(_ progress: ExchangeProgress) {}
    func record(_ settlement: Settlement, whenSafe completion: @escaping @Sendable () -> Void) -> Bool {
        self.recordUnreserved(settlement)
        return false
    }
    func recordUnreserved(_ settlement: Settlement) { self.settlements.withLock { $0.append(settlement) } }
    /// What a new epoch finds unposted.
    let waiting = Mutex<[Settlement]>([])
    func unposted() -> [Settlement] { self.waiting.withLock { $0 } }
}
