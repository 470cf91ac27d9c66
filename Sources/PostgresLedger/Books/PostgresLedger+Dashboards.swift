import Billing
import Metering

extension PostgresLedger: DashboardReading {
    private static let dashboardSeconds: Int64 = 15
    /// The server gives up first on one statement, so that the connection lives on; several that are slow together end
    /// with it.
    private static let answerSeconds: Int64 = 20

    /// On one snapshot, and given up after a while: a page waits for it.
    ///
    /// - Parameter milliseconds: of each statement.
    func dashboard<Value: Sendable>(
        milliseconds: Int64 = PostgresLedger.dashboardSeconds * 1000,
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws -> Value {
        do {
            return try await self.pool.run(timeout: .seconds(Self.answerSeconds)) { connection in
                try connection.transaction(.readSnapshot) { connection in
                    try connection.run("SELECT set_config('statement_timeout', '\(milliseconds)ms', true)")
                    return try body(connection)
                }
            }
        } catch let error as PostgresError
            where error.sqlState == .cancelled || error == .unreachable(.timedOut)
        {
            throw DashboardTooSlow(seconds: milliseconds / 1000)
        }
    }

    // MARK: Finance

    public func financeDays(_ days: Int64) async throws -> [FinanceDay] {
        try await self.dashboard { connection in
            let today = try Self.today(on: connection)
            var found = Self.days(days, through: today) { FinanceDay(day: $0) }
            var outstanding = try Self.whole(
                connection.run(
                    "SELECT coalesce(sum(balance_millicredits), 0)::text FROM credit_balance",
                    timeout: .seconds(Self.answerSeconds)
                ).one(), 0)
            let changes = try Self.changes(from: today - days + 1, on: connection)
            let books = try Self.books(from: today - days + 1, on: connection)
            var deferred = try Self.deferredRevenue(on: connection)
            for (day, sums) in books where day > today { deferred -= sums.deferred }
            // From today backwards: what was owed at the end of a day is what is owed now less what came since.
            for index in found.indices.reversed() {
                let day = Int64(found[index].day.daysSinceEpoch)
                let sums = changes[day] ?? [:]
                found[index].purchases = sums["purchase"] ?? 0
                found[index].deductions = -(sums["deduction"] ?? 0)
                found[index].liability = outstanding
                outstanding -= sums.values.reduce(0, +)
                let entry = books[day]
                found[index].revenue = entry?.revenue ?? 0
                found[index].cost = entry?.cost ?? 0
                found[index].deferredRevenue = deferred
                deferred -= entry?.deferred ?? 0
            }
            return found
        }
    }

    /// Found by their time (BRIN), as lines are appended.
    static let changesStatement = """
        SELECT (created_at AT TIME ZONE 'UTC')::date - date '1970-01-01', type, sum(amount_millicredits)::text
        FROM credit_ledger WHERE created_at >= to_timestamp($1::bigint * 86400) GROUP BY 1, 2
        """

    /// Millicredits by day and type of line.
    private static func changes(
        from first: Int64, on connection: PostgresConnection
    ) throws -> [Int64: [String: Int128]] {
        var changes: [Int64: [String: Int128]] = [:]
        for row in try connection.run(
            Self.changesStatement, [.int(first)], timeout: .seconds(Self.answerSeconds)
        ).rows {
            changes[try row.int(0), default: [:]][try row.text(1)] = try Self.whole(row, 2)
        }
        return changes
    }

    static let booksStatement = """
        SELECT e.day - date '1970-01-01',
               coalesce(-sum(amount_microusd) FILTER (
                   WHERE book_account IN ('revenue:usage', 'revenue:breakage', 'contra:promotional')), 0)::text,
               coalesce(sum(amount_microusd) FILTER (WHERE book_account = 'expenses:openai'), 0)::text,
               coalesce(-sum(amount_microusd) FILTER (
                   WHERE book_account = 'liabilities:deferred revenue'), 0)::text
        FROM journal_entry e JOIN journal_line USING (entry_key)
        WHERE e.day >= date '1970-01-01' + $1::bigint::integer GROUP BY 1
        """

    /// Micro-USD by day.
    private static func books(
        from first: Int64, on connection: PostgresConnection
    ) throws -> [Int64: (revenue: Int128, cost: Int128, deferred: Int128)] {
        var days: [Int64: (revenue: Int128, cost: Int128, deferred: Int128)] = [:]
        for row in try connection.run(
            Self.booksStatement, [.int(first)], timeout: .seconds(Self.answerSeconds)
        ).rows {
            days[try row.int(0)] = (try Self.whole(row, 1), try Self.whole(row, 2), try Self.whole(row, 3))
        }
        return days
    }

    /// Read off its own index, without the journal.
    static let deferredStatement = """
        SELECT coalesce(-sum(amount_microusd), 0)::text FROM journal_line
        WHERE book_account = 'liabilities:deferred revenue'
        """

    private static func deferredRevenue(on connection: PostgresConnection) throws -> Int128 {
        try Self.whole(
            connection.run(Self.deferredStatement, timeout: .seconds(Self.answerSeconds)).one(), 0)
    }

    public func topModels(limit: Int64) async throws -> [ModelTotals] {
        try await self.dashboard { connection in
            try connection.run(
                """
                SELECT model, count(*), sum(input_tokens)::bigint, sum(output_tokens)::bigint,
                       sum(charged_millicredits)::text, div(sum(cost_picousd::numeric), 1000000)::text
                FROM usage_effective WHERE hold_id >= hold_id_at(now() - interval '7 days')
                GROUP BY model ORDER BY sum(cost_picousd::numeric) DESC, model LIMIT $1
                """, [.int(limit)], timeout: .seconds(Self.answerSeconds)
            ).rows.map { row in
                ModelTotals(
                    model: try row.text(0), exchanges: try row.int(1), inputTokens: try row.int(2),
                    outputTokens: try row.int(3), charged: try Self.whole(row, 4),
                    cost: try Self.whole(row, 5))
            }
        }
    }

    public func shadowReport(from: Int64?, to: Int64?) async throws -> ShadowReport {
        try await self.dashboard { connection in
            try Self.foldWaived(
                on: connection, from: from, to: to, into: ShadowReport(), pageRows: 5000,
                seconds: Self.dashboardSeconds
            ) { $0.add($1) }
        }
    }

    // MARK: Checkouts

    public func checkoutDays(_ days: Int64) async throws -> [CheckoutDay] {
        try await self.dashboard { connection in
            let today = try Self.today(on: connection)
            let first = today - days + 1
            var found = Self.days(days, through: today) { CheckoutDay(day: $0) }
            for row in try connection.run(
                """
                SELECT (created_at AT TIME ZONE 'UTC')::date - date '1970-01-01', count(*), count(session_id),
                       count(paid_at)
                FROM purchase WHERE kind = 'checkout' AND created_at >= to_timestamp($1::bigint * 86400) GROUP BY 1
                """, [.int(first)], timeout: .seconds(Self.answerSeconds)
            ).rows {
                let index = Int(try row.int(0) - first)
                guard found.indices.contains(index) else { continue }
                (found[index].started, found[index].opened) = (try row.int(1), try row.int(2))
                found[index].paid = try row.int(3)
            }
            for row in try connection.run(
                """
                SELECT (received_at AT TIME ZONE 'UTC')::date - date '1970-01-01', count(*),
                       count(*) FILTER (WHERE outcome = 'dead' AND dismissed_at IS NULL)
                FROM stripe_event WHERE received_at >= to_timestamp($1::bigint * 86400) GROUP BY 1
                """, [.int(first)], timeout: .seconds(Self.answerSeconds)
            ).rows {
                let index = Int(try row.int(0) - first)
                guard found.indices.contains(index) else { continue }
                (found[index].events, found[index].deadEvents) = (try row.int(1), try row.int(2))
            }
            return found
        }
    }

    // MARK: Days

    private static func today(on connection: PostgresConnection) throws -> Int64 {
        try connection.run("SELECT (now() AT TIME ZONE 'UTC')::date - date '1970-01-01'").one().int(0)
    }

    private static func days<Day>(_ count: Int64, through last: Int64, _ make: (UTCDay) -> Day) -> [Day] {
        (last - count + 1...last).compactMap { UTCDay(daysSinceEpoch: $0) }.map(make)
    }
}
