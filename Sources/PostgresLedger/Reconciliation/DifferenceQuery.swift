import Billing

/// One comparison inside the ledger: a query whose rows are the differences.
struct DifferenceQuery: Sendable {
    let check: ReconciliationCheck
    let unit: ReconciliationFinding.Unit
    /// Selects subject, expected, found, detail; `$1` is the day.
    let sql: String

    /// The runbook's two daily jobs and the trial balance. As printed in the runbook its jobs do not run, compare with
    /// a tolerance and forget corrections; these do none of that.
    static let all = [balances, usage, trialBalance]

    private static let balances = DifferenceQuery(
        check: .balances, unit: .millicredits,
        sql: """
            SELECT 'user ' || coalesce(b.user_id, '?') || ', account ' || account_id, coalesce(l.total, 0),
                   coalesce(b.balance_millicredits, 0), 'balance against the sum of its ledger lines'
            FROM credit_balance b FULL JOIN (
                SELECT account_id, sum(amount_millicredits) AS total FROM credit_ledger GROUP BY account_id) l
                USING (account_id)
            WHERE coalesce(b.balance_millicredits, 0) <> coalesce(l.total, 0)
            """)

    private static let usage = DifferenceQuery(
        check: .usage, unit: .millicredits,
        sql: """
            SELECT day::text, coalesce(u.amount, 0), coalesce(l.amount, 0), 'deductions against the charges of usage'
            FROM (
                SELECT (created_at AT TIME ZONE 'UTC')::date AS day, sum(amount) AS amount FROM (
                    SELECT created_at, charged_millicredits AS amount FROM usage_events
                    UNION ALL SELECT created_at, delta_millicredits FROM usage_correction) parts
                GROUP BY 1) u
            FULL JOIN (
                SELECT (created_at AT TIME ZONE 'UTC')::date AS day, -sum(amount_millicredits) AS amount
                FROM credit_ledger WHERE reference_type IN ('settlement', 'settlement_correction')
                GROUP BY 1) l USING (day)
            WHERE day <= $1::date AND coalesce(u.amount, 0) <> coalesce(l.amount, 0)
            """)

    private static let trialBalance = DifferenceQuery(
        check: .trialBalance, unit: .microUSD,
        sql: """
            SELECT 'all entries', 0, sum(amount_microusd), 'debits minus credits of the journal'
            FROM journal_line HAVING sum(amount_microusd) <> 0
            """)

    /// An invariant of the books: its offenders with their amounts.
    init?(_ check: LedgerCheck) {
        guard let unit = check.unit else { return nil }
        // A finding of several checks is told apart by the name.
        self.init(
            check: .books, unit: unit,
            sql: """
                SELECT '\(check.name)', expected, found, offender FROM (\(check.sql)) AS offenders(offender)
                """)
    }

    private init(check: ReconciliationCheck, unit: ReconciliationFinding.Unit, sql: String) {
        (self.check, self.unit, self.sql) = (check, unit, sql)
    }

    /// Days that the operator imported, against what the books have of them.
    static let openAICosts = DifferenceQuery(
        check: .openAICosts, unit: .microUSD,
        sql: """
            SELECT day::text, c.amount_microusd, coalesce(j.amount, 0),
                   CASE WHEN c.amount_microusd = 0 THEN 'books against OpenAI, which names no costs'
                        ELSE 'books against OpenAI: ' || round(
                            (coalesce(j.amount, 0) - c.amount_microusd) * 100.0 / abs(c.amount_microusd), 2) || '%' END
            FROM openai_cost c LEFT JOIN (
                SELECT e.day, sum(l.amount_microusd) AS amount FROM journal_entry e JOIN journal_line l USING (entry_key)
                WHERE e.kind = 'cost' AND l.book_account = 'expenses:openai' GROUP BY e.day) j USING (day)
            WHERE day <= $1::date AND c.amount_microusd <> coalesce(j.amount, 0)
            """)

    func run(_ day: UTCDay, on connection: PostgresConnection) throws -> ReconciliationResult {
        // A query without a day must take the parameter all the same.
        let rows = try connection.run(
            """
            SELECT subject, expected::bigint, found::bigint, detail, count(*) OVER (),
                   (sum(abs(found - expected)) OVER ())::text
            FROM (\(self.sql)) AS differences(subject, expected, found, detail)
            WHERE $1::date IS NOT NULL ORDER BY abs(found - expected) DESC, subject, detail
            LIMIT \(ReconciliationResult.findingsMax)
            """, [.text("\(day)")], timeout: .seconds(930)
        ).rows
        guard let first = rows.first else { return ReconciliationResult(self.check, []) }
        guard let sum = Int128(try first.text(5)) else {
            throw PostgresError.unexpectedResult("no sum of differences")
        }
        let findings = try rows.map { row in
            try ReconciliationFinding(
                row.text(0), .init(expected: row.int(1), found: row.int(2), unit: self.unit), row.text(3))
        }
        return ReconciliationResult(
            self.check, findings, total: try first.int(4), mismatch: sum * Int128(self.unit.millicredits))
    }
}
