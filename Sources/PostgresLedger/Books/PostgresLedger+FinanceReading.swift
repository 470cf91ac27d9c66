import Billing
import Metering

/// What is told of the books until they are read again. One instance reads for all.
public struct FinanceReading: Sendable, Hashable {
    /// Micro-USD.
    public var deferredRevenue: Int128
    /// Outstanding credits at their nominal value, micro-USD.
    public var liability: Int128
    /// As `FinanceFigures.marginYesterday`.
    public var margin: Int128
    /// Ledger lines that the books have not seen.
    public var lagLines: Int64
    /// The moment it is of, seconds since 1970.
    public var readAt: Int64

    public init(
        deferredRevenue: Int128, liability: Int128, margin: Int128, lagLines: Int64, readAt: Int64
    ) {
        self.deferredRevenue = deferredRevenue
        self.liability = liability
        self.margin = margin
        self.lagLines = lagLines
        self.readAt = readAt
    }
}

extension PostgresLedger {
    /// Reads the figures and stores them, unless somebody stored newer ones meanwhile. For the holder of a lease: it
    /// scans ledger and journal.
    public func storeFinanceReading() async throws {
        let figures = try await self.financeFigures()
        _ = try await self.pool.run { connection in
            try connection.run(
                """
                INSERT INTO finance_reading AS r (deferred_revenue_microusd, liability_microusd, margin_microusd,
                                                  lag_lines, read_at)
                VALUES ($1::numeric, $2::numeric, $3::numeric, $4,
                        timestamptz 'epoch' + $5::bigint * interval '1 microsecond')
                ON CONFLICT (only_row) DO UPDATE
                SET deferred_revenue_microusd = excluded.deferred_revenue_microusd,
                    liability_microusd = excluded.liability_microusd, margin_microusd = excluded.margin_microusd,
                    lag_lines = excluded.lag_lines, read_at = excluded.read_at
                WHERE r.read_at < excluded.read_at
                """,
                [
                    .text("\(figures.liability.deferredRevenue)"),
                    .text("\(figures.liability.nominalLiability)"), .text("\(figures.marginYesterday)"),
                    .int(figures.lagLines), .int(figures.readAt),
                ]
            ).affected
        }
    }

    /// What was stored last; nil: nothing yet.
    public func financeReading() async throws -> FinanceReading? {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT deferred_revenue_microusd::text, liability_microusd::text, margin_microusd::text, lag_lines,
                       extract(epoch FROM read_at)::bigint FROM finance_reading
                """
            ).first.map { row in
                try FinanceReading(
                    deferredRevenue: Self.whole(row, 0), liability: Self.whole(row, 1),
                    margin: Self.whole(row, 2), lagLines: row.int(3), readAt: row.int(4))
            }
        }
    }
}
