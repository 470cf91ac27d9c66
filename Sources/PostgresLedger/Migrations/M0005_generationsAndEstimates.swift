extension Migration {
    /// A restore is noticed like a promotion (MONEY_PATH P7), a reaper's estimates are found by their owner (F8),
    /// and no function waits for a lock without end, also behind PgBouncer (P8).
    static let generationsAndEstimates = Migration(
        version: 5, name: "generations and estimates",
        sql: """
            -- A new timeline tells of a promotion and of a point-in-time recovery. A dump that was read into
            -- another cluster, database or table may have the old timeline: origin tells of that.
            ALTER TABLE ledger_meta ADD COLUMN origin text NOT NULL DEFAULT '';

            CREATE FUNCTION ledger_origin() RETURNS text LANGUAGE plpgsql STABLE AS $$
            BEGIN
                RETURN (SELECT system_identifier FROM pg_control_system()) || '/'
                    || (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) || '/'
                    || 'ledger_meta'::regclass::oid;
            END $$;
            UPDATE ledger_meta SET origin = ledger_origin();

            CREATE OR REPLACE FUNCTION new_ledger_generation() RETURNS bigint
            LANGUAGE sql SET lock_timeout = '2s' AS $$
                UPDATE ledger_meta
                SET generation = greatest(generation + 1,
                        (extract(epoch FROM clock_timestamp()) * 1000)::bigint),
                    timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
                    origin = ledger_origin()
                RETURNING generation;
            $$;

            -- Raises the generation unless another session did since. Runs with its owner's rights: a role that may
            -- only read ledger_meta notices a promotion too. Whoever calls it without cause changes nothing.
            CREATE FUNCTION follow_ledger_timeline() RETURNS bigint
            LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '2s' AS $$
            DECLARE v_generation bigint;
            BEGIN
                PERFORM 1 FROM ledger_meta FOR UPDATE;
                SELECT generation INTO v_generation FROM ledger_meta
                WHERE timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
                  AND origin = ledger_origin();
                RETURN coalesce(v_generation, new_ledger_generation());
            END $$;

            CREATE OR REPLACE FUNCTION ledger_generation() RETURNS bigint LANGUAGE plpgsql AS $$
            DECLARE v_generation bigint;
            BEGIN
                SELECT generation INTO v_generation FROM ledger_meta
                WHERE timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
                  AND origin = ledger_origin();
                RETURN coalesce(v_generation, follow_ledger_timeline());
            END $$;

            -- A function with its owner's rights names the tables that it means: never a caller's temporary one.
            DO $$ BEGIN
                EXECUTE format('ALTER FUNCTION follow_ledger_timeline() SET search_path = %I, pg_temp',
                    current_schema());
            END $$;

            ALTER FUNCTION find_or_create_account(text) SET lock_timeout = '2s';

            -- Few rows: estimates of reapers, by the boot whose hold it was.
            CREATE INDEX usage_events_estimates ON usage_events (owner_boot, hold_id) WHERE authority = 0;

            COMMENT ON COLUMN ledger_meta.origin IS
                'Cluster, database and table that the generation belongs to; a restored copy has another.';
            COMMENT ON FUNCTION ledger_generation IS
                'The generation; the first to call it after a promotion or a restore raises it.';
            """)
}
