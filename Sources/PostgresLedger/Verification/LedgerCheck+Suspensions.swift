extension LedgerCheck {
    /// I7: an account is blocked exactly while a person's word or a dispute that nobody lifted says so.
    static let suspensions = LedgerCheck(
        name: "I7 an account is suspended by a person or by a dispute, and by nothing else",
        severity: .violation,
        sql: """
            SELECT format('account %s is %s%s%s; a person: %s, disputes that are not lifted: %s', account_id, status,
                          CASE WHEN suspended_by_dispute THEN ' by a dispute' END,
                          CASE WHEN blocked THEN ' and blocked' END, word, held)
            FROM (
                SELECT a.account_id, a.status, a.suspended_by_dispute, b.blocked,
                       coalesce(w.to_value, 'active') AS word, coalesce(d.held, 0) AS held
                FROM account a JOIN credit_balance b USING (account_id)
                LEFT JOIN (
                    SELECT DISTINCT ON (account_id) account_id, to_value FROM account_change
                    WHERE what = 'status' ORDER BY account_id, change_id DESC) w USING (account_id)
                LEFT JOIN (
                    SELECT account_id, count(*) AS held
                    FROM dispute LEFT JOIN dispute_lift l USING (purchase_id, dispute_id)
                    WHERE state <> 'over' AND l.dispute_id IS NULL GROUP BY account_id) d USING (account_id)) found
            WHERE status <> CASE WHEN word <> 'active' THEN word WHEN held > 0 THEN 'suspended' ELSE 'active' END
               OR suspended_by_dispute <> (word = 'active' AND held > 0)
               OR blocked <> (status <> 'active')
            """)

    static let namedDisputes = LedgerCheck(
        name: "I7 a payment is disputed exactly while one of its disputes is open", severity: .violation,
        sql: """
            SELECT format('purchase %s: disputed %s, open disputes %s', s.purchase_id, s.is_disputed, count(d.dispute_id))
            FROM payment_state s LEFT JOIN dispute d ON d.purchase_id = s.purchase_id AND d.state = 'open'
            GROUP BY s.purchase_id HAVING s.is_disputed <> (count(d.dispute_id) > 0)
            """)
}
