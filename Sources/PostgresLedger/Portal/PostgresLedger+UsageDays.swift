import Billing
import Metering

extension PostgresLedger: PortalReading {
    /// A range of the key, as `usage` reads it; times are bounds of hold ids, which spares partitions.
    public func usageByDay(of account: AccountID, from: UTCDay, through: UTCDay) async throws -> [UsageDay] {
        precondition(
            through.daysSinceEpoch - from.daysSinceEpoch < usageDaysMax, "the caller bounds the days")
        return try await self.list { connection in
            try connection.run(
                """
                SELECT (occurred_at AT TIME ZONE 'UTC')::date - date '1970-01-01', model, count(*),
                       sum(input_tokens)::bigint, sum(output_tokens)::bigint, sum(charged_millicredits)::bigint
                FROM usage_effective
                WHERE account_id = $1 AND hold_id >= hold_id_at(to_timestamp($2::bigint))
                  AND hold_id < hold_id_at(to_timestamp($3::bigint))
                GROUP BY 1, 2 ORDER BY 1, 2
                """,
                [
                    .int(account), .int(Int64(from.daysSinceEpoch) * 86_400),
                    .int((Int64(through.daysSinceEpoch) + 1) * 86_400),
                ]
            ).rows.map(Self.usageDay)
        }
    }

    private static func usageDay(_ row: PostgresRow) throws -> UsageDay {
        guard let day = UTCDay(daysSinceEpoch: try row.int(0)) else {
            throw PostgresError.unexpectedResult("a day that is none")
        }
        return try UsageDay(
            day: day, model: row.text(1), exchanges: row.int(2), inputTokens: row.int(3),
            outputTokens: row.int(4), charged: row.millicredits(5))
    }

    public func firstMonth(of account: AccountID) async throws -> UTCMonth? {
        try await self.list { connection in
            try connection.run(
                "SELECT (extract(epoch FROM created_at) * 1000)::bigint FROM account WHERE account_id = $1",
                [.int(account)]
            ).first.flatMap { UTCDay(millisecondsSinceEpoch: try $0.int(0))?.month }
        }
    }
}
