extension Migration {
    /// A charge is followed by a rest, and a ledger that was set back charges nobody before its owner says so: it does
    /// not know what was charged since (MONEY_PATH P7, B8).
    static let rechargeStops = Migration(
        version: 17, name: "recharge stops",
        sql: """
            ALTER TABLE recharge ADD COLUMN rests_until bigint NOT NULL DEFAULT 0;

            -- In the transaction that raises the generation, so that nobody decides in between. What is processing has a
            -- payment, whose events tell its end; what has no purchase counts against no day: one that was made in the
            -- past that was lost is counted when its payment brings it back. Numbers that were given out since are known
            -- to Redis, to Stripe and to journals: nobody else gets them, however often the same backup is restored, as
            -- they go on from the generation, which is the clock. The row of ledger_meta is locked first, as by those who
            -- call this.
            CREATE OR REPLACE FUNCTION new_ledger_generation() RETURNS bigint
            LANGUAGE sql SET lock_timeout = '2s' AS $$
                SELECT 1 FROM ledger_meta FOR UPDATE;
                UPDATE recharge r SET state = 'stopped', stop_reason = 'restored', wake_at = NULL, updated_at = now(),
                    spent_cents = r.spent_cents - CASE
                        WHEN r.state = 'asking' AND r.spent_day = r.attempt_started_at / 86400000 AND NOT EXISTS (
                            SELECT FROM purchase p
                            WHERE p.attempt_key = 'recharge:' || r.account_id || ':' || r.attempts)
                        THEN r.attempt_cents ELSE 0 END
                WHERE r.state = 'asking' OR (r.state <> 'stopped' AND r.threshold IS NOT NULL);
                UPDATE ledger_meta
                SET generation = greatest(generation + 1,
                        (extract(epoch FROM clock_timestamp()) * 1000)::bigint),
                    timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
                    origin = ledger_origin();
                SELECT setval(numbers, greatest(nextval(numbers), generation)) FROM ledger_meta, (VALUES
                    (pg_get_serial_sequence('account', 'account_id')::regclass),
                    (pg_get_serial_sequence('api_key', 'key_id')::regclass)) given (numbers);
                SELECT generation FROM ledger_meta;
            $$;

            \(Comments.rechargeStops)
            """)
}

extension Comments {
    static let rechargeStops = statements(
        """
        recharge.rests_until: No new attempt begins before, milliseconds since 1970.
        """)
}
