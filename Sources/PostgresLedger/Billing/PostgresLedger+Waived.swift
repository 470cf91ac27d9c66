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
                try connection.run("SELECT set_config('statement_timeout', '900s', true)")
                return try Self.foldWaived(
                    on: connection, from: from, to: to, into: initial, pageRows: pageRows, seconds: 900, step)
            }
        }
    }

    /// - Parameter seconds: after which the server gives up on one statement.
    static func foldWaived<State>(
        on connection: PostgresConnection, from: Int64?, to: Int64?, into initial: State, pageRows: Int64,
        seconds: Int64, _ step: (inout State, WaivedExchange) throws -> Void
    ) throws -> State {
        var state = initial
        try connection.run(
            "DECLARE waived NO SCROLL CURSOR FOR \(Self.waivedInOrder)", [.int(from), .int(to)])
        while true {
            // The first one reads and sorts them all; the server gives up before this.
            let page = try connection.run("FETCH \(pageRows) FROM waived", timeout: .seconds(seconds + 10))
                .rows
            for row in page { try step(&state, WaivedExchange(row)) }
            guard page.count == pageRows else { return state }
        }
    }

    /// One pass: the exchanges and the lines of their accounts are merged in the order of time, and each exchange gets
    /// the newest line before it. To look it up for each exchange would read the account's lines each time.
    static let waivedInOrder = """
        WITH exchanges AS (
            SELECT u.account_id, u.user_id, u.hold_id, u.occurred_at AS at, u.model, u.shadow_millicredits, u.cost_picousd
            FROM usage_effective u
            WHERE u.kind = 'waived'
              AND u.hold_id >= hold_id_at(to_timestamp(coalesce($1::bigint, 0) / 1000.0))
              AND ($2::bigint IS NULL OR u.hold_id < hold_id_at(to_timestamp($2::bigint / 1000.0)))),
        -- From the newest line before an account's first exchange on.
        spans AS (
            SELECT account_id, max(at) AS last, coalesce((
                SELECT l.version FROM credit_ledger l
                WHERE l.account_id = e.account_id AND l.created_at <= min(e.at) ORDER BY l.version DESC LIMIT 1), 0) AS version
            FROM exchanges e GROUP BY account_id),
        moments AS (
            SELECT account_id, at, hold_id, user_id, model, shadow_millicredits, cost_picousd,
                   NULL::bigint AS version, NULL::bigint AS balance
            FROM exchanges
            UNION ALL
            SELECT c.account_id, c.created_at, NULL, NULL, NULL, NULL, NULL, c.version, c.balance_after_millicredits
            FROM spans s JOIN credit_ledger c ON c.account_id = s.account_id AND c.version >= s.version
                AND c.created_at <= s.last),
        known AS (
            SELECT *, max(ARRAY[version, balance]) FILTER (WHERE version IS NOT NULL) OVER (
                PARTITION BY account_id ORDER BY at, hold_id NULLS FIRST ROWS UNBOUNDED PRECEDING) AS newest
            FROM moments)
        SELECT k.account_id, k.user_id, k.hold_id, (k.at AT TIME ZONE 'UTC')::date::text, k.model,
               k.shadow_millicredits, k.cost_picousd, coalesce(k.newest[2], 0) - b.floor_millicredits
        FROM known k JOIN credit_balance b ON b.account_id = k.account_id
        WHERE k.hold_id IS NOT NULL
        ORDER BY k.account_id, k.hold_id
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
