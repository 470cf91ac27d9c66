extension Migration {
    /// A closed account stays closed; a status that is set to what it is changes nothing and is in no log; and the log tells
    /// of a flag what was changed, not what the environment of whoever changed it says: each instance has its own.
    static let closedForGood = Migration(
        version: 29, name: "closed for good",
        sql: """
            \(changeAccount)
            \(flagState)
            """)

    private static let flagState = """
        CREATE OR REPLACE FUNCTION flag_state(p_value text, p_environment text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
            SELECT CASE WHEN p_value IS NULL THEN '{"source": "environment"}'
                ELSE jsonb_build_object('value', p_value, 'source', 'flag') END;
        $$;
        """

    /// As it was, but for these two. TG410: the account is closed.
    private static let changeAccount = """
        CREATE OR REPLACE FUNCTION change_account(
            p_account bigint, p_floor bigint, p_status text, p_actor text, p_reason text,
            p_request text DEFAULT NULL)
        RETURNS TABLE (o_gate_version bigint, o_floor bigint, o_blocked boolean, o_status text,
                       o_was text, o_lifted bigint)
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_own_floor bigint;
            v_user text;
            v_status text;
            v_by_dispute boolean;
            v_change bigint;
            v_lifted bigint := 0;
        BEGIN
            SELECT b.floor_millicredits - b.frozen_millicredits INTO v_own_floor
                FROM credit_balance b WHERE b.account_id = p_account FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'no such account' USING ERRCODE = 'TG404'; END IF;
            SELECT a.status, a.user_id, a.suspended_by_dispute INTO STRICT v_status, v_user, v_by_dispute
                FROM account a WHERE a.account_id = p_account;
            IF v_status = 'closed' AND p_status <> 'closed' THEN
                RAISE EXCEPTION 'the account is closed' USING ERRCODE = 'TG410';
            END IF;
            -- No change, unless it makes a person's word of what a dispute did, or lifts one.
            IF p_status = v_status AND NOT v_by_dispute AND (p_status <> 'active' OR NOT EXISTS (
                SELECT 1 FROM dispute d LEFT JOIN dispute_lift l USING (purchase_id, dispute_id)
                WHERE d.account_id = p_account AND d.state <> 'over' AND l.dispute_id IS NULL)) THEN
                IF p_floor IS NULL THEN
                    RETURN QUERY SELECT b.gate_version, b.floor_millicredits, b.blocked, v_status, v_status, 0::bigint
                        FROM credit_balance b WHERE b.account_id = p_account;
                    RETURN;
                END IF;
                p_status := NULL;
            END IF;
            IF p_floor IS NOT NULL THEN
                INSERT INTO account_change (account_id, what, from_value, to_value, actor, reason)
                    VALUES (p_account, 'floor', v_own_floor, p_floor, p_actor, p_reason);
            END IF;
            IF p_status IS NOT NULL THEN
                INSERT INTO account_change (account_id, what, from_value, to_value, actor, reason)
                    VALUES (p_account, 'status', v_status, p_status, p_actor, p_reason)
                    RETURNING change_id INTO v_change;
            END IF;
            IF p_status = 'active' THEN
                INSERT INTO dispute_lift (purchase_id, dispute_id, change_id)
                    SELECT d.purchase_id, d.dispute_id, v_change FROM dispute d
                    WHERE d.account_id = p_account AND d.state <> 'over'
                    ON CONFLICT DO NOTHING;
                GET DIAGNOSTICS v_lifted = ROW_COUNT;
            END IF;
            UPDATE account a SET status = p_status, suspended_by_dispute = false
                WHERE a.account_id = p_account AND (a.status <> p_status
                    OR (p_status IS NOT NULL AND a.suspended_by_dispute));
            UPDATE credit_balance b
            SET floor_millicredits = coalesce(p_floor + b.frozen_millicredits, b.floor_millicredits),
                blocked = CASE WHEN p_status IS NULL THEN b.blocked ELSE p_status <> 'active' END,
                gate_version = b.gate_version + 1, updated_at = clock_timestamp()
            WHERE b.account_id = p_account;
            PERFORM pg_notify('account_changed', p_account::text);
            PERFORM audit(p_actor, 'account.change', 'account:' || v_user,
                jsonb_strip_nulls(jsonb_build_object(
                    'status', CASE WHEN p_status IS NOT NULL THEN v_status END,
                    'floorMillicredits', CASE WHEN p_floor IS NOT NULL THEN v_own_floor::text END)),
                jsonb_strip_nulls(jsonb_build_object(
                    'status', p_status, 'floorMillicredits', p_floor::text,
                    'liftedDisputes', nullif(v_lifted, 0))),
                p_reason, p_request);
            RETURN QUERY SELECT b.gate_version, b.floor_millicredits, b.blocked, a.status, v_status, v_lifted
                FROM credit_balance b JOIN account a USING (account_id) WHERE b.account_id = p_account;
        END $$;
        """
}
