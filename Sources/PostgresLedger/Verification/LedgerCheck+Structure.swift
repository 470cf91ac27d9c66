extension LedgerCheck {
    /// What the invariants rest on: keys, triggers, partitions.
    static let structure: [LedgerCheck] = [
        LedgerCheck(
            name: "exactly-once keys are in place", severity: .violation,
            sql: """
                SELECT format('%s has no unique key (%s)', k.name, k.columns) FROM (VALUES
                    ('usage_events', 'account_id, hold_id'),
                    ('usage_correction', 'account_id, hold_id, authority'),
                    ('credit_ledger', 'account_id, version'),
                    ('ledger_transaction', 'source_ref'),
                    ('credit_lot', 'source_ref'),
                    ('purchase', 'purchase_id'), ('purchase', 'payment_intent_id'),
                    ('payment_state', 'purchase_id'), ('stripe_event', 'event_id'),
                    ('refund_request', 'request'), ('cash_movement', 'movement_key'),
                    ('dispute', 'purchase_id, dispute_id'), ('dispute_lift', 'purchase_id, dispute_id'),
                    ('credit_balance', 'account_id')) k(name, columns)
                WHERE NOT EXISTS (
                    SELECT 1 FROM pg_index i
                    WHERE i.indrelid = to_regclass(k.name) AND i.indisunique AND i.indisvalid
                      AND i.indpred IS NULL AND i.indexprs IS NULL
                      AND (SELECT string_agg(a.attname, ', ' ORDER BY c.place)
                           FROM unnest(i.indkey::smallint[]) WITH ORDINALITY c(number, place)
                           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = c.number) = k.columns)
                """),
        LedgerCheck(
            name: "append-only tables refuse changes", severity: .violation,
            sql: """
                SELECT format('%s has no active trigger %s', t.name, t.name || t.suffix) FROM (VALUES
                    ('ledger_transaction', '_append_only'), ('credit_ledger', '_append_only'),
                    ('contra_line', '_append_only'), ('usage_correction', '_append_only'),
                    ('rate_card', '_append_only'), ('account', '_never_deleted'),
                    ('credit_lot', '_never_deleted'), ('purchase', '_never_deleted'),
                    ('payment_state', '_never_deleted'), ('refund_request', '_never_deleted'),
                    ('account_change', '_append_only'), ('dispute', '_never_deleted'),
                    ('dispute_lift', '_append_only'), ('lot_reversal', '_append_only'), ('journal_entry', '_append_only'), ('journal_line', '_append_only'), ('cash_movement', '_append_only'),
                    ('reconciliation_run', '_append_only'), ('reconciliation_result', '_append_only'),
                    ('reconciliation_finding', '_append_only')) t(name, suffix)
                WHERE NOT EXISTS (
                    SELECT 1 FROM pg_trigger g
                    WHERE g.tgrelid = to_regclass(t.name) AND g.tgname = t.name || t.suffix
                      AND g.tgenabled IN ('O', 'A'))
                """),
        LedgerCheck(
            name: "the default partition is empty", severity: .violation,
            sql: "SELECT format('hold %s is in no day partition', hold_id) FROM usage_events_default"),
    ]

    /// Nothing is wrong, but a person should look.
    static let forAPerson: [LedgerCheck] = [
        booksAreBehind,
        LedgerCheck(
            name: "quarantine is empty", severity: .warning,
            sql: """
                SELECT format('hold %s of account %s (%s)', hold_id, account_id, sql_state)
                FROM settlement_quarantine
                """),
        LedgerCheck(
            name: "no outcomes in conflict", severity: .warning,
            sql: "SELECT format('hold %s of account %s', hold_id, account_id) FROM settlement_conflict"),
        LedgerCheck(
            name: "partitions reach ahead", severity: .warning,
            sql: """
                SELECT format('no partition for %s', day::date)
                FROM generate_series((now() AT TIME ZONE 'UTC')::date::timestamp,
                                     ((now() AT TIME ZONE 'UTC')::date + 7)::timestamp, '1 day') day
                WHERE to_regclass('usage_events_' || to_char(day, 'YYYYMMDD')) IS NULL
                """),
    ]
}
