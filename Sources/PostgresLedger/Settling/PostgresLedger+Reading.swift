import Metering

extension PostgresLedger: AccountReading {
    /// Accounts asked for at the same time are read together (rule E3); each answer is of one moment.
    public func snapshot(
        of account: AccountID, among holds: [HoldID],
        reply: @escaping @Sendable (Result<AccountSnapshot, LedgerReadFailure>) -> Void
    ) {
        self.snapshots.read(.init(account: account, holds: holds, reply: reply))
    }
}
