import Metering

/// What one heartbeat learned from the ledger.
public struct InstanceReading: Sendable, Hashable {
    /// Heartbeat counters of all boots that are known, ours included.
    public var counters: [BootID: Int64]
    /// Generation of the ledger (rule P7).
    public var generation: Int64

    public init(counters: [BootID: Int64], generation: Int64) {
        self.counters = counters
        self.generation = generation
    }
}

/// What the sweep and the recovery of journals need of the ledger.
public protocol LedgerSweeping: Sendable {
    /// Registers this boot or moves its counter.
    func beat() async throws -> InstanceReading
    /// Reapers' estimates of these boots that nothing corrected, whose hold is not in `opened`, each as the VOID that
    /// corrects it (rule F8).
    func voids(of boots: [BootID], notIn opened: Set<HoldID>) async throws -> [Settlement]
    /// Balances of these accounts as they are now; unknown ones are left out.
    func balances(of accounts: [AccountID]) async throws -> [LedgerBalance]
}
