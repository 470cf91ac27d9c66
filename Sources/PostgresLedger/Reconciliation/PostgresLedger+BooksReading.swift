import Billing

extension PostgresLedger: BooksReading {
    public func balanceOfBooks() async throws -> TrialBalance { try await self.financeFigures().trial }

    public func figures() async throws -> FinanceFigure? {
        try await self.financeReading().map {
            FinanceFigure(
                deferredRevenue: $0.deferredRevenue, liability: $0.liability, marginYesterday: $0.margin,
                lagLines: $0.lagLines, readAt: $0.readAt)
        }
    }

    public func reconciliationRuns(before: Int64?, limit: Int64) async throws -> [ReconciliationRun] {
        try await self.pool.run { connection in
            let runs = try connection.run(
                """
                SELECT run_id, day::text, source, (extract(epoch FROM finished_at) * 1000)::bigint, is_clean,
                       is_complete, mismatch_millicredits::text
                FROM reconciliation_run WHERE $1::bigint IS NULL OR run_id < $1 ORDER BY run_id DESC LIMIT $2
                """, [.int(before), .int(limit)]
            ).rows
            let numbers = try runs.map { try $0.int(0) }
            var results: [Int64: [ReconciliationRun.Result]] = [:]
            for row in try connection.run(
                """
                SELECT run_id, check_name, outcome, findings, mismatch_millicredits::text
                FROM reconciliation_result WHERE run_id = ANY($1::bigint[]) ORDER BY run_id, check_name
                """, [.array(PostgresArray(numbers))]
            ).rows {
                results[try row.int(0), default: []].append(
                    ReconciliationRun.Result(
                        check: try row.text(1), outcome: try row.text(2), findings: try row.int(3),
                        mismatch: try row.text(4)))
            }
            return try runs.map { row in
                try ReconciliationRun(
                    run: row.int(0), day: row.text(1), source: row.text(2), finishedAt: row.int(3),
                    isClean: row.bool(4), isComplete: row.bool(5), mismatch: row.text(6),
                    results: results[row.int(0)] ?? [])
            }
        }
    }

    public func findings(of run: Int64) async throws -> [StoredFinding]? {
        try await self.pool.run { connection in
            let known = try connection.run(
                "SELECT 1 FROM reconciliation_run WHERE run_id = $1", [.int(run)])
            guard known.first != nil else { return nil }
            return try connection.run(
                """
                SELECT check_name, subject, unit, expected, found, detail FROM reconciliation_finding
                WHERE run_id = $1 ORDER BY check_name, position
                """, [.int(run)]
            ).rows.map(Self.finding)
        }
    }

    private static func finding(_ row: PostgresRow) throws -> StoredFinding {
        var amounts: ReconciliationFinding.Amounts?
        if let unit = try row.optionalText(2).flatMap({ ReconciliationFinding.Unit(rawValue: $0) }) {
            amounts = .init(expected: try row.int(3), found: try row.int(4), unit: unit)
        }
        return StoredFinding(
            check: try row.text(0), finding: ReconciliationFinding(try row.text(1), amounts, try row.text(5)))
    }
}
