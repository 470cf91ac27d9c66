import Metering

extension PostgresLedger: BillingReading {
    /// The offers of today, cheapest first.
    public func packages() async throws -> [CreditPackage] {
        try await self.list { connection in
            try connection.run(
                """
                SELECT code, version, name, price_usd_cents, credits, bonus_credits FROM package
                WHERE active ORDER BY price_usd_cents, code
                """
            ).rows.map { row in
                try CreditPackage(
                    code: row.text(0), version: row.int(1), name: row.text(2), priceUSDCents: row.int(3),
                    credits: row.int(4), bonusCredits: row.int(5))
            }
        }
    }

    /// nil: no such account.
    public func summary(of account: AccountID) async throws -> AccountSummary? {
        // The generation may have to follow a new timeline, which writes: not on a snapshot that only reads.
        try await self.list(.readWrite) { connection in
            guard
                let row = try connection.run(
                    """
                    SELECT user_id, (SELECT ledger_generation()), version, balance_millicredits, gate_version,
                           floor_millicredits, blocked FROM credit_balance WHERE account_id = $1
                    """, [.int(account)]
                ).first
            else { return nil }
            return AccountSummary(
                userID: try row.text(0),
                balance: LedgerBalance(
                    account: account, generation: try row.int(1), version: try row.int(2),
                    balance: try row.millicredits(3)),
                gate: AccountGate(
                    account: account, version: try row.int(4), floor: try row.millicredits(5),
                    blocked: try row.bool(6)),
                recentLedger: try Self.recentLedger(of: account, limit: 10, on: connection),
                recentUsage: try Self.usage(UsageQuery(account: account, limit: 10), on: connection))
        }
    }

    private static func recentLedger(
        of account: AccountID, limit: Int64, on connection: PostgresConnection
    ) throws -> [LedgerLine] {
        try connection.run(
            """
            SELECT version, type, amount_millicredits, balance_after_millicredits, reference_type,
                reference_id,
                   (extract(epoch FROM created_at) * 1000)::bigint
            FROM credit_ledger WHERE account_id = $1 ORDER BY version DESC LIMIT $2
            """, [.int(account), .int(limit)]
        ).rows.map { row in
            try LedgerLine(
                version: row.int(0), type: row.text(1), amount: row.millicredits(2),
                balanceAfter: row.millicredits(3),
                referenceType: row.text(4), referenceID: row.text(5), createdAt: row.int(6))
        }
    }
}
