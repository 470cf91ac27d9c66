extension LedgerCheck {
    /// I8: the journal in US dollars, and the lots it is made of. Each tells by how much it is wrong.
    static let books: [LedgerCheck] = [
        LedgerCheck(
            name: "I8 every journal entry sums to zero", severity: .violation,
            sql: """
                SELECT format('entry %s sums to %s', e.entry_key, coalesce(sum(l.amount_microusd), 0)),
                       0 AS expected, coalesce(sum(l.amount_microusd), 0) AS found
                FROM journal_entry e LEFT JOIN journal_line l USING (entry_key)
                GROUP BY e.entry_key HAVING coalesce(sum(l.amount_microusd), 0) <> 0 OR count(l.entry_key) = 0
                """, unit: .microUSD),
        LedgerCheck(
            name: "I8 deferred revenue is what was paid and neither given back nor earned",
            severity: .violation,
            // By account: two errors that cancel out in the total are two errors.
            sql: """
                SELECT format('account %s: journal %s micro-USD, payments %s, lots earned %s', account_id, journal, kept,
                              earned), kept - earned AS expected, journal AS found
                FROM (
                    SELECT account_id, sum(journal) AS journal, sum(kept) AS kept, sum(earned) AS earned FROM (
                        SELECT e.account_id, -l.amount_microusd AS journal, 0::bigint AS kept, 0::bigint AS earned
                        FROM journal_line l JOIN journal_entry e USING (entry_key)
                        WHERE l.book_account = 'liabilities:deferred revenue'
                        UNION ALL SELECT account_id, 0, (paid_cents - refunded_cents - lost_cents) * 10000, 0
                        FROM payment_state
                        UNION ALL SELECT account_id, 0, 0, recognized_cents * 10000 FROM credit_lot
                        WHERE source_ref LIKE 'stripe:payment:%') parts
                    GROUP BY account_id) sums
                WHERE journal <> kept - earned
                """, unit: .microUSD),
        LedgerCheck(
            name: "I8 clearing is explained by what moved at Stripe", severity: .violation,
            sql: """
                SELECT format('purchase %s: journal %s micro-USD, payment %s', s.purchase_id, j.amount, s.cents * 10000),
                       s.cents * 10000 AS expected, coalesce(j.amount, 0) AS found
                FROM (SELECT purchase_id, paid_cents - coalesce(fee_cents, 0) - refunded_cents - withdrawn_cents
                             - dispute_fee_cents AS cents FROM payment_state) s
                LEFT JOIN (SELECT m.purchase_id, sum(l.amount_microusd) AS amount
                           FROM cash_movement m JOIN journal_line l ON l.entry_key = m.movement_key
                           WHERE l.book_account = 'assets:stripe' GROUP BY m.purchase_id) j USING (purchase_id)
                WHERE coalesce(j.amount, 0) <> s.cents * 10000
                """, unit: .microUSD),
        lotsAreTheLedger,
        LedgerCheck(
            name: "I8 lots add up to the balance of their book", severity: .violation,
            sql: """
                SELECT format('account %s: book %s, lots %s, debt %s', k.account_id, k.balance, coalesce(l.left_over, 0),
                              k.debt_used + k.debt_withdrawn),
                       k.balance AS expected, coalesce(l.left_over, 0) - k.debt_used - k.debt_withdrawn AS found
                FROM lot_book k LEFT JOIN (
                    SELECT account_id, sum(credits - clawed - consumed) AS left_over FROM credit_lot
                    WHERE position IS NOT NULL GROUP BY account_id) l USING (account_id)
                WHERE k.balance <> coalesce(l.left_over, 0) - k.debt_used - k.debt_withdrawn
                """, unit: .millicredits),
        LedgerCheck(
            name: "I8 a used-up lot has earned what was paid for it", severity: .violation,
            sql: """
                SELECT format('lot %s: paid %s, back %s, earned %s', source_ref, paid_cents, reversed_cents,
                              recognized_cents), earned AS expected, recognized_cents AS found
                FROM (SELECT *, CASE WHEN credits - clawed = consumed THEN paid_cents - reversed_cents
                          ELSE floor((paid_cents - reversed_cents)::numeric * consumed / (credits - clawed)) END AS earned
                      FROM credit_lot WHERE position IS NOT NULL) lots
                WHERE recognized_cents <> earned
                """, unit: .cents),
        LedgerCheck(
            name: "I8 books that cannot go on", severity: .violation,
            sql: """
                SELECT format('account %s: %s', k.account_id, k.failure), coalesce(l.moved, 0) AS expected, 0 AS found
                FROM lot_book k LEFT JOIN LATERAL (
                    SELECT sum(abs(amount_millicredits)) AS moved FROM credit_ledger c
                    WHERE c.account_id = k.account_id AND c.version > k.version) l ON true
                WHERE k.failure IS NOT NULL
                """, unit: .millicredits),
    ]

    /// What the lots of an account say of grants, usage, withdrawals and claw-backs, each kind by itself, as far as the
    /// books have come.
    private static let lotsAreTheLedger = LedgerCheck(
        name: "I8 lots have of each kind what the ledger has", severity: .violation,
        sql: """
            SELECT format('account %s: %s %s in the ledger, %s in the books', account_id, kind, coalesce(l.amount, 0),
                          coalesce(b.amount, 0)), coalesce(l.amount, 0) AS expected, coalesce(b.amount, 0) AS found
            FROM (
                SELECT c.account_id, CASE WHEN t.kind IN ('settlement', 'correction') THEN 'used'
                           WHEN t.kind = 'reversal' THEN 'clawed back' WHEN c.amount_millicredits < 0 THEN 'withdrawn'
                           ELSE 'granted as ' || c.type END AS kind,
                       sum(CASE WHEN t.kind = 'grant' AND c.amount_millicredits > 0 THEN c.amount_millicredits
                           ELSE -c.amount_millicredits END) AS amount
                FROM lot_book k JOIN credit_ledger c ON c.account_id = k.account_id AND c.version <= k.version
                JOIN ledger_transaction t ON t.id = c.transaction_id GROUP BY 1, 2) l
            FULL JOIN (
                SELECT account_id, kind, sum(amount) AS amount FROM (
                    SELECT account_id, 'granted as ' || kind AS kind, credits AS amount FROM credit_lot
                    WHERE position IS NOT NULL
                    UNION ALL SELECT account_id, parts.kind, parts.amount FROM credit_lot CROSS JOIN LATERAL (VALUES
                        ('used', used), ('withdrawn', withdrawn), ('clawed back', clawed)) parts(kind, amount)
                    WHERE position IS NOT NULL
                    UNION ALL SELECT account_id, 'used', debt_used FROM lot_book
                    UNION ALL SELECT account_id, 'withdrawn', debt_withdrawn FROM lot_book) parts
                GROUP BY account_id, kind) b USING (account_id, kind)
            WHERE coalesce(l.amount, 0) <> coalesce(b.amount, 0)
            """, unit: .millicredits)

    /// Books are kept every five minutes: what they have not seen for longer than two runs was left out.
    static let booksAreBehind = LedgerCheck(
        name: "books that are behind", severity: .warning,
        sql: """
            SELECT format('account %s: %s lines since %s', b.account_id, b.version - coalesce(k.version, 0),
                          date_trunc('second', c.created_at AT TIME ZONE 'UTC'))
            FROM credit_balance b LEFT JOIN lot_book k USING (account_id)
            JOIN credit_ledger c ON c.account_id = b.account_id AND c.version = coalesce(k.version, 0) + 1
            WHERE b.version > coalesce(k.version, 0) AND c.created_at < now() - interval '15 minutes'
            """)
}
