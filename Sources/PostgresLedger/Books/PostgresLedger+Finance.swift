import Billing
import Metering

/// What the business owes and earns, as gauges and `books balance` tell it.
public struct FinanceFigures: Sendable, Hashable {
    public var trial: TrialBalance
    public var liability: LiabilityReport
    /// Ledger lines that the books have not seen.
    public var lagLines: Int64
    /// Deducted credits / 1000 − what OpenAI charges for it, of the last whole day (UTC); micro-USD.
    public var marginYesterday: Int128
    /// The moment they are of, microseconds since 1970 by the database's clock.
    var readAt: Int64
}

extension PostgresLedger {
    /// All on one snapshot. Scans ledger and journal: for a command, or a refresher now and then, never for a scrape.
    public func financeFigures() async throws -> FinanceFigures {
        try await self.pool.run(timeout: .seconds(120)) { connection in
            try connection.transaction(.readSnapshot) { connection in
                try connection.run("SELECT set_config('statement_timeout', '120s', true)")
                let trial = try Self.trialBalance(on: connection)
                let (lots, lag) = try Self.lotTotals(on: connection)
                return FinanceFigures(
                    trial: trial, liability: LiabilityReport(trial, lots), lagLines: lag,
                    marginYesterday: try Self.marginYesterday(on: connection),
                    readAt: try connection.run("SELECT (extract(epoch FROM now()) * 1000000)::bigint")
                        .one().int(0))
            }
        }
    }

    private static func trialBalance(on connection: PostgresConnection) throws -> TrialBalance {
        var trial = TrialBalance()
        for row in try connection.run(
            "SELECT book_account, sum(amount_microusd)::text FROM journal_line GROUP BY book_account",
            timeout: .seconds(120)
        ).rows {
            guard let account = BookAccount(rawValue: try row.text(0)) else {
                throw PostgresError.unexpectedResult("unknown account of the books: \(try row.text(0))")
            }
            trial.add(account, try Self.whole(row, 1))
        }
        return trial
    }

    /// What was paid and given back is taken from the payments, which the journal follows at once; the lots follow when
    /// the books are kept.
    private static func lotTotals(on connection: PostgresConnection) throws -> (LotTotals, lag: Int64) {
        let row = try connection.run(
            """
            SELECT (SELECT coalesce(sum(paid_cents), 0)::text FROM payment_state),
                   (SELECT coalesce(sum(refunded_cents + lost_cents), 0)::text FROM payment_state),
                   (SELECT coalesce(sum(recognized_cents), 0)::text FROM credit_lot
                    WHERE source_ref LIKE 'stripe:payment:%'),
                   (SELECT coalesce(sum(greatest(balance_millicredits, 0)), 0)::text FROM credit_balance),
                   (SELECT coalesce(sum(b.version - coalesce(k.version, 0)), 0)::bigint
                    FROM credit_balance b LEFT JOIN lot_book k USING (account_id))
            """, timeout: .seconds(120)
        ).one()
        let totals = LotTotals(
            paidCents: try Self.whole(row, 0), reversedCents: try Self.whole(row, 1),
            recognisedCents: try Self.whole(row, 2), outstanding: try Self.whole(row, 3))
        return (totals, try row.int(4))
    }

    /// A millicredit is worth a micro-dollar.
    private static func marginYesterday(on connection: PostgresConnection) throws -> Int128 {
        let row = try connection.run(
            """
            WITH day AS (SELECT (now() AT TIME ZONE 'UTC')::date - 1 AS day)
            SELECT (SELECT coalesce(-sum(amount_millicredits), 0)::text FROM credit_ledger, day
                    WHERE reference_type IN ('settlement', 'settlement_correction')
                      AND created_at >= day::timestamp AT TIME ZONE 'UTC'
                      AND created_at < (day + 1)::timestamp AT TIME ZONE 'UTC'),
                   (SELECT coalesce(sum(l.amount_microusd), 0)::text
                    FROM journal_entry e JOIN day ON e.day = day.day JOIN journal_line l USING (entry_key)
                    WHERE e.kind = 'cost' AND l.book_account = 'expenses:openai')
            """, timeout: .seconds(120)
        ).one()
        return try Self.whole(row, 0) - Self.whole(row, 1)
    }

    static func whole(_ row: PostgresRow, _ column: Int) throws -> Int128 {
        guard let value = Int128(try row.text(column)) else {
            throw PostgresError.unexpectedResult("no whole number in column \(column)")
        }
        return value
    }
}
