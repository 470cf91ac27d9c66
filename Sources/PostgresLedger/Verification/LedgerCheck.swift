import Billing

/// One invariant of the ledger: a query whose rows are the offenders, each rendered as one text.
struct LedgerCheck: Sendable {
    let name: String
    let severity: LedgerFinding.Severity
    /// Selects one text column; no row is good news.
    let sql: String
    /// Where there is one, the query selects `expected` and `found` beside the text.
    var unit: ReconciliationFinding.Unit?

    static let all = invariants + purchases + books + structure + forAPerson

    /// I1 to I6. (I6 and I7 of purchases are in `LedgerCheck+Purchases`; I9 and R5 are in `LedgerVerifier+Outcomes`.)
    private static let invariants: [LedgerCheck] = [
        LedgerCheck(
            name: "I1 every transaction sums to zero", severity: .violation,
            sql: """
                SELECT format('transaction %s sums to %s', transaction_id, sum(amount)) FROM (
                    SELECT transaction_id, amount_millicredits AS amount FROM credit_ledger
                    UNION ALL SELECT transaction_id, amount_millicredits FROM contra_line) lines
                GROUP BY transaction_id HAVING sum(amount) <> 0
                """),
        LedgerCheck(
            name: "I1 every transaction has lines", severity: .violation,
            sql: """
                SELECT format('transaction %s (%s) has no ledger line', t.id, t.source_ref) FROM
                    ledger_transaction t
                WHERE NOT EXISTS (SELECT 1 FROM credit_ledger l WHERE l.transaction_id = t.id)
                """),
        LedgerCheck(
            name: "I2 balance is the sum of the ledger, versions gapless", severity: .violation,
            sql: """
                SELECT format('account %s: balance %s, ledger %s; version %s, lines %s, last %s',
                    b.account_id,
                              b.balance_millicredits, coalesce(l.total, 0), b.version, coalesce(l.lines, 0),
                              coalesce(l.last, 0))
                FROM credit_balance b LEFT JOIN (
                    SELECT account_id, sum(amount_millicredits) AS total, count(*) AS lines, max(version) AS
                        last
                    FROM credit_ledger GROUP BY account_id) l USING (account_id)
                WHERE b.balance_millicredits <> coalesce(l.total, 0) OR b.version <> coalesce(l.lines, 0)
                   OR b.version <> coalesce(l.last, 0)
                """),
        LedgerCheck(
            name: "I3 balance_after chains", severity: .violation,
            sql: """
                SELECT format('account %s version %s: %s + %s <> %s', account_id, version, before, amount,
                    after) FROM (
                    SELECT account_id, version, amount_millicredits AS amount, balance_after_millicredits AS
                        after,
                           lag(balance_after_millicredits, 1, 0::bigint) OVER w AS before,
                           lag(version, 1, 0::bigint) OVER w AS previous
                    FROM credit_ledger WINDOW w AS (PARTITION BY account_id ORDER BY version)) chain
                WHERE version <> previous + 1 OR after <> before + amount
                """),
        LedgerCheck(
            name: "I4 usage equals deductions per batch and account", severity: .violation,
            sql: """
                SELECT format('batch %s account %s: usage %s, ledger %s', batch_id, account_id,
                              coalesce(u.amount, 0), coalesce(l.amount, 0))
                FROM (
                    SELECT batch_id, account_id, sum(amount) AS amount FROM (
                        SELECT batch_id, account_id, charged_millicredits AS amount FROM usage_events
                        UNION ALL SELECT batch_id, account_id, delta_millicredits FROM usage_correction) parts
                    GROUP BY batch_id, account_id) u
                FULL JOIN (
                    SELECT transaction_id AS batch_id, account_id, -sum(amount_millicredits) AS amount
                    FROM credit_ledger WHERE reference_type IN ('settlement', 'settlement_correction')
                    GROUP BY transaction_id, account_id) l USING (batch_id, account_id)
                WHERE coalesce(u.amount, 0) <> coalesce(l.amount, 0)
                """),
        LedgerCheck(
            name: "I4 only settlements deduct", severity: .violation,
            sql: """
                SELECT format('account %s version %s: %s of a %s', account_id, version, type, reference_type)
                FROM credit_ledger
                WHERE CASE reference_type
                    WHEN 'settlement' THEN type <> 'deduction'
                    WHEN 'settlement_correction' THEN type <> 'adjustment'
                    WHEN 'grant' THEN type = 'deduction'
                    WHEN 'purchase' THEN type NOT IN ('purchase', 'refund', 'adjustment')
                    ELSE true END
                """),
        LedgerCheck(
            name: "I5 every hold has at most one settlement", severity: .violation,
            sql: """
                SELECT format('hold %s was settled %s times', hold_id, count(*)) FROM usage_events
                GROUP BY hold_id HAVING count(*) > 1
                """),
        LedgerCheck(
            name: "I5 corrections add up", severity: .violation,
            sql: """
                SELECT format('hold %s: %s + corrections %s, but the last outcome says %s', e.hold_id,
                              e.charged_millicredits, c.delta, c.last)
                FROM usage_events e JOIN (
                    SELECT account_id, hold_id, sum(delta_millicredits) AS delta, min(authority) AS least,
                           (array_agg(charged_millicredits ORDER BY authority DESC))[1] AS last
                    FROM usage_correction GROUP BY account_id, hold_id) c USING (account_id, hold_id)
                WHERE e.charged_millicredits + c.delta <> c.last OR c.least <= e.authority
                """),
        LedgerCheck(
            name: "I5 every correction has its settlement", severity: .violation,
            sql: """
                SELECT format('hold %s of account %s is corrected and was never settled', c.hold_id, c.account_id)
                FROM usage_correction c
                WHERE NOT EXISTS (SELECT 1 FROM usage_events e
                                  WHERE e.account_id = c.account_id AND e.hold_id = c.hold_id)
                """),
        LedgerCheck(
            name: "free outcomes are free", severity: .violation,
            sql: """
                SELECT format('hold %s is %s and charged %s', hold_id, kind, charged_millicredits) FROM
                    usage_effective
                WHERE kind IN ('void', 'waived') AND charged_millicredits <> 0
                """),
        LedgerCheck(
            name: "names agree", severity: .violation,
            sql: """
                SELECT format('account %s is named otherwise in %s', account_id, place) FROM (
                    SELECT DISTINCT l.account_id, 'credit_ledger' AS place FROM credit_ledger l
                    LEFT JOIN account a USING (account_id) WHERE a.user_id IS DISTINCT FROM l.user_id
                    UNION ALL SELECT DISTINCT e.account_id, 'usage_events' FROM usage_events e
                    LEFT JOIN account a USING (account_id) WHERE a.user_id IS DISTINCT FROM e.user_id
                    UNION ALL SELECT a.account_id, 'credit_balance' FROM account a
                    LEFT JOIN credit_balance b USING (account_id) WHERE a.user_id IS DISTINCT FROM b.user_id)
                        wrong
                """),
        LedgerCheck(
            name: "I6 every positive grant has its lot", severity: .violation,
            sql: """
                SELECT format('grant %s: credited %s, lot %s', coalesce(g.source_ref, lot.source_ref),
                    g.amount, lot.credits)
                FROM (
                    SELECT t.source_ref, l.account_id, l.amount_millicredits AS amount, t.paid_cents
                    FROM ledger_transaction t JOIN credit_ledger l ON l.transaction_id = t.id
                    WHERE t.kind = 'grant' AND l.amount_millicredits > 0) g
                FULL JOIN credit_lot lot USING (source_ref)
                WHERE (g.account_id, g.amount, g.paid_cents) IS DISTINCT FROM (lot.account_id, lot.credits,
                    lot.paid_cents)
                """),
        LedgerCheck(
            name: "I6 every grant has one line", severity: .violation,
            sql: """
                SELECT format('grant %s has %s lines', t.source_ref, count(l.version))
                FROM ledger_transaction t LEFT JOIN credit_ledger l ON l.transaction_id = t.id
                WHERE t.kind = 'grant' GROUP BY t.id HAVING count(l.version) <> 1
                """),
    ]

    /// The runbook's daily jobs. As printed there they do not run (output columns in WHERE and HAVING),
    /// compare with a tolerance, and forget corrections; these do none of that.
    static let runbook: [LedgerCheck] = [
        LedgerCheck(
            name: "balance reconciliation", severity: .violation,
            sql: """
                SELECT format('user %s: balance %s, ledger %s', user_id, current_balance, calculated_balance)
                    FROM (
                    SELECT cb.user_id, cb.balance_millicredits AS current_balance,
                           coalesce(sum(cl.amount_millicredits), 0) AS calculated_balance
                    FROM credit_balance cb LEFT JOIN credit_ledger cl ON cl.account_id = cb.account_id
                    GROUP BY cb.user_id, cb.balance_millicredits) reconciliation
                WHERE current_balance <> calculated_balance
                """),
        LedgerCheck(
            name: "usage and ledger reconciliation", severity: .violation,
            sql: """
                SELECT format('%s: usage %s, deductions %s', day, coalesce(usage, 0), coalesce(deducted, 0))
                    FROM (
                    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, sum(amount) AS usage FROM (
                        SELECT created_at, charged_millicredits AS amount FROM usage_events
                        UNION ALL SELECT created_at, delta_millicredits FROM usage_correction) parts
                    GROUP BY 1) u
                FULL JOIN (
                    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, -sum(amount_millicredits) AS deducted
                    FROM credit_ledger WHERE reference_type IN ('settlement', 'settlement_correction')
                    GROUP BY 1) l USING (day)
                WHERE coalesce(usage, 0) <> coalesce(deducted, 0)
                """),
    ]
}
