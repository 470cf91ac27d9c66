extension Migration {
    /// A ledger that was set back in place, on the timeline that it had, learns it from those who knew it before
    /// (MONEY_PATH P7, B8).
    static let ledgerPosition = Migration(
        version: 7, name: "ledger position",
        sql: """
            -- Bytes of WAL on the disk. What was only inserted may be lost in a crash, and is no sign of anything.
            CREATE FUNCTION ledger_flushed() RETURNS bigint LANGUAGE sql VOLATILE AS $$
                SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint;
            $$;

            CREATE FUNCTION ledger_timeline() RETURNS bigint LANGUAGE sql VOLATILE AS $$
                SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint;
            $$;

            -- Whoever heard of a later past says so; the first one raises the generation, above the one that was heard
            -- of, and for the others there is no cause any more. Runs with its owner's rights, as
            -- follow_ledger_timeline does.
            CREATE FUNCTION follow_ledger_position(p_origin text, p_timeline bigint, p_generation bigint,
                p_flushed bigint)
            RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '2s' AS $$
            DECLARE v_generation bigint;
            BEGIN
                PERFORM 1 FROM ledger_meta FOR UPDATE;
                SELECT generation INTO v_generation FROM ledger_meta
                WHERE origin = p_origin AND ledger_origin() = p_origin AND ledger_timeline() >= p_timeline
                  AND (generation < p_generation
                    OR (generation = p_generation AND ledger_timeline() = p_timeline
                        AND ledger_flushed() < p_flushed));
                IF NOT FOUND THEN RETURN ledger_generation(); END IF;
                UPDATE ledger_meta SET generation = greatest(generation, p_generation);
                RETURN new_ledger_generation();
            END $$;

            -- A function with its owner's rights names the tables that it means: never a caller's temporary one.
            DO $$ BEGIN
                EXECUTE format(
                    'ALTER FUNCTION follow_ledger_position(text, bigint, bigint, bigint) SET search_path = %I, pg_temp',
                    current_schema());
            END $$;

            COMMENT ON FUNCTION ledger_flushed IS
                'Bytes of WAL that are on the disk; grows for as long as the ledger is not set back.';
            COMMENT ON FUNCTION ledger_timeline IS 'The WAL timeline as a number.';
            COMMENT ON FUNCTION follow_ledger_position IS
                'The generation; raised when the ledger is behind what the caller heard of it.';
            """)
}
