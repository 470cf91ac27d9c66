import Billing
import Metering

extension AccountBook {
    /// Creates the account of a user that has none yet, and grants credits once; one entry of the audit log, unless both
    /// was done before.
    ///
    /// - Returns: `receipt` is nil when there was nothing to grant.
    public func create(
        userID: String, credits: Millicredits, note: ChangeNote
    ) async throws -> (account: AccountID, isNew: Bool, receipt: Grant.Receipt?) {
        guard UserID.isValid(userID) else { throw Failure.invalidUserID }
        return try await self.change { connection in
            let row = try connection.run(
                "SELECT o_account_id, o_created FROM find_or_create_account($1)", [.text(userID)]
            ).one()
            let (account, isNew) = (try row.int(0), try row.bool(1))
            var receipt: Grant.Receipt?
            if credits > .zero {
                // Keyed by account: creating the same user twice grants once.
                let grant = Grant(
                    account: account, amount: credits, kind: .promotional,
                    sourceRef: "account-create:\(account)", reason: "account create")
                receipt = try grant.post(on: connection)
            }
            let isGranted = receipt.map { !$0.repeated } ?? false
            if isNew || isGranted {
                try connection.audit(
                    note, "account.create", "account:\(userID)", before: nil,
                    after: AuditJSON.object([
                        ("accountId", AuditJSON.number(account)),
                        ("grantedMillicredits", AuditJSON.amount(isGranted ? credits : .zero)),
                    ]))
            }
            return (account, isNew, receipt)
        }
    }

    /// Runs a change in a transaction of its own; the entry of the audit log comes last in it.
    func change<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws -> Value {
        try await self.pool.run { connection in
            try connection.retryingConcurrency { try connection.transaction { try body($0) } }
        }
    }
}
