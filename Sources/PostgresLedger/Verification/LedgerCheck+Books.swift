extension LedgerCheck {
    /// I8: the journal in US dollars, and the lots it is made of.
    static let books: [LedgerCheck] = [
        LedgerCheck(
            name: "I8 every journal entry sums to zero", severity: .violation,
            sql: """
                SELECT format('entry %s sums to %s', e.entry_key, coalesce(sum(l.amount_microusd), 0))
                FROM journal_entry e LEFT JOIN journal_line l USING (entry_key)
                GROUP BY e.entry_key HAVING coalesce(sum(l.amount_microusd), 0) <> 0 OR count(l.entry_key) = 0
                """),
        LedgerCheck(
            name: "I8 deferred revenue is what was paid and neither given back nor earned",
            severity: .violation,
            sql: """
                SELECT format('journal %s micro-USD, payments %s, lots earned %s', journal, kept, earned) FROM (
                    SELECT coalesce((SELECT -sum(amount_microusd) FROM journal_line
                                     WHERE book_account = 'liabilities:deferred revenue'), 0) AS journal,
                           coalesce((SELECT sum(paid_cents - refunded_cents - lost_cents) FROM payment_state), 0)
                               * 10000 AS kept,
                           coalesce((SELECT sum(recognized_cents) FROM credit_lot lot
                                     WHERE lot.source_ref LIKE 'stripe:payment:%'), 0) * 10000 AS earned) sums
                WHERE journal <> kept - earned
                """),
        LedgerCheck(
            name: "I8 clearing is explained by what moved at Stripe", severity: .violation,
            sql: """
                SELECT format('purchase %s: journal %s micro-USD, payment %s', s.purchase_id, j.amount, s.cents * 10000)
                FROM (SELECT purchase_id, paid_cents - coalesce(fee_cents, 0) - refunded_cents - withdrawn_cents
                             - dispute_fee_cents AS cents FROM payment_state) s
                LEFT JOIN (SELECT m.purchase_id, sum(l.amount_microusd) AS amount
                           FROM cash_movement m JOIN journal_line l ON l.entry_key = m.movement_key
                           WHERE l.book_account = 'assets:stripe' GROUP BY m.purchase_id) j USING (purchase_id)
                WHERE coalesce(j.amount, 0) <> s.cents * 10000
                """),
        LedgerCheck(
            name: "I8 lots add up to the balance of their book", severity: .violation,
            sql: """
                SELECT format('account %s: book %s, lots %s, debt %s', k.account_id, k.balance, coalesce(l.left_over, 0),
                              k.debt_used + k.debt_withdrawn)
                FROM lot_book k LEFT JOIN (
                    SELECT account_id, sum(credits - clawed - consumed) AS left_over FROM credit_lot
                    WHERE position IS NOT NULL GROUP BY account_id) l USING (account_id)
                WHERE k.balance <> coalesce(l.left_over, 0) - k.debt_used - k.debt_withdrawn
                """),
        LedgerCheck(
            name: "I8 a used-up lot has earned what was paid for it", severity: .violation,
            sql: """
                SELECT format('lot %s: paid %s, back %s, earned %s', source_ref, paid_cents, reversed_cents,
                              recognized_cents)
                FROM credit_lot WHERE position IS NOT NULL
                  AND recognized_cents <> CASE WHEN credits - clawed = consumed THEN paid_cents - reversed_cents
                      ELSE floor((paid_cents - reversed_cents)::numeric * consumed / (credits - clawed)) END
                """),
        LedgerCheck(
            name: "I8 books that cannot go on", severity: .violation,
            sql:
                "SELECT format('account %s: %s', account_id, failure) FROM lot_book WHERE failure IS NOT NULL"
        ),
    ]
}
