import Logging
import Metering
import MoneyPath
import Synchronization
import Testing

@testable import Settlement

/// A hold store in which every account has one hold of ours that nobody knows.
private final class LeftOverHolds: HoldSweeping {
    let owner: BootID
    let accounts: [AccountID]
    let released = Mutex<[AccountID]>([])

    init(_ accounts: [AccountID], owner: BootID) {
        self.accounts = accounts
        self.owner = owner
    }

    func accounts(from cursor: String?) async throws -> (accounts: [StoredAccount], next: String?) {
        let stored = self.accounts.map { account in
            StoredAccount(
                account: account,
                holds: [
                    StoredHold(
                        hold: JournalDisk.settlement(Int(account)).hold, amount: Millicredits(10),
                        deadlineMilliseconds: 0, owner: HoldOwner(self.owner), placedMilliseconds: 0,
                        inputEstimate: Millicredits(1), priceID: "p1", endpoint: .chat, progress: nil)
                ], captures: [])
        }
        return (stored, nil)
    }

    func reap(_ hold: HoldID, of account: AccountID, from dead: HoldOwner) async throws -> StoredHold? { nil }

    func release(_ hold: HoldID, of account: AccountID, owner: BootID) async throws -> Bool {
        self.released.withLock { $0.append(account) }
        return false
    }

    func evict(_ account: AccountID, idleSeconds: Int64) async throws -> Bool { false }
    func known(among holds: [HoldID]) async -> Set<HoldID> { [] }
}

/// A ledger that cannot read one account.
private struct PartlyBrokenLedger: AccountReading, LedgerSweeping {
    let broken: AccountID

    func snapshot(
        of account: AccountID, among holds: [HoldID],
        reply: @escaping @Sendable (Result<AccountSnapshot, LedgerReadFailure>) -> Void
    ) {
        guard account != self.broken else { return reply(.failure(.unreachable)) }
        reply(
            .success(
                AccountSnapshot(
                    balance: LedgerBalance(
                        account: account, generation: 1, version: 1, balance: Millicredits(100)),
                    gate: AccountGate(account: account, version: 1, floor: .zero, blocked: false),
                    spentLastHour: .zero, spentToday: .zero, settled: [])))
    }

    func beat() async throws -> InstanceReading { throw LedgerReadFailure.unreachable }
    func voids(of boots: [BootID], notIn opened: Set<HoldID>) async throws -> [Settlement] { [] }
    func balances(of accounts: [AccountID]) async throws -> [LedgerBalance] { [] }
}

@Suite(.timeLimit(.minutes(1))) struct SweeperTests {
    /// What is wrong with one account must not keep the holds of all others.
    @Test func oneBrokenAccountDoesNotStopTheSweepOfTheOthers() async throws {
        let disk = JournalDisk()
        let rig = try KeeperRig(disk, boot: 1)
        let holds = LeftOverHolds([1, 2, 3], owner: rig.journal.boot)
        let ledger = PartlyBrokenLedger(broken: 2)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let sweeper = Sweeper(
            me: rig.journal.boot,
            Sweeper.Dependencies(
                holds: holds, posting: AbsentHolds(), accounts: ledger, ledger: ledger,
                settler: Settler(ledger: rig.ledger, journal: rig.journal, logger: logger),
                life: InstanceLife(ledger: ledger, logger: logger) { _, _ in }, journals: rig.keeper),
            logger: logger)
        try await sweeper.pass()
        let released = holds.released.withLock { $0 }
        #expect(released == [1, 3])
        let failed = sweeper.counters.samples(nowMilliseconds: 0).first { $0.name == "sweep_accounts_failed" }
        #expect(failed?.value == ExactDecimal(coefficient: 1, scale: 0))
        await rig.journal.stop()
    }
}
