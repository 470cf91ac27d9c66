import Metering

extension AccountBook {
    /// Changes what is set aside for streams of an account; every instance knows it within a second.
    ///
    /// - Parameter policy: nil: as configured.
    public func setHolds(_ policy: HoldPolicy?, of account: AccountID) async throws {
        let updated = try await self.pool.run { connection in
            try connection.run(
                "UPDATE account SET hold_policy = $2 WHERE account_id = $1 RETURNING account_id",
                [.int(account), .text(policy?.rawValue)]
            ).rows.count
        }
        guard updated == 1 else { throw Failure.noSuchAccount }
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
