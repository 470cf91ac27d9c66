extension Migration {
    /// A charge is followed by a rest, and a ledger that was set back charges nobody before its owner says so: it does
    /// not know what was charged since (MONEY_PATH P7, B8).
    static let rechargeStops = Migration(
        version: 17, name: "recharge stops",
        sql: """
            ALTER TABLE recharge ADD COLUMN rests_until bigint NOT NULL DEFAULT 0;

            -- In the transaction that raises the generation, so that nobody decides in between. What is processing has a
            -- payment, whose events tell its end. Numbers that were given out since are known to Redis, to Stripe and to
            -- journals: nobody else gets them. The row of ledger_meta is locked first, as by those who call this.
            CREATE OR REPLACE FUNCTION new_ledger_generation() RETURNS bigint
            LANGUAGE sql SET lock_timeout = '2s' AS $$
                SELECT 1 FROM ledger_meta FOR UPDATE;
                UPDATE recharge SET state = 'stopped', stop_reason = 'restored', wake_at = NULL, updated_at = now()
                WHERE state = 'asking' OR (state <> 'stopped' AND threshold IS NOT NULL);
                SELECT setval(numbers, nextval(numbers) + 999999) FROM (VALUES
                    (pg_get_serial_sequence('account', 'account_id')::regclass),
                    (pg_get_serial_sequence('api_key', 'key_id')::regclass)) given (numbers);
                UPDATE ledger_meta
                SET generation = greatest(generation + 1,
                        (extract(epoch FROM clock_timestamp()) * 1000)::bigint),
                    timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
                    origin = ledger_origin()
                RETURNING generation;
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
