import Billing
import Metering

extension AccountBook {
    /// Changes what is set aside for streams of an account; every instance knows it within a second.
    ///
    /// - Parameters:
    ///   - policy: nil: as configured.
    ///   - note: of a person's change; nil: a set-up's.
    public func setHolds(
        _ policy: HoldPolicy?, of account: AccountID, note: ChangeNote? = nil
    ) async throws {
        try await self.change { connection in
            let row = try connection.run(
                "SELECT user_id, hold_policy FROM account WHERE account_id = $1 FOR NO KEY UPDATE",
                [.int(account)]
            ).first
            guard let row else { throw Failure.noSuchAccount }
            let (user, before) = (try row.text(0), try row.optionalText(1))
            guard before != policy?.rawValue else { return }
            try connection.run(
                "UPDATE account SET hold_policy = $2 WHERE account_id = $1",
                [.int(account), .text(policy?.rawValue)])
            guard let note else { return }
            try connection.audit(
                note, "account.holds", "account:\(user)", before: AuditJSON.text(before),
                after: AuditJSON.text(policy?.rawValue))
        }
    }

    /// nil: as configured.
    public func holds(of account: AccountID) async throws -> HoldPolicy? {
        let found = try await self.pool.run { connection -> String?? in
            let rows = try connection.run(
                "SELECT hold_policy FROM account WHERE account_id = $1", [.int(account)]
            ).rows
            return try rows.first.map { try $0.optionalText(0) }
        }
        guard let policy = found else { throw Failure.noSuchAccount }
        return policy.flatMap { HoldPolicy(rawValue: $0) }
    }
}
