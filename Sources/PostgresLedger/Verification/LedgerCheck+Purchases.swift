extension LedgerCheck {
    /// I6 and I7: purchases, what was posted for them, and what they do to their accounts.
    static let purchases: [LedgerCheck] = [
        LedgerCheck(
            name: "I6 every paid purchase has exactly one grant", severity: .violation,
            sql: """
                SELECT format('purchase %s: granted %s, %s grant lines of %s', s.purchase_id, s.granted,
                              count(l.version), coalesce(sum(l.amount_millicredits), 0))
                FROM payment_state s JOIN purchase p USING (purchase_id)
                LEFT JOIN ledger_transaction t ON t.kind = 'grant'
                     AND t.source_ref = 'stripe:payment:' || p.payment_intent_id
                LEFT JOIN credit_ledger l ON l.transaction_id = t.id AND l.type = 'purchase'
                     AND l.reference_id = s.purchase_id::text AND l.account_id = s.account_id
                GROUP BY s.purchase_id, s.granted, p.status, p.credits_millicredits
                HAVING coalesce(sum(l.amount_millicredits), 0) <> s.granted
                    OR count(l.version) <> CASE WHEN s.granted > 0 THEN 1 ELSE 0 END
                    OR (p.status = 'paid') <> (s.granted > 0)
                    OR s.granted NOT IN (0, p.credits_millicredits)
                """),
        LedgerCheck(
            name: "I6 every purchase line has its purchase", severity: .violation,
            sql: """
                SELECT format('account %s version %s: purchase %s', l.account_id, l.version, l.reference_id)
                FROM credit_ledger l
                LEFT JOIN payment_state s ON s.purchase_id::text = l.reference_id AND s.account_id = l.account_id
                WHERE l.reference_type = 'purchase' AND s.purchase_id IS NULL
                """),
        LedgerCheck(
            name: "I7 clawed-back credits equal what was posted", severity: .violation,
            sql: """
                SELECT format('purchase %s: clawed back %s by refunds and %s by disputes, lines %s and %s',
                              purchase_id, clawed_by_refunds, clawed_by_disputes, refunds, disputes)
                FROM (
                    SELECT s.purchase_id, s.clawed_by_refunds, s.clawed_by_disputes,
                           coalesce(-sum(l.amount_millicredits) FILTER (WHERE l.type = 'refund'), 0) AS refunds,
                           coalesce(-sum(l.amount_millicredits) FILTER (WHERE l.type = 'adjustment'), 0) AS disputes
                    FROM payment_state s
                    LEFT JOIN credit_ledger l ON l.account_id = s.account_id AND l.reference_type = 'purchase'
                         AND l.reference_id = s.purchase_id::text
                         AND EXISTS (SELECT 1 FROM lot_reversal r WHERE r.transaction_id = l.transaction_id)
                    GROUP BY s.purchase_id) sums
                WHERE refunds <> clawed_by_refunds OR disputes <> clawed_by_disputes
                """),
        LedgerCheck(
            name: "I7 credits clawed back follow from the cents", severity: .violation,
            sql: """
                SELECT format('purchase %s: %s of %s for %s of %s cents', purchase_id,
                              clawed_by_refunds + clawed_by_disputes, granted, refunded_cents + lost_cents, paid_cents)
                FROM payment_state WHERE paid_cents > 0 AND clawed_by_refunds + clawed_by_disputes
                    <> ceil(granted::numeric * (refunded_cents + lost_cents) / paid_cents)
                """),
        LedgerCheck(
            name: "I7 frozen credits are in the floor", severity: .violation,
            sql: """
                SELECT format('account %s: %s in its floor, %s by its payments', b.account_id,
                              b.frozen_millicredits, coalesce(sum(s.frozen), 0))
                FROM credit_balance b LEFT JOIN payment_state s USING (account_id)
                GROUP BY b.account_id HAVING b.frozen_millicredits <> coalesce(sum(s.frozen), 0)
                """),
        suspensions, namedDisputes,
        LedgerCheck(
            name: "I7 the cash of a payment adds up", severity: .violation,
            sql: """
                SELECT format('purchase %s: paid %s, moved %s; refunded %s, moved %s', purchase_id, paid_cents,
                              received, refunded_cents, refunded)
                FROM (
                    SELECT s.purchase_id, s.paid_cents, s.refunded_cents,
                           coalesce(sum(m.cents) FILTER (WHERE m.kind = 'received'), 0) AS received,
                           coalesce(sum(CASE m.kind WHEN 'refunded' THEN m.cents
                               WHEN 'refund_returned' THEN -m.cents END), 0) AS refunded
                    FROM payment_state s LEFT JOIN cash_movement m USING (purchase_id) GROUP BY s.purchase_id) sums
                WHERE received <> paid_cents OR refunded <> refunded_cents
                """),
        LedgerCheck(
            name: "purchases and refunds that do not come to an end", severity: .warning,
            sql: """
                SELECT format('purchase %s is %s since %s', purchase_id, status, updated_at::date) FROM purchase
                WHERE status IN ('created', 'open') AND created_at < now() - interval '30 hours'
                   OR status = 'processing' AND created_at < now() - interval '14 days'
                UNION ALL
                SELECT format('refund %s of purchase %s: %s', request, purchase_id, coalesce(refusal, status))
                FROM refund_request
                WHERE kind = 'cash' AND (status = 'failed' OR refusal = 'never_answered'
                    OR status = 'asked' AND created_at < now() - interval '24 hours')
                """),
        LedgerCheck(
            name: "payments that need a person", severity: .warning,
            sql: """
                SELECT format('purchase %s: %s', purchase_id, doubt) FROM payment_state WHERE doubt IS NOT NULL
                """),
        LedgerCheck(
            name: "events of Stripe that need a person", severity: .warning,
            sql: """
                SELECT format('event %s (%s): %s', event_id, type, reason) FROM stripe_event
                WHERE outcome = 'dead' AND dismissed_at IS NULL
                """),
    ]
}
