import Billing
import Metering

extension PostgresLedger {
    /// Walks through the waived exchanges whose holds are of `[from, to)`, account by account, each in the order of
    /// time, on one snapshot. Beside each stands what its account had above its floor when it began.
    ///
    /// - Parameters:
    ///   - from: milliseconds since 1970; nil: from the first one.
    ///   - to: milliseconds since 1970; nil: to the last one.
    public func foldWaived<State: Sendable>(
        from: Int64? = nil, to: Int64? = nil, into initial: State, pageRows: Int64 = 5000,
        _ step: @escaping @Sendable (inout State, WaivedExchange) throws -> Void
    ) async throws -> State {
        try await self.pool.run(timeout: .seconds(7200)) { connection in
            try connection.transaction(.readSnapshot) { connection in
                var state = initial
                try connection.run("SELECT set_config('statement_timeout', '900s', true)")
                var (account, hold) = (AccountID.min, HoldID(high: 0, low: 0))
                while true {
                    let page = try connection.run(
                        Self.waivedPage, [.int(from), .int(to), .int(account), .uuid(hold), .int(pageRows)]
                    ).rows
                    for row in page { try step(&state, WaivedExchange(row)) }
                    guard page.count == pageRows, let last = page.last else { return state }
                    (account, hold) = (try last.int(0), try last.uuid(2))
                }
            }
        }
    }

    private static let waivedPage = """
        SELECT u.account_id, u.user_id, u.hold_id, (u.occurred_at AT TIME ZONE 'UTC')::date::text, u.model,
               u.shadow_millicredits, u.cost_picousd, coalesce(l.balance, 0) - b.floor_millicredits
        FROM usage_effective u JOIN credit_balance b ON b.account_id = u.account_id
        LEFT JOIN LATERAL (
            SELECT c.balance_after_millicredits AS balance FROM credit_ledger c
            WHERE c.account_id = u.account_id AND c.created_at <= u.occurred_at
            ORDER BY c.version DESC LIMIT 1) l ON true
        WHERE u.kind = 'waived'
          AND u.hold_id >= hold_id_at(to_timestamp(coalesce($1::bigint, 0) / 1000.0))
          AND ($2::bigint IS NULL OR u.hold_id < hold_id_at(to_timestamp($2::bigint / 1000.0)))
          AND (u.account_id, u.hold_id) > ($3::bigint, $4::uuid)
        ORDER BY u.account_id, u.hold_id LIMIT $5
        """
}

extension WaivedExchange {
    fileprivate init(_ row: PostgresRow) throws(PostgresError) {
        guard let day = UTCDay(text: try row.text(3)) else {
            throw .unexpectedResult("a day that is none")
        }
        self.init(
            account: try row.int(0), user: try row.text(1), day: day, model: try row.text(4),
            shadow: try row.millicredits(5), cost: PicoUSD(try row.int(6)),
            available: try row.millicredits(7))
    }
}
