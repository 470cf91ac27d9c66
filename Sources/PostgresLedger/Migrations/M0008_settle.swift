extension Migration {
    /// `settle` of version 3, which keeps parts of usage too. They are no part of what is compared: the digest is.
    static let settleWithParts = """
        CREATE FUNCTION settle(
            p_txn uuid, p_correction_txn uuid,
            p_account bigint[], p_hold uuid[], p_kind text[], p_authority smallint[], p_model text[],
            p_served text[], p_endpoint text[], p_tier text[], p_input bigint[], p_cached bigint[],
            p_written bigint[], p_output bigint[], p_reasoning bigint[], p_price text[], p_charged
                bigint[],
            p_shadow bigint[], p_cost bigint[], p_request text[], p_reason text[], p_digest bigint[],
            p_boot uuid[], p_occurred bigint[], p_parts jsonb[] DEFAULT NULL)
        RETURNS TABLE (o_account bigint, o_balance bigint, o_version bigint, o_generation bigint,
            o_conflicts bigint)
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_fresh bigint;
            v_conflicts bigint := 0;
            v_oldest uuid := hold_id_at(now() - interval '35 days');
            v_newest uuid := hold_id_at(now() + interval '1 day');
        BEGIN
            -- An id outside the horizon may have been settled and archived, or comes from a broken clock.
            IF EXISTS (SELECT 1 FROM unnest(p_hold) h WHERE h < v_oldest OR h >= v_newest) THEN
                RAISE EXCEPTION 'hold outside the horizon' USING ERRCODE = '22008';
            END IF;

            PERFORM 1 FROM credit_balance b WHERE b.account_id = ANY (p_account)
                ORDER BY b.account_id FOR NO KEY UPDATE;

            -- An unknown account has no user_id: the row is refused as NOT NULL, class 23.
            WITH src AS (
                SELECT DISTINCT ON (u.a, u.h) u.* FROM \(input) ORDER BY u.a, u.h, u.au DESC, u.ord),
            ins AS (
                INSERT INTO usage_events AS e (account_id, hold_id, user_id, \(columns), batch_id)
                SELECT s.a, s.h, b.user_id, \(values("s")), p_txn
                FROM src s LEFT JOIN credit_balance b ON b.account_id = s.a
                ON CONFLICT (account_id, hold_id) DO NOTHING
                RETURNING e.account_id, e.charged_millicredits AS charged),
            agg AS (
                SELECT i.account_id, sum(i.charged)::bigint AS delta FROM ins i GROUP BY 1 HAVING
                    sum(i.charged) <> 0),
            \(posting(
                transaction: "p_txn", kind: "settlement", type: "deduction", reference: "settlement"))
            SELECT count(*) INTO v_fresh FROM ins;

            -- The rare path: repeats, races with a reaper, replays. Every input row is compared with what
            -- counts.
            IF v_fresh <> cardinality(p_hold) THEN
                WITH inp AS (SELECT u.* FROM \(input)),
                ids AS (SELECT DISTINCT i.a, i.h FROM inp i),
                eff AS (
                    SELECT ids.a, ids.h, coalesce(c.au, e.au) AS au, coalesce(c.am, e.am) AS am,
                           coalesce(c.dg, e.dg) AS dg
                    FROM ids
                    CROSS JOIN LATERAL (
                        SELECT x.authority AS au, x.charged_millicredits AS am, x.digest AS dg
                        FROM usage_events x WHERE x.account_id = ids.a AND x.hold_id = ids.h LIMIT 1) e
                    LEFT JOIN LATERAL (
                        SELECT x.authority AS au, x.charged_millicredits AS am, x.digest AS dg
                        FROM usage_correction x WHERE x.account_id = ids.a AND x.hold_id = ids.h
                        ORDER BY x.authority DESC LIMIT 1) c ON true),
                higher AS (
                    SELECT DISTINCT ON (i.a, i.h) i.*, i.am - eff.am AS delta
                    FROM inp i JOIN eff ON eff.a = i.a AND eff.h = i.h
                    WHERE i.au > eff.au ORDER BY i.a, i.h, i.au DESC, i.ord),
                cor AS (
                    INSERT INTO usage_correction AS c (account_id, hold_id, delta_millicredits,
                        \(columns), batch_id)
                    SELECT s.a, s.h, s.delta, \(values("s")), p_correction_txn FROM higher s
                    ON CONFLICT DO NOTHING
                    RETURNING c.account_id, c.delta_millicredits AS charged),
                bad AS (
                    INSERT INTO settlement_conflict AS c (account_id, hold_id, digest,
                        charged_millicredits, row_text)
                    SELECT i.a, i.h, i.dg, i.am, left(i::text, 4000)
                    FROM inp i JOIN eff ON eff.a = i.a AND eff.h = i.h
                    LEFT JOIN higher n ON n.a = i.a AND n.h = i.h
                    WHERE i.au = 2 AND coalesce(n.au, eff.au) = 2
                      AND (i.am, i.dg) IS DISTINCT FROM (coalesce(n.am, eff.am), coalesce(n.dg, eff.dg))
                    ON CONFLICT DO NOTHING RETURNING 1),
                agg AS (
                    SELECT c.account_id, sum(c.charged)::bigint AS delta FROM cor c
                    GROUP BY 1 HAVING sum(c.charged) <> 0),
                \(posting(
                    transaction: "p_correction_txn", kind: "correction", type: "adjustment",
                    reference: "settlement_correction"))
                SELECT count(*) INTO v_conflicts FROM bad;
            END IF;

            -- Every account named, also when nothing was new: whoever lost the first answer needs it.
            RETURN QUERY SELECT b.account_id, b.balance_millicredits, b.version, m.generation, v_conflicts
                FROM credit_balance b CROSS JOIN (SELECT ledger_generation() AS generation) m
                WHERE b.account_id = ANY (p_account);
        END $$;
        COMMENT ON FUNCTION settle IS
            'Posts one batch of outcomes exactly once and returns the balances of all accounts named.';
        """

    /// The parallel arrays as rows; `ord` keeps their order.
    private static let input = """
        unnest(p_account, p_hold, p_kind, p_authority, p_model, p_served, p_endpoint, p_tier, p_input,
            p_cached,
                        p_written, p_output, p_reasoning, p_price, p_charged, p_shadow, p_cost, p_request,
                            p_reason,
                        p_digest, p_boot, p_occurred, p_parts) WITH ORDINALITY
                        AS u(a, h, kd, au, md, sv, ep, tr, it, ct, wt, ot, rt, pr, am, sh, co, rq, rs, dg,
                            bo, oc, pt, ord)
        """

    private static let columns = """
        kind, authority, model, model_served, endpoint, service_tier,
                        input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
                            reasoning_tokens, price_id,
                        charged_millicredits, shadow_millicredits, cost_picousd, openai_request_id, estimated,
                        estimate_reason, digest, owner_boot, occurred_at, usage_parts
        """

    private static func values(_ row: String) -> String {
        let plain = [
            "kd", "au", "md", "sv", "ep", "tr", "it", "ct", "wt", "ot", "rt", "pr", "am", "sh", "co", "rq",
        ]
        return
            (plain.map { "\(row).\($0)" } + [
                "\(row).rs IS NOT NULL", "\(row).rs", "\(row).dg", "\(row).bo",
                "to_timestamp(\(row).oc / 1000.0)", "\(row).pt",
            ]).joined(separator: ", ")
    }

    /// From `agg(account_id, delta)`: new balances, one ledger line per account, one contra line, one head. A
    /// balance's version moves only with a ledger line.
    private static func posting(transaction: String, kind: String, type: String, reference: String) -> String
    {
        """
        upd AS (
                    UPDATE credit_balance b
                    SET balance_millicredits = b.balance_millicredits - agg.delta, version = b.version + 1
                    FROM agg WHERE b.account_id = agg.account_id
                    RETURNING b.account_id, b.user_id, b.balance_millicredits, b.version, agg.delta),
                head AS (
                    INSERT INTO ledger_transaction (id, kind, source_ref)
                    SELECT \(transaction), '\(kind)', '\(kind):' || \(transaction) WHERE EXISTS (SELECT 1
                        FROM upd)),
                lines AS (
                    INSERT INTO credit_ledger (account_id, version, transaction_id, user_id, type,
                        amount_millicredits,
                                               balance_after_millicredits, reference_type, reference_id)
                    SELECT u.account_id, u.version, \(transaction), u.user_id, '\(type)', -u.delta,
                           u.balance_millicredits, '\(reference)', \(transaction)::text FROM upd u),
                contra AS (
                    INSERT INTO contra_line (transaction_id, type, amount_millicredits)
                    SELECT \(transaction), '\(type)', sum(u.delta)::bigint FROM upd u HAVING sum(u.delta) <>
                        0)
        """
    }
}
