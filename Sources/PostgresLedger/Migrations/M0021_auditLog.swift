extension Migration {
    /// Every change by a person, each entry bound to the one before. The entry is written in the transaction of the
    /// change, last of all: whoever waits for the head of the chain holds nothing that its holder waits for.
    static let auditLog = Migration(
        version: 21, name: "audit log",
        sql: """
            CREATE TABLE audit_log (
                entry_id      bigint PRIMARY KEY,
                at            timestamptz NOT NULL,
                actor         text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 256),
                action        text NOT NULL CHECK (octet_length(action) BETWEEN 1 AND 64),
                subject       text NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 320),
                before_json   text NOT NULL,
                after_json    text NOT NULL,
                reason        text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 1000),
                request_id    text CHECK (octet_length(request_id) BETWEEN 1 AND 64),
                previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
                hash          bytea NOT NULL CHECK (octet_length(hash) = 32)
            );
            CREATE INDEX audit_log_subject ON audit_log (subject, entry_id);
            CREATE INDEX audit_log_actor ON audit_log (actor, entry_id);
            CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE audit_head (
                only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
                entry_id bigint NOT NULL,
                hash     bytea NOT NULL
            );
            INSERT INTO audit_head (entry_id, hash) VALUES (0, sha256('tollgate audit log'));
            CREATE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON audit_head
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            \(functions)
            \(changeAccount)
            \(Comments.auditLog)
            """)

    /// Each part stands behind its length in bytes, so no two entries have the same text.
    private static let functions = """
        CREATE FUNCTION audit_digest(
            p_previous bytea, p_entry bigint, p_at timestamptz, p_actor text, p_action text, p_subject text,
            p_before text, p_after text, p_reason text, p_request text)
        RETURNS bytea LANGUAGE sql STABLE AS $$
            SELECT sha256(p_previous || convert_to(string_agg(
                octet_length(convert_to(t.part, 'UTF8')) || ':' || t.part || ',', '' ORDER BY t.number), 'UTF8'))
            FROM unnest(ARRAY[p_entry::text, (extract(epoch FROM p_at) * 1000000)::bigint::text, p_actor,
                p_action, p_subject, p_before, p_after, p_reason, coalesce(p_request, '')])
                WITH ORDINALITY AS t(part, number);
        $$;

        CREATE FUNCTION audit(
            p_actor text, p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text,
            p_request text DEFAULT NULL)
        RETURNS bigint LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_head audit_head;
            v_at timestamptz;
            v_before text := coalesce(p_before, 'null')::text;
            v_after text := coalesce(p_after, 'null')::text;
            v_hash bytea;
        BEGIN
            SELECT * INTO STRICT v_head FROM audit_head FOR NO KEY UPDATE;
            v_at := clock_timestamp();
            v_hash := audit_digest(v_head.hash, v_head.entry_id + 1, v_at, p_actor, p_action, p_subject,
                v_before, v_after, p_reason, p_request);
            INSERT INTO audit_log (entry_id, at, actor, action, subject, before_json, after_json, reason,
                                   request_id, previous_hash, hash)
                VALUES (v_head.entry_id + 1, v_at, p_actor, p_action, p_subject, v_before, v_after, p_reason,
                        p_request, v_head.hash, v_hash);
            UPDATE audit_head SET entry_id = v_head.entry_id + 1, hash = v_hash;
            RETURN v_head.entry_id + 1;
        END $$;
        """

    /// As it was, with the entry at its end.
    private static let changeAccount = """
        DROP FUNCTION change_account(bigint, bigint, text, text, text);
        CREATE FUNCTION change_account(
            p_account bigint, p_floor bigint, p_status text, p_actor text, p_reason text,
            p_request text DEFAULT NULL)
        RETURNS TABLE (o_gate_version bigint, o_floor bigint, o_blocked boolean, o_status text,
                       o_was text, o_lifted bigint)
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_own_floor bigint;
            v_user text;
            v_status text;
            v_change bigint;
            v_lifted bigint := 0;
        BEGIN
            SELECT b.floor_millicredits - b.frozen_millicredits INTO v_own_floor
                FROM credit_balance b WHERE b.account_id = p_account FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'no such account' USING ERRCODE = 'TG404'; END IF;
            SELECT a.status, a.user_id INTO STRICT v_status, v_user FROM account a WHERE a.account_id = p_account;
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

extension Comments {
    static let auditLog = statements(
        """
        audit_log: What people changed, one entry for each change, bound to the entry before it; append-only.
        audit_log.entry_id: 1, 2, 3, without a gap.
        audit_log.at: When.
        audit_log.actor: Who: staff:NAME, admin-token, or cli:USER of the operating system.
        audit_log.action: What was done, such as flag.set or account.change.
        audit_log.subject: To what, such as flag:charging or account:USER.
        audit_log.before_json: What it was; JSON, null for what was not there.
        audit_log.after_json: What it is then; JSON, null for what is not there any more. Never a secret.
        audit_log.reason: Why, for people.
        audit_log.request_id: The request that did it, if it was one.
        audit_log.previous_hash: The hash of the entry before; SHA-256 of "tollgate audit log" for the first.
        audit_log.hash: SHA-256 of previous_hash and of what the entry says, each part behind its length.
        audit_head: The end of the audit log; one row, locked by whoever writes an entry.
        audit_head.only_row: Always true.
        audit_head.entry_id: The newest entry.
        audit_head.hash: Its hash.
        """)
}
