import Logging
import Metering

/// A change of money, floor or block that the ledger committed (rule G2).
public struct AccountChange: Sendable, Hashable {
    public var balance: LedgerBalance
    public var gate: AccountGate

    public init(balance: LedgerBalance, gate: AccountGate) {
        self.balance = balance
        self.gate = gate
    }
}

/// Hands the ledger's changes to the hold store. A lost one is not lost money: a short account is read again
/// from the ledger before its 402, and every later posting carries the newer balance.
public struct AccountRefresher: Sendable {
    private let holds: any HoldPosting
    private let logger: Logger

    public init(holds: any HoldPosting, logger: Logger) {
        self.holds = holds
        self.logger = logger
    }

    /// Runs until the feed ends.
    public func run(_ changes: some AsyncSequence<AccountChange, Never> & Sendable) async {
        for await change in changes {
            do {
                try await self.holds.posted([PostedAccount(balance: change.balance, settled: [])])
                try await self.holds.gateChanged([change.gate])
            } catch {
                self.logger.warning(
                    "account change not handed to the hold store",
                    metadata: ["account": "\(change.balance.account)", "error": "\(error)"])
            }
        }
    }
}
