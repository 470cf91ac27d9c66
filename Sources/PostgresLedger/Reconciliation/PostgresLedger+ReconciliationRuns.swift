import Billing
import Metering

extension PostgresLedger {
    /// The day that is to be reconciled now, if there is one.
    ///
    /// - Parameter now: milliseconds since 1970.
    public func dayToReconcile(at now: Int64) async throws -> UTCDay? {
        guard let from = BooksSchedule.firstDayToTell(at: now) else { return nil }
        return try await self.pool.run { connection in
            let first = try connection.run(
                "SELECT (created_at AT TIME ZONE 'UTC')::date::text FROM account ORDER BY account_id LIMIT 1"
            ).first
            let tried = try connection.run(
                """
                SELECT day::text, bool_or(is_complete), (extract(epoch FROM max(finished_at)) * 1000)::bigint
                FROM reconciliation_run WHERE source = 'daily' AND day >= $1::date GROUP BY day
                """, [.text("\(from)")]
            ).rows.map { row in
                try BooksSchedule.Tried(day: Self.day(row), isComplete: row.bool(1), at: row.int(2))
            }
            return BooksSchedule.dayToReconcile(at: now, since: try first.map(Self.day), tried: tried)
        }
    }

    /// In the first column.
    private static func day(_ row: PostgresRow) throws -> UTCDay {
        guard let day = UTCDay(text: try row.text(0)) else {
            throw PostgresError.unexpectedResult("a day outside the calendar")
        }
        return day
    }

    /// Stores a run with its results and the first findings of each, in one transaction.
    ///
    /// - Parameter startedAt: milliseconds since 1970.
    /// - Returns: false when another instance has stored this day's daily run before; nothing is stored then.
    @discardableResult
    public func store(
        _ report: ReconciliationReport, _ source: ReconciliationSource, startedAt: Int64
    ) async throws -> Bool {
        try await self.pool.run(timeout: .seconds(60)) { connection in
            try connection.transaction { connection in
                let run = try connection.run(
                    """
                    INSERT INTO reconciliation_run (day, source, started_at, is_clean, is_complete,
                                                    mismatch_millicredits)
                    VALUES ($1::date, $2, to_timestamp($3::bigint / 1000.0), $4, $5, $6::numeric)
                    ON CONFLICT (day) WHERE source = 'daily' AND is_complete DO NOTHING RETURNING run_id
                    """,
                    [
                        .text("\(report.day)"), .text(source.rawValue), .int(startedAt),
                        .bool(report.isClean), .bool(report.isComplete), .text("\(report.mismatch)"),
                    ]
                ).first
                guard let run = try run?.int(0) else { return false }
                for result in report.results { try Self.store(result, of: run, on: connection) }
                return true
            }
        }
    }

    private static func store(
        _ result: ReconciliationResult, of run: Int64, on connection: PostgresConnection
    ) throws {
        try connection.run(
            """
            INSERT INTO reconciliation_result (run_id, check_name, outcome, findings, mismatch_millicredits)
            VALUES ($1, $2, $3, $4, $5::numeric)
            """,
            [
                .int(run), .text(result.check.rawValue), .text(result.outcome.rawValue), .int(result.total),
                .text("\(result.mismatch)"),
            ])
        for (index, finding) in result.findings.enumerated() {
            try connection.run(
                """
                INSERT INTO reconciliation_finding (run_id, check_name, position, subject, unit, expected, found,
                                                    detail)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                """,
                [
                    .int(run), .text(result.check.rawValue), .int(Int64(index) + 1), .text(finding.subject),
                    .text(finding.amounts?.unit.rawValue), .int(finding.amounts?.expected),
                    .int(finding.amounts?.found), .text(finding.detail),
                ])
        }
    }

    /// What stands of the comparisons of the last days, by whomever they were asked for; nil before the first run.
    public func standingDifferences() async throws -> StandingDifferences? {
        try await self.pool.run { connection in
            let rows = try connection.run(
                """
                SELECT DISTINCT ON (r.check_name, u.day)
                       u.day::text, r.check_name, u.run_id, r.findings, r.mismatch_millicredits::text
                FROM reconciliation_run u JOIN reconciliation_result r USING (run_id)
                WHERE u.finished_at > now() - make_interval(days => $1::integer)
                  AND u.day <= (now() AT TIME ZONE 'UTC')::date AND r.outcome IN ('clean', 'mismatch')
                ORDER BY r.check_name, u.day, u.run_id DESC
                """, [.int(StandingDifferences.days)]
            ).rows
            guard !rows.isEmpty else { return nil }
            return StandingDifferences(newest: try rows.compactMap(Self.compared))
        }
    }

    /// nil: a check that this program does not know.
    private static func compared(_ row: PostgresRow) throws -> StandingDifferences.Compared? {
        guard let check = ReconciliationCheck(rawValue: try row.text(1)) else { return nil }
        guard let mismatch = Int128(try row.text(4)) else {
            throw PostgresError.unexpectedResult("no sum of a reconciliation")
        }
        return try StandingDifferences.Compared(
            check: check, day: Self.day(row), run: row.int(2), findings: row.int(3), mismatch: mismatch)
    }

    /// When the last run ended that was complete, whatever it found: seconds since 1970; nil before the first.
    public func lastCompleteReconciliation() async throws -> Int64? {
        try await self.pool.run { connection in
            try connection.run(
                "SELECT extract(epoch FROM max(finished_at))::bigint FROM reconciliation_run WHERE is_complete"
            ).one().optionalInt(0)
        }
    }
}
