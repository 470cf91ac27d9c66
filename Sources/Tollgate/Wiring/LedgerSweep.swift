import Metering
import MoneyPath
import PostgresLedger
import Proxy

/// What heartbeat and sweep need of the ledger.
struct LedgerSweep: LedgerSweeping {
    let boot: BootID
    let ledger: PostgresLedger
    let verifier: LedgerVerifier
    let clock: LedgerClock
    let watch: LedgerWatch

    func beat() async throws -> InstanceReading {
        let asked = self.clock.askingMilliseconds()
        let beat = try await self.ledger.heartbeat(self.boot, hostname: System.hostName)
        self.clock.heard(ledgerMilliseconds: beat.databaseMilliseconds, asked: asked)
        return InstanceReading(
            counters: beat.counters, generation: try await self.watch.generation(at: beat.position))
    }

    func voids(of boots: [BootID], notIn opened: Set<HoldID>) async throws -> [Settlement] {
        try await self.ledger.standingEstimates(of: boots, notIn: opened).map(\.void)
    }

    func balances(of accounts: [AccountID]) async throws -> [LedgerBalance] {
        try await self.verifier.balances(of: accounts)
    }
}
