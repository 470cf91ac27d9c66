import Metering

extension PostgresLedger: BillingReading {
    /// The offers of today, cheapest first.
    public func packages() async throws -> [CreditPackage] {
        try await self.pool.run { connection in
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
        try await self.pool.run { connection in
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
                recentUsage: try Self.recentUsage(of: account, limit: 10, on: connection))
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

    private static func recentUsage(
        of account: AccountID, limit: Int64, on connection: PostgresConnection
    ) throws -> [UsageLine] {
        try connection.run(
            """
            SELECT hold_id, kind, model, model_served, endpoint, input_tokens, cached_input_tokens,
                output_tokens,
                   reasoning_tokens, price_id, charged_millicredits, estimated,
                   (extract(epoch FROM occurred_at) * 1000)::bigint
            FROM usage_effective WHERE account_id = $1 ORDER BY hold_id DESC LIMIT $2
            """, [.int(account), .int(limit)]
        ).rows.map { row in
            try UsageLine(
                hold: row.uuid(0), kind: row.text(1), model: row.text(2), modelServed: row.optionalText(3),
                endpoint: row.text(4), inputTokens: row.int(5), cachedInputTokens: row.int(6),
                outputTokens: row.int(7),
                reasoningTokens: row.int(8), priceID: row.text(9), charged: row.millicredits(10),
                estimated: row.bool(11), occurredAt: row.int(12))
        }
    }
}
