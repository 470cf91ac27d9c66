extension Migration {
    /// Which disputes suspend an account, who lifted them, and who else suspended it. The rule is the database's, so
    /// that it holds for whatever an instance of the release before posts.
    static let suspensions = Migration(
        version: 18, name: "suspensions",
        sql: """
            CREATE TABLE account_change (
                change_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                account_id bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                what       text NOT NULL CHECK (what IN ('status', 'floor')),
                from_value text NOT NULL,
                to_value   text NOT NULL,
                actor      text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 256),
                reason     text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 1000),
                changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
            );
            CREATE INDEX account_change_account ON account_change (account_id, what, change_id);
            CREATE TRIGGER account_change_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON account_change
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE dispute (
                purchase_id uuid NOT NULL REFERENCES purchase ON DELETE RESTRICT,
                dispute_id  text NOT NULL,
                account_id  bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                state       text NOT NULL CHECK (state IN ('open', 'lost', 'over')),
                since       timestamptz NOT NULL DEFAULT clock_timestamp(),
                PRIMARY KEY (purchase_id, dispute_id)
            );
            CREATE INDEX dispute_standing ON dispute (account_id) WHERE state <> 'over';
            CREATE TRIGGER dispute_never_deleted BEFORE DELETE OR TRUNCATE ON dispute
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE dispute_lift (
                purchase_id uuid NOT NULL,
                dispute_id  text NOT NULL,
                change_id   bigint REFERENCES account_change,
                PRIMARY KEY (purchase_id, dispute_id),
                FOREIGN KEY (purchase_id, dispute_id) REFERENCES dispute ON DELETE RESTRICT
            );
            CREATE TRIGGER dispute_lift_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dispute_lift
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            ALTER TABLE payment_state ADD COLUMN disputes_revision bigint NOT NULL DEFAULT 0;

            \(gateFunctions)
            \(disputeFunctions)
            \(whatWasBefore)
            \(Comments.suspensions)
            """)

    /// All lock `credit_balance` before they look: whoever comes second sees what the first one did.
    private static let gateFunctions = """
        CREATE FUNCTION is_held_by_dispute(p_account bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
            SELECT EXISTS (
                SELECT 1 FROM dispute d WHERE d.account_id = p_account AND d.state <> 'over'
                AND NOT EXISTS (SELECT 1 FROM dispute_lift l
                    WHERE l.purchase_id = d.purchase_id AND l.dispute_id = d.dispute_id));
        $$;

        CREATE FUNCTION change_account(
            p_account bigint, p_floor bigint, p_status text, p_actor text, p_reason text)
        RETURNS TABLE (o_gate_version bigint, o_floor bigint, o_blocked boolean, o_status text,
                       o_was text, o_lifted bigint)
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_own_floor bigint;
            v_status text;
            v_change bigint;
            v_lifted bigint := 0;
        BEGIN
            SELECT b.floor_millicredits - b.frozen_millicredits INTO v_own_floor
                FROM credit_balance b WHERE b.account_id = p_account FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'no such account' USING ERRCODE = 'TG404'; END IF;
            SELECT a.status INTO STRICT v_status FROM account a WHERE a.account_id = p_account;
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
            RETURN QUERY SELECT b.gate_version, b.floor_millicredits, b.blocked, a.status, v_status, v_lifted
                FROM credit_balance b JOIN account a USING (account_id) WHERE b.account_id = p_account;
        END $$;

        CREATE OR REPLACE FUNCTION set_account_gate(p_account bigint, p_floor bigint, p_status text)
        RETURNS TABLE (o_gate_version bigint, o_floor bigint, o_blocked boolean, o_status text)
        LANGUAGE sql AS $$
            SELECT c.o_gate_version, c.o_floor, c.o_blocked, c.o_status
            FROM change_account(p_account, p_floor, p_status, 'set_account_gate', 'none was given') c;
        $$;

        CREATE OR REPLACE FUNCTION set_dispute_gate(p_account bigint) RETURNS void
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_frozen bigint;
            v_held boolean;
        BEGIN
            PERFORM 1 FROM credit_balance b WHERE b.account_id = p_account FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'no such account' USING ERRCODE = 'TG404'; END IF;
            SELECT coalesce(sum(s.frozen), 0) INTO STRICT v_frozen
                FROM payment_state s WHERE s.account_id = p_account AND s.frozen > 0;
            v_held := is_held_by_dispute(p_account);
            UPDATE account a
                SET status = CASE WHEN v_held THEN 'suspended' ELSE 'active' END, suspended_by_dispute = v_held
                WHERE a.account_id = p_account
                  AND CASE WHEN v_held THEN a.status = 'active' ELSE a.suspended_by_dispute END;
            UPDATE credit_balance b
            SET floor_millicredits = b.floor_millicredits - b.frozen_millicredits + v_frozen,
                frozen_millicredits = v_frozen,
                blocked = (SELECT a.status <> 'active' FROM account a WHERE a.account_id = p_account),
                gate_version = b.gate_version + 1, updated_at = clock_timestamp()
            WHERE b.account_id = p_account;
            PERFORM pg_notify('account_changed', p_account::text);
        END $$;
        """

    /// A release that knows no ids writes `is_disputed` and cents only: what it saw is kept under a name of ours
    /// (`unnamed:…`) until a reading names it, and a lift of such a one passes on to the dispute that it turns out to be.
    /// It tells the gate only when `is_disputed` or `frozen` changes; a loss, or one overturned, changes neither.
    private static let disputeFunctions = """
        CREATE FUNCTION name_disputes(p_purchase uuid, p_account bigint, p_ids text[], p_states text[])
        RETURNS void LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        BEGIN
            IF cardinality(p_ids) = 0 AND NOT EXISTS (
                SELECT 1 FROM dispute d WHERE d.purchase_id = p_purchase AND d.state <> 'over') THEN RETURN;
            END IF;
            PERFORM 1 FROM credit_balance b WHERE b.account_id = p_account FOR NO KEY UPDATE;
            WITH unnamed AS (
                SELECT d.state, l.dispute_id IS NOT NULL AS is_lifted, l.change_id
                FROM dispute d LEFT JOIN dispute_lift l USING (purchase_id, dispute_id)
                WHERE d.purchase_id = p_purchase AND d.state <> 'over' AND d.dispute_id LIKE 'unnamed:%'
            ), fresh AS (
                INSERT INTO dispute (purchase_id, dispute_id, account_id, state)
                    SELECT p_purchase, n.id, p_account, n.state FROM unnest(p_ids, p_states) AS n(id, state)
                    ON CONFLICT DO NOTHING
                    RETURNING dispute_id, state
            )
            INSERT INTO dispute_lift (purchase_id, dispute_id, change_id)
                SELECT p_purchase, f.dispute_id, max(u.change_id)
                FROM fresh f JOIN unnamed u ON u.state = f.state
                    OR (u.state = 'open' AND cardinality(p_ids) = 1)
                GROUP BY f.dispute_id HAVING bool_and(u.is_lifted);
            UPDATE dispute d SET state = n.state, since = clock_timestamp()
                FROM unnest(p_ids, p_states) AS n(id, state)
                WHERE d.purchase_id = p_purchase AND d.dispute_id = n.id AND d.state <> n.state;
            UPDATE dispute d SET state = 'over', since = clock_timestamp()
                WHERE d.purchase_id = p_purchase AND d.state <> 'over' AND d.dispute_id <> ALL (p_ids);
        END $$;

        CREATE FUNCTION note_unnamed_dispute() RETURNS trigger
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_loss bigint := NEW.lost_cents + NEW.lost_beyond_paid_cents;
            v_loss_before bigint := OLD.lost_cents + OLD.lost_beyond_paid_cents;
            v_is_news boolean := false;
        BEGIN
            IF OLD.is_disputed AND NOT NEW.is_disputed THEN
                UPDATE dispute SET state = CASE WHEN v_loss > v_loss_before THEN 'lost' ELSE 'over' END,
                    since = clock_timestamp()
                    WHERE purchase_id = NEW.purchase_id AND state = 'open';
                v_is_news := FOUND;
            ELSIF v_loss > v_loss_before THEN
                INSERT INTO dispute (purchase_id, dispute_id, account_id, state) VALUES
                    (NEW.purchase_id, format('unnamed:%s:lost', NEW.revision), NEW.account_id, 'lost');
                v_is_news := true;
            END IF;
            IF v_loss = 0 AND v_loss_before > 0 THEN
                UPDATE dispute SET state = 'over', since = clock_timestamp()
                    WHERE purchase_id = NEW.purchase_id AND state = 'lost';
                v_is_news := v_is_news OR FOUND;
            END IF;
            IF NEW.is_disputed AND NOT OLD.is_disputed THEN
                INSERT INTO dispute (purchase_id, dispute_id, account_id, state) VALUES
                    (NEW.purchase_id, format('unnamed:%s:open', NEW.revision), NEW.account_id, 'open');
                v_is_news := true;
            END IF;
            IF v_is_news THEN PERFORM set_dispute_gate(NEW.account_id); END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER payment_state_names_disputes AFTER UPDATE ON payment_state FOR EACH ROW
            WHEN (NEW.revision > OLD.revision AND NEW.disputes_revision < NEW.revision)
            EXECUTE FUNCTION note_unnamed_dispute();
        """

    /// Losses of the time when they suspended nobody, and disputes of accounts that a person has opened, are lifted.
    private static let whatWasBefore = """
        INSERT INTO dispute (purchase_id, dispute_id, account_id, state)
            SELECT s.purchase_id, format('unnamed:%s:open', s.revision), s.account_id, 'open'
            FROM payment_state s WHERE s.is_disputed
            UNION ALL
            SELECT s.purchase_id, format('unnamed:%s:lost', s.revision), s.account_id, 'lost'
            FROM payment_state s WHERE s.lost_cents + s.lost_beyond_paid_cents > 0;
        INSERT INTO dispute_lift (purchase_id, dispute_id)
            SELECT d.purchase_id, d.dispute_id FROM dispute d JOIN account a USING (account_id)
            WHERE d.state = 'lost' OR a.status = 'active';
        INSERT INTO account_change (account_id, what, from_value, to_value, actor, reason)
            SELECT a.account_id, 'status', a.status, a.status, 'migration', 'it was so before changes were kept'
            FROM account a WHERE a.status <> 'active' AND NOT a.suspended_by_dispute;
        """
}

extension Comments {
    static let suspensions = statements(
        """
        account_change: What people changed of accounts, and why; append-only.
        account_change.change_id: Rises with time within an account.
        account_change.account_id: The account.
        account_change.what: status, or floor (a person's part of it, millicredits).
        account_change.from_value: What it was.
        account_change.to_value: What it is then. The newest status is a person's word: suspended stays whatever \
        disputes do, active lifts those of that moment.
        account_change.actor: Who; cli:USER is the user of the operating system who ran the command.
        account_change.reason: Why, for people.
        account_change.changed_at: When.
        dispute: Disputes that are or were open or lost, one row each. Its account is suspended while it is open or \
        lost and not lifted.
        dispute.purchase_id: The purchase that is disputed.
        dispute.dispute_id: Its id at Stripe; unnamed:… until it is read by a release that keeps ids.
        dispute.account_id: The account of the purchase.
        dispute.state: open (a bank decides), lost, or over (won, or no dispute any more).
        dispute.since: When it was first known to be so.
        dispute_lift: Disputes that a person has lifted: they suspend nobody, whatever becomes of them. Append-only.
        dispute_lift.purchase_id: The purchase.
        dispute_lift.dispute_id: The dispute.
        dispute_lift.change_id: What lifted it; NULL: known before losses suspended an account.
        payment_state.disputes_revision: Last revision whose disputes were named in dispute; behind revision, a \
        release that knows no ids has posted since.
        account.suspended_by_dispute: Suspended by a dispute that is open or lost and not lifted, and by nobody else.
        """)
}
