import Billing
import Metering

extension PostgresLedger {
    /// Flags accounts whose spend of the current UTC day is out of the ordinary; one that is open, or was decided for
    /// this day, is not flagged again. To be run by one instance at a time; a second one would do no harm.
    ///
    /// - Returns: how many were flagged.
    public func flagAnomalies(_ rule: AnomalyRule) async throws -> Int {
        try await self.pool.run(timeout: .seconds(120)) { connection in
            let rows = try connection.transaction { connection in
                // More than what other questions are given: it reads the lines of eight days.
                try connection.run("SELECT set_config('statement_timeout', '100s', true)")
                return try connection.run(
                    Self.spendOfDays, [.int(AnomalyRule.days), .int(AnomalyRule.leastSpent.value)],
                    timeout: .seconds(110)
                ).rows
            }
            var flagged = 0
            for row in rows {
                let spend = AnomalyRule.Spend(
                    today: try row.millicredits(1), before: try row.millicredits(2), age: try row.int(3))
                guard rule.isAnomalous(spend) else { continue }
                flagged += try connection.run(
                    """
                    INSERT INTO account_review (account_id, day, spent_millicredits, mean_millicredits, multiplier)
                    VALUES ($1, $2::date, $3, $4, $5) ON CONFLICT DO NOTHING
                    """,
                    [
                        .int(try row.int(0)), .text(try row.text(4)), .int(spend.today.value),
                        .int(spend.mean.value), .int(rule.multiplier),
                    ]
                ).affected
            }
            return flagged
        }
    }

    /// For the gauge.
    public func openReviewCount() async throws -> Int64 {
        try await self.pool.run {
            try $0.run("SELECT count(*) FROM account_review WHERE state = 'open'").one().int(0)
        }
    }

    /// Deductions are one line for each account and batch, so this reads much less than all exchanges; the look-up by
    /// time has an index. Accounts that spent little today are left out.
    private static let spendOfDays = """
        WITH today AS (
            SELECT (now() AT TIME ZONE 'UTC')::date AS day,
                   date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS start),
        spent AS (
            SELECT l.account_id,
                   sum(-l.amount_millicredits) FILTER (WHERE l.created_at >= t.start) AS today,
                   coalesce(sum(-l.amount_millicredits) FILTER (WHERE l.created_at < t.start), 0) AS before
            FROM credit_ledger l CROSS JOIN today t
            WHERE l.type = 'deduction' AND l.created_at >= t.start - $1::int * interval '1 day'
            GROUP BY l.account_id)
        SELECT s.account_id, s.today::bigint, s.before::bigint,
               (t.day - (a.created_at AT TIME ZONE 'UTC')::date)::bigint, t.day::text
        FROM spent s CROSS JOIN today t JOIN account a ON a.account_id = s.account_id
        WHERE s.today >= $2
        """
}
