extension Migration {
    /// What was consumed: one row per hold, its corrections, and what could not be posted.
    static let settlement = Migration(
        version: 2, name: "settlement",
        sql: """
            CREATE TABLE usage_events (
                account_id           bigint NOT NULL,
                hold_id              uuid NOT NULL,
                user_id              text NOT NULL,
                \(payloadColumns)
                batch_id             uuid NOT NULL,
                PRIMARY KEY (account_id, hold_id)
            ) PARTITION BY RANGE (hold_id);
            CREATE TABLE usage_events_default PARTITION OF usage_events DEFAULT;

            CREATE TABLE usage_correction (
                account_id           bigint NOT NULL,
                hold_id              uuid NOT NULL,
                delta_millicredits   bigint NOT NULL,
                \(payloadColumns)
                batch_id             uuid NOT NULL,
                PRIMARY KEY (account_id, hold_id, authority),
                FOREIGN KEY (account_id, hold_id) REFERENCES usage_events ON DELETE RESTRICT
            );

            CREATE TABLE settlement_conflict (
                account_id           bigint NOT NULL,
                hold_id              uuid NOT NULL,
                digest               bigint NOT NULL,
                charged_millicredits bigint NOT NULL,
                row_text             text NOT NULL,
                seen_at              timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (account_id, hold_id, digest)
            );

            CREATE TABLE settlement_quarantine (
                quarantine_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                account_id           bigint,
                hold_id              uuid,
                digest               bigint,
                sql_state            text,
                payload              text,
                seen_at              timestamptz NOT NULL DEFAULT now()
            );
            CREATE UNIQUE INDEX settlement_quarantine_once
                ON settlement_quarantine (account_id, hold_id, digest);

            CREATE TABLE proxy_instance (
                boot_id      uuid PRIMARY KEY,
                heartbeat    bigint NOT NULL DEFAULT 1,
                hostname     text NOT NULL,
                started_at   timestamptz NOT NULL DEFAULT now(),
                heartbeat_at timestamptz NOT NULL DEFAULT now()
            );

            CREATE TRIGGER usage_correction_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON
                usage_correction
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            -- The first UUIDv7 of an instant: partitions and windows are ranges of ids.
            CREATE FUNCTION hold_id_at(p_instant timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL
                SAFE AS $$
                SELECT (lpad(to_hex((extract(epoch FROM p_instant) * 1000)::bigint), 12, '0')
                        || repeat('0', 20))::uuid;
            $$;

            -- Creates the partition of one UTC day unless it is there. ATTACH, not PARTITION OF: settlement
            -- goes on.
            CREATE FUNCTION ensure_usage_partition(p_day date) RETURNS boolean
            LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
            DECLARE v_name text := 'usage_events_' || to_char(p_day, 'YYYYMMDD');
            BEGIN
                IF to_regclass(v_name) IS NOT NULL THEN RETURN false; END IF;
                -- One at a time. Then pg_class is asked, for to_regclass may still remember the answer from
                -- before.
                PERFORM 1 FROM ledger_meta FOR UPDATE;
                IF EXISTS (SELECT 1 FROM pg_class WHERE relname = v_name) THEN RETURN false; END IF;
                EXECUTE format('CREATE TABLE %I (LIKE usage_events INCLUDING ALL)', v_name);
                EXECUTE format('ALTER TABLE usage_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    v_name,
                    hold_id_at(p_day::timestamp AT TIME ZONE 'UTC'),
                    hold_id_at((p_day + 1)::timestamp AT TIME ZONE 'UTC'));
                EXECUTE format('COMMENT ON TABLE %I IS %L', v_name, 'usage_events of the UTC day ' || p_day);
                RETURN true;
            END $$;

            -- Every hold once, as it counts: the row of highest authority.
            CREATE VIEW usage_effective AS
            SELECT e.account_id, e.hold_id, e.user_id, c.kind, c.authority, c.model, c.model_served,
                c.endpoint,
                   c.service_tier, c.input_tokens, c.cached_input_tokens, c.cache_write_tokens,
                       c.output_tokens,
                   c.reasoning_tokens, c.price_id, c.charged_millicredits, c.shadow_millicredits,
                       c.cost_picousd,
                   c.openai_request_id, c.estimated, c.estimate_reason, c.occurred_at, c.created_at,
                       c.batch_id
            FROM usage_events e CROSS JOIN LATERAL (
                SELECT \(payloadNames), batch_id FROM usage_correction c
                WHERE c.account_id = e.account_id AND c.hold_id = e.hold_id
                UNION ALL SELECT \(eventPayloadNames), e.batch_id
                ORDER BY authority DESC LIMIT 1
            ) c;

            \(Comments.settlement)
            """)

    /// The columns that a settlement row and a correction share.
    private static let payloadColumns = """
        kind                 text NOT NULL CHECK (kind IN ('final', 'void', 'orphan', 'waived')),
                authority            smallint NOT NULL CHECK (authority BETWEEN 0 AND 2),
                model                text NOT NULL,
                model_served         text,
                endpoint             text NOT NULL,
                service_tier         text,
                input_tokens         bigint NOT NULL CHECK (input_tokens >= 0),
                cached_input_tokens  bigint NOT NULL CHECK (cached_input_tokens >= 0),
                cache_write_tokens   bigint NOT NULL CHECK (cache_write_tokens >= 0),
                output_tokens        bigint NOT NULL CHECK (output_tokens >= 0),
                reasoning_tokens     bigint NOT NULL CHECK (reasoning_tokens >= 0),
                price_id             text NOT NULL,
                charged_millicredits bigint NOT NULL CHECK (charged_millicredits BETWEEN 0 AND 1000000000000),
                shadow_millicredits  bigint NOT NULL CHECK (shadow_millicredits >= 0),
                cost_picousd         bigint NOT NULL CHECK (cost_picousd >= 0),
                openai_request_id    text,
                estimated            boolean NOT NULL,
                estimate_reason      text CHECK ((estimate_reason IS NOT NULL) = estimated),
                digest               bigint NOT NULL,
                owner_boot           uuid NOT NULL,
                occurred_at          timestamptz NOT NULL,
                created_at           timestamptz NOT NULL DEFAULT now(),
        """

    private static let eventPayloadNames =
        payloadNames.split(separator: ", ").map { "e.\($0)" }.joined(separator: ", ")

    private static let payloadNames =
        "kind, authority, model, model_served, endpoint, service_tier, input_tokens, cached_input_tokens, "
        + "cache_write_tokens, output_tokens, reasoning_tokens, price_id, charged_millicredits, "
        + "shadow_millicredits, cost_picousd, openai_request_id, estimated, estimate_reason, occurred_at, "
        + "created_at"
}
