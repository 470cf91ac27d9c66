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
    let running: Set<HoldID>
    let released = Mutex<[AccountID]>([])
    let cooled = Mutex<[AccountID]>([])
    let wrong: Set<AccountID>

    init(
        _ accounts: [AccountID], owner: BootID, running: Set<HoldID> = [], wrong: Set<AccountID> = []
    ) {
        self.wrong = wrong
        self.accounts = accounts
        self.owner = owner
        self.running = running
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
                ], captures: [], hasWrongSums: self.wrong.contains(account))
        }
        return (stored, nil)
    }

    func reap(_ hold: HoldID, of account: AccountID, from dead: HoldOwner) async throws -> StoredHold? { nil }

    func release(_ hold: HoldID, of account: AccountID, owner: BootID) async throws -> Bool {
        self.released.withLock { $0.append(account) }
        return false
    }

    func evict(_ account: AccountID, idleSeconds: Int64) async throws -> Bool { false }
    func cool(_ account: AccountID) async throws -> Bool {
        self.cooled.withLock { $0.append(account) }
        return true
    }
    func known(among holds: [HoldID]) async -> Set<HoldID> { self.running.intersection(holds) }
}

/// A ledger that cannot read one account.
private struct PartlyBrokenLedger: AccountReading, LedgerSweeping {
    let broken: AccountID
    /// Numbers of reapers' estimates that nothing corrected.
    var estimates: [Int] = []

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
    func voids(of boots: [BootID], notIn opened: Set<HoldID>) async throws -> [Settlement] {
        self.estimates.map { JournalDisk.settlement($0).hold }.filter { !opened.contains($0) }.map {
            .void(of: $0, account: 7, owner: JournalDisk.boot(1), endpoint: .chat, priceID: "p1")
        }
    }

    func balances(of accounts: [AccountID]) async throws -> [LedgerBalance] { [] }
}

@Suite(.timeLimit(.minutes(1))) struct SweeperTests {
    /// What is wrong with one account must not keep the holds of all others.
    @Test func oneBrokenAccountDoesNotStopTheSweepOfTheOthers() async throws {
        let disk = JournalDisk()
        let rig = try KeeperRig(disk, boot: 1)
        let holds = LeftOverHolds([1, 2, 3], owner: rig.journal.boot)
        let ledger = PartlyBrokenLedger(broken: 2)
        let sweeper = Self.sweeper(rig, holds, ledger)
        try await sweeper.pass()
        let released = holds.released.withLock { $0 }
        #expect(released == [1, 3])
        let failed = sweeper.counters.samples(nowMilliseconds: 0).first { $0.name == "sweep_accounts_failed" }
        #expect(failed?.value == ExactDecimal(coefficient: 1, scale: 0))
        await rig.journal.stop()
    }

    /// Only a cold load adds a sum up again; whoever is right stays as they are.
    @Test func anAccountWithWrongSumsIsMadeCold() async throws {
        let disk = JournalDisk()
        let rig = try KeeperRig(disk, boot: 1)
        let holds = LeftOverHolds([1, 2, 3], owner: rig.journal.boot, wrong: [2])
        try await Self.sweeper(rig, holds, PartlyBrokenLedger(broken: 0)).pass()
        #expect(holds.cooled.withLock { $0 } == [2])
        // Its holds are looked after all the same.
        #expect(holds.released.withLock { $0 } == [1, 2, 3])
        await rig.journal.stop()
    }

    /// Values of one name are added, and `reconciliation_…` is what the daily reconciliation found.
    @Test func theSweepsDifferenceHasANameOfItsOwn() {
        let counters = SweepCounters()
        var figures = SweepFigures()
        figures.mismatch = 7
        counters.finished(figures)
        let samples = counters.samples(nowMilliseconds: 0)
        let seven = ExactDecimal(coefficient: 7, scale: 0)
        #expect(samples.filter { $0.value == seven }.map(\.name) == ["store_mismatch_millicredits"])
        #expect(!samples.contains { $0.name.hasPrefix("reconciliation_") })
    }

    /// Of a hold that ended free no exchange, settler or journal knows; what is under way ends by itself.
    @Test func anEstimateForAHoldOfOurOwnThatNobodyKnowsIsTakenBack() async throws {
        let disk = JournalDisk()
        let rig = try KeeperRig(disk, boot: 1)
        let holds = LeftOverHolds([], owner: rig.journal.boot, running: [JournalDisk.settlement(5).hold])
        let ledger = PartlyBrokenLedger(broken: 0, estimates: [4, 5])
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let settler = Settler(ledger: rig.ledger, journal: rig.journal, logger: logger)
        try await Self.sweeper(rig, holds, ledger, settler).pass()
        let unposted = settler.unposted()
        #expect(unposted.map(\.hold) == [JournalDisk.settlement(4).hold])
        #expect(unposted.first?.kind == .void && unposted.first?.authority == .owner)
        // It is under way now, and not said again.
        try await Self.sweeper(rig, holds, ledger, settler).pass()
        #expect(settler.unposted().count == 1)
        await rig.journal.stop()
    }

    private static func sweeper(
        _ rig: KeeperRig, _ holds: LeftOverHolds, _ ledger: PartlyBrokenLedger, _ settler: Settler? = nil
    ) -> Sweeper {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        return Sweeper(
            me: rig.journal.boot,
            Sweeper.Dependencies(
                holds: holds, posting: AbsentHolds(), accounts: ledger, ledger: ledger,
                settler: settler ?? Settler(ledger: rig.ledger, journal: rig.journal, logger: logger),
                life: InstanceLife(ledger: ledger, logger: logger) { _, _ in }, journals: rig.keeper),
            logger: logger)
    }
}
