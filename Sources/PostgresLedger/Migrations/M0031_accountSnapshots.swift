extension Migration {
    /// What a cold load reads, at a price that does not grow with the age of the ledger. As one statement with bounds that
    /// are functions of now() every day partition was planned, several times over: 11 ms of CPU for 40 days, before the
    /// first row was read.
    static let accountSnapshots = Migration(
        version: 31, name: "account snapshots",
        sql: """
            SET LOCAL lock_timeout = '2s';
            -- STABLE: its statements see one moment, that of the statement that calls it.
            -- Bounds stand in the statements as literals, so that only partitions between them are planned and locked.
            CREATE FUNCTION account_snapshots(p_account bigint[], p_place bigint[], p_hold uuid[])
            RETURNS TABLE (o_place bigint, o_balance bigint, o_version bigint, o_generation bigint,
                o_gate_version bigint, o_floor bigint, o_blocked boolean, o_hour bigint, o_today bigint,
                o_hold uuid, o_amount bigint, o_counted bigint, o_authority smallint)
            LANGUAGE plpgsql STABLE AS $$
            DECLARE
                v_first uuid := hold_id_at(now() - interval '2 days');
                v_last uuid := hold_id_at(now() + interval '2 days');
            BEGIN
                RETURN QUERY EXECUTE format($q$
                    SELECT a.place, b.balance_millicredits, b.version, (SELECT ledger_generation()),
                           b.gate_version,
                           b.floor_millicredits, b.blocked, greatest(0, spent.hour)::bigint,
                           greatest(0, spent.today)::bigint, NULL::uuid, NULL::bigint, NULL::bigint,
                           NULL::smallint
                    FROM unnest($1) WITH ORDINALITY AS a(account_id, place)
                    JOIN credit_balance b ON b.account_id = a.account_id
                    CROSS JOIN LATERAL (
                        SELECT coalesce(sum(amount) FILTER (WHERE at > now() - interval '60 minutes'), 0) AS hour,
                               coalesce(sum(amount) FILTER (WHERE at >=
                                   date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'), 0) AS today
                        FROM (
                            SELECT e.created_at AS at,
                                   CASE e.kind WHEN 'waived' THEN e.shadow_millicredits
                                               ELSE e.charged_millicredits END AS amount
                            FROM usage_events e
                            WHERE e.account_id = a.account_id AND e.hold_id >= %1$L AND e.hold_id < %2$L
                            UNION ALL
                            SELECT c.created_at,
                                   CASE c.kind WHEN 'waived' THEN c.shadow_millicredits
                                               ELSE c.charged_millicredits END - earlier.amount
                            FROM usage_correction c CROSS JOIN LATERAL (
                                SELECT CASE p.kind WHEN 'waived' THEN p.shadow_millicredits
                                                   ELSE p.charged_millicredits END AS amount
                                FROM (
                                    SELECT e.authority, e.kind, e.charged_millicredits, e.shadow_millicredits
                                    FROM usage_events e
                                    WHERE e.account_id = c.account_id AND e.hold_id = c.hold_id
                                      AND e.hold_id >= %1$L AND e.hold_id < %2$L
                                    UNION ALL
                                    SELECT o.authority, o.kind, o.charged_millicredits, o.shadow_millicredits
                                    FROM usage_correction o
                                    WHERE o.account_id = c.account_id AND o.hold_id = c.hold_id) p
                                WHERE p.authority < c.authority ORDER BY p.authority DESC LIMIT 1) earlier
                            WHERE c.account_id = a.account_id
                              AND c.hold_id >= %1$L AND c.hold_id < %2$L) lines) spent
                    $q$, v_first, v_last) USING p_account;

                IF cardinality(p_hold) = 0 THEN RETURN; END IF;
                SELECT h INTO v_first FROM unnest(p_hold) h ORDER BY h LIMIT 1;
                SELECT h INTO v_last FROM unnest(p_hold) h ORDER BY h DESC LIMIT 1;
                RETURN QUERY EXECUTE format($q$
                    SELECT w.place, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint,
                           NULL::boolean, NULL::bigint, NULL::bigint, w.hold_id, u.amount, u.counted, u.authority
                    FROM unnest($2, $3) AS w(place, hold_id)
                    JOIN unnest($1) WITH ORDINALITY AS a(account_id, place) ON a.place = w.place
                    CROSS JOIN LATERAL (
                        SELECT x.charged_millicredits AS amount,
                               CASE x.kind WHEN 'waived' THEN x.shadow_millicredits
                                           ELSE x.charged_millicredits END AS counted, x.authority
                        FROM usage_effective x
                        WHERE x.account_id = a.account_id AND x.hold_id = w.hold_id
                          AND x.hold_id >= %L AND x.hold_id <= %L LIMIT 1) u
                    $q$, v_first, v_last) USING p_account, p_place, p_hold;
            END $$;
            COMMENT ON FUNCTION account_snapshots IS
                'For a cold load: of each account, by its place in p_account, one row with balance, gate and spend of the last 60 minutes and of the UTC day; and of each hold (p_hold, asked of the account at p_place) that is settled one with what counts. Of one moment.';
            """)
}
