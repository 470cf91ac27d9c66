import Metering

extension PostgresLedger {
    /// Exchanges of one account as they count, newest first.
    public func usage(_ query: UsageQuery) async throws -> [UsageLine] {
        try await self.list { try Self.usage(query, on: $0) }
    }

    private static let lastHold = "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid"
    /// How far back is looked at once, in days, before everything.
    private static let stepsBack: [Int64] = [2, 32]

    /// The newest days are asked first, and alone: the server plans every day between the bounds, and a whole ledger has
    /// years of them.
    static func usage(_ query: UsageQuery, on connection: PostgresConnection) throws -> [UsageLine] {
        let now = try connection.run("SELECT (extract(epoch FROM now()) * 1000)::bigint").one().int(0)
        let (first, behind) = (query.from ?? 0, query.before.map { Int64($0.millisecondsSinceEpoch) + 1 })
        // `settle` takes no hold of a day after tomorrow.
        var part = query
        part.to = min(query.to ?? .max, behind ?? .max, now + 2 * UsageHistory.dayMilliseconds)
        let newest = min(part.to ?? now, now)
        var lines: [UsageLine] = []
        for start in Self.stepsBack.map({ max(first, newest - $0 * UsageHistory.dayMilliseconds) }) + [first]
        {
            part.from = start
            part.limit = query.limit - Int64(lines.count)
            lines += try Self.page(part, on: connection)
            if lines.count >= query.limit || start == first { break }
            part.to = start
        }
        return lines
    }

    /// A page is a range of the key; times are bounds of hold ids, which spares partitions.
    private static func page(_ query: UsageQuery, on connection: PostgresConnection) throws -> [UsageLine] {
        try connection.run(
            """
            SELECT hold_id, kind, model, model_served, endpoint, input_tokens, cached_input_tokens, output_tokens,
                   reasoning_tokens, usage_parts::text, price_id, charged_millicredits, estimated,
                   (extract(epoch FROM occurred_at) * 1000)::bigint
            FROM usage_effective
            WHERE account_id = $1 AND ($2::text IS NULL OR model = $2)
              AND hold_id >= hold_id_at(to_timestamp(coalesce($3::bigint, 0) / 1000.0))
              AND hold_id < coalesce(hold_id_at(to_timestamp($4::bigint / 1000.0)), \(lastHold))
              AND hold_id < coalesce($5::uuid, \(lastHold))
            ORDER BY hold_id DESC LIMIT $6
            """,
            [
                .int(query.account), .text(query.model), .int(query.from), .int(query.to),
                query.before.map(PostgresValue.uuid) ?? .null, .int(query.limit),
            ]
        ).rows.map(UsageLine.init)
    }
}

extension UsageLine {
    fileprivate init(_ row: PostgresRow) throws(PostgresError) {
        self.init(
            hold: try row.uuid(0), kind: try row.text(1), model: try row.text(2),
            modelServed: try row.optionalText(3), endpoint: try row.text(4), inputTokens: try row.int(5),
            cachedInputTokens: try row.int(6), outputTokens: try row.int(7),
            reasoningTokens: try row.int(8), parts: try row.usageParts(9), priceID: try row.text(10),
            charged: try row.millicredits(11), estimated: try row.bool(12), occurredAt: try row.int(13))
    }
}

// MARK: The history of all accounts

extension PostgresLedger {
    /// Walks through all exchanges whose holds are of `[from, to)`, in pages, on one snapshot: settlement may go on
    /// meanwhile. By day, and in a day by account, as the keys lie.
    ///
    /// - Parameters:
    ///   - from: milliseconds since 1970; nil: from the first one.
    ///   - to: milliseconds since 1970; nil: to the last one.
    ///   - step: takes each page, never an empty one, on the connection's thread.
    public func foldUsage<State: Sendable>(
        from: Int64? = nil, to: Int64? = nil, into initial: State, pageRows: Int64 = 5000,
        _ step: @escaping @Sendable (inout State, [UsageRecord]) throws -> Void
    ) async throws -> State {
        try await self.pool.run(timeout: .seconds(7200)) { connection in
            try connection.transaction(.readSnapshot) { connection in
                var state = initial
                // On the server as well: the pool's own limit is for statements of the money path.
                try connection.run("SELECT set_config('statement_timeout', '900s', true)")
                guard let (first, last) = try UsageHistory.extent(on: connection) else { return state }
                let (start, end) = (max(from ?? first, first), min(to ?? .max, last + 1))
                var day = start
                while day < end {
                    let next = min(
                        (day / UsageHistory.dayMilliseconds + 1) * UsageHistory.dayMilliseconds, end)
                    try UsageHistory.pages(day, next, pageRows, on: connection) { try step(&state, $0) }
                    day = next
                }
                return state
            }
        }
    }
}

private enum UsageHistory {
    static let dayMilliseconds: Int64 = 86_400_000

    /// Milliseconds between which every hold is, of the days that have a partition and of the rows that have none: no
    /// index has the holds of all accounts in order. nil: there is nothing.
    static func extent(on connection: PostgresConnection) throws -> (first: Int64, last: Int64)? {
        let row = try connection.run(
            """
            WITH days AS (
                SELECT to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' AS day
                FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'usage_events'::regclass AND c.relname ~ '^usage_events_[0-9]{8}$'),
            bounds AS (
                SELECT hold_id_at(min(day)) AS first, hold_id_at(max(day) + interval '1 day') AS last FROM days
                UNION ALL SELECT hold_id, hold_id FROM usage_events_default)
            SELECT (SELECT first FROM bounds ORDER BY first LIMIT 1), (SELECT last FROM bounds ORDER BY last DESC NULLS LAST LIMIT 1)
            """, timeout: .seconds(900)
        ).one()
        guard try row.optionalText(0) != nil else { return nil }
        let (first, last) = (try row.uuid(0), try row.uuid(1))
        return (Int64(first.millisecondsSinceEpoch), Int64(last.millisecondsSinceEpoch))
    }

    /// One range of one partition, along its key.
    static func pages(
        _ from: Int64, _ to: Int64, _ pageRows: Int64, on connection: PostgresConnection,
        _ body: ([UsageRecord]) throws -> Void
    ) throws {
        var (account, hold) = (AccountID.min, HoldID(high: 0, low: 0))
        while true {
            let page = try connection.run(
                self.sql, [.int(from), .int(to), .int(account), .uuid(hold), .int(pageRows)]
            ).rows.map(UsageRecord.init)
            guard let last = page.last else { return }
            try body(page)
            guard page.count == pageRows else { return }
            (account, hold) = (last.account, last.hold)
        }
    }

    private static let sql = """
        SELECT account_id, user_id, hold_id, kind, estimated, endpoint, model, service_tier, price_id, input_tokens,
               cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, usage_parts::text,
               charged_millicredits, shadow_millicredits, cost_picousd
        FROM usage_effective
        WHERE hold_id >= hold_id_at(to_timestamp($1::bigint / 1000.0))
          AND hold_id < hold_id_at(to_timestamp($2::bigint / 1000.0))
          AND (account_id, hold_id) > ($3::bigint, $4::uuid)
        ORDER BY account_id, hold_id LIMIT $5
        """
}

extension UsageRecord {
    fileprivate init(_ row: PostgresRow) throws(PostgresError) {
        let kind = try row.text(3)
        guard let kind = Settlement.Kind.allCases.first(where: { $0.name == kind }) else {
            throw .unexpectedResult("a kind that this release does not know")
        }
        let parts = try row.usageParts(14)
        self.init(
            account: try row.int(0), user: try row.text(1), hold: try row.uuid(2), kind: kind,
            isEstimated: try row.bool(4), endpoint: Endpoint(rawValue: try row.text(5)),
            model: try row.text(6), servedTier: try row.optionalText(7), priceID: try row.text(8),
            usage: Usage(
                inputTotal: try row.int(9), cachedInput: try row.int(10), cacheWrite: try row.int(11),
                outputTotal: try row.int(12), reasoning: try row.int(13), parts: parts),
            hasUnknownParts: !parts.allSatisfy(\.isKnown), charged: try row.millicredits(15),
            shadow: try row.millicredits(16),
            cost: PicoUSD(try row.int(17)))
    }
}

extension PostgresRow {
    /// `usage_parts` as text; NULL is none.
    fileprivate func usageParts(_ column: Int) throws(PostgresError) -> [UsagePart] {
        guard let text = try self.optionalText(column) else { return [] }
        guard let parts = UsagePart.parse(json: text) else {
            throw .unexpectedResult("no counts in column \(column)")
        }
        return parts
    }
}
