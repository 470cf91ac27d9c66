import Metering
import Testing

@testable import PostgresLedger

@Suite(.serialized) struct SnapshotTests {
    let outcomes = Outcomes()

    private func snapshot(
        _ database: TestDatabase, _ account: AccountID, among holds: [HoldID] = []
    ) async -> Result<AccountSnapshot, LedgerReadFailure> {
        await withCheckedContinuation { continuation in
            database.ledger.snapshot(of: account, among: holds) { continuation.resume(returning: $0) }
        }
    }

    /// A cold load must know which of the holds it found are over, and with which amount.
    @Test func itHasBalanceGateSpendAndSettledHolds() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 10_000)
        let (plain, corrected, open) = (Outcomes.hold(), Outcomes.hold(), Outcomes.hold())
        _ = try await database.ledger.settle([
            outcomes.final(account, 300, hold: plain), outcomes.orphan(account, 50, hold: corrected),
        ])
        _ = try await database.ledger.settle([outcomes.final(account, 20, hold: corrected)])
        let gate = try await database.book.setGate(of: account, floor: Millicredits(-500))
        let snapshot = try await self.snapshot(database, account, among: [open, plain, corrected]).get()
        #expect(snapshot.balance.balance == Millicredits(9680))
        #expect(snapshot.balance.version == 3)
        #expect(snapshot.gate == gate)
        #expect(gate == AccountGate(account: account, version: 2, floor: Millicredits(-500), blocked: false))
        #expect(snapshot.spentLastHour == Millicredits(320))
        #expect(snapshot.spentToday == Millicredits(320))
        #expect(
            Set(snapshot.settled) == [
                SettledHold(hold: plain, amount: Millicredits(300)),
                SettledHold(hold: corrected, amount: Millicredits(20)),
            ])
    }

    @Test func spendLeavesItsWindows() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 10_000)
        _ = try await database.ledger.settle([outcomes.final(account, 300)])
        try await database.execute("UPDATE usage_events SET created_at = now() - interval '61 minutes'")
        _ = try await database.ledger.settle([outcomes.final(account, 7)])
        #expect(try await self.snapshot(database, account).get().spentLastHour == Millicredits(7))
        try await database.execute("UPDATE usage_events SET created_at = now() - interval '25 hours'")
        #expect(try await self.snapshot(database, account).get().spentToday == .zero)
    }

    @Test func anUnknownAccountIsNotAnOutage() async throws {
        let database = try await TestDatabase.migrated()
        #expect(await self.snapshot(database, 4711) == .failure(.noSuchAccount))
        let nowhere = try TestDatabase(url: "postgresql://x@/x?host=/nonexistent")
        #expect(await self.snapshot(nowhere, 1) == .failure(.unreachable))
    }
}
