extension Migration {
    /// Purchases, what was posted for their payments, and what Stripe said of them.
    static let moneyIn = Migration(
        version: 13, name: "money in",
        sql: """
            CREATE TABLE purchase (
                purchase_id       uuid PRIMARY KEY,
                account_id        bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                kind              text NOT NULL CHECK (kind IN ('checkout', 'recharge')),
                package_code      text NOT NULL,
                package_version   bigint NOT NULL,
                package_name      text NOT NULL,
                price_usd_cents   bigint NOT NULL CHECK (price_usd_cents > 0),
                credits_millicredits bigint NOT NULL CHECK (credits_millicredits >= price_usd_cents),
                livemode          boolean NOT NULL,
                status            text NOT NULL CHECK (status IN
                    ('created', 'open', 'processing', 'paid', 'expired', 'failed', 'quarantined')),
                session_id        text UNIQUE,
                payment_intent_id text UNIQUE,
                customer_id       text,
                success_url       text,
                cancel_url        text,
                payment_method_id text,
                receipt_url       text,
                created_at        timestamptz NOT NULL,
                updated_at        timestamptz NOT NULL DEFAULT now(),
                paid_at           timestamptz,
                FOREIGN KEY (package_code, package_version) REFERENCES package ON DELETE RESTRICT
            );
            CREATE INDEX purchase_account ON purchase (account_id, purchase_id);
            CREATE INDEX purchase_unfinished ON purchase (created_at)
                WHERE status IN ('created', 'open', 'processing', 'quarantined');
            CREATE TRIGGER purchase_never_deleted BEFORE DELETE OR TRUNCATE ON purchase
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE payment_state (
                purchase_id       uuid PRIMARY KEY REFERENCES purchase ON DELETE RESTRICT,
                account_id        bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                revision          bigint NOT NULL DEFAULT 0,
                granted           bigint NOT NULL DEFAULT 0 CHECK (granted >= 0),
                paid_cents        bigint NOT NULL DEFAULT 0 CHECK (paid_cents >= 0),
                refunded_cents    bigint NOT NULL DEFAULT 0 CHECK (refunded_cents >= 0),
                lost_cents        bigint NOT NULL DEFAULT 0 CHECK (lost_cents >= 0),
                clawed_by_refunds bigint NOT NULL DEFAULT 0 CHECK (clawed_by_refunds >= 0),
                clawed_by_disputes bigint NOT NULL DEFAULT 0 CHECK (clawed_by_disputes >= 0),
                frozen            bigint NOT NULL DEFAULT 0 CHECK (frozen >= 0),
                is_disputed       boolean NOT NULL DEFAULT false,
                fee_cents         bigint,
                withdrawn_cents   bigint NOT NULL DEFAULT 0,
                lost_beyond_paid_cents bigint NOT NULL DEFAULT 0,
                dispute_fee_cents bigint NOT NULL DEFAULT 0,
                doubt             text,
                read_at           timestamptz,
                CHECK (refunded_cents + lost_cents <= paid_cents),
                CHECK (clawed_by_refunds + clawed_by_disputes + frozen <= granted)
            );
            CREATE INDEX payment_state_gate ON payment_state (account_id) WHERE frozen > 0 OR is_disputed;
            CREATE TRIGGER payment_state_never_deleted BEFORE DELETE OR TRUNCATE ON payment_state
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE stripe_customer (
                account_id  bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                livemode    boolean NOT NULL,
                customer_id text NOT NULL UNIQUE,
                created_at  timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (account_id, livemode)
            );

            CREATE TABLE stripe_event (
                event_id          text PRIMARY KEY,
                type              text NOT NULL,
                livemode          boolean NOT NULL,
                happened_at       timestamptz NOT NULL,
                received_at       timestamptz NOT NULL DEFAULT now(),
                source            text NOT NULL CHECK (source IN ('webhook', 'poll', 'replay')),
                session_id        text,
                payment_intent_id text,
                purchase_id       uuid,
                outcome           text NOT NULL CHECK (outcome IN ('applied', 'ignored', 'dead')),
                reason            text,
                attempts          bigint NOT NULL DEFAULT 1,
                CHECK ((outcome = 'dead') = (reason IS NOT NULL))
            );
            CREATE INDEX stripe_event_received ON stripe_event (received_at);
            CREATE INDEX stripe_event_dead ON stripe_event (received_at) WHERE outcome = 'dead';

            CREATE TABLE lot_reversal (
                transaction_id uuid PRIMARY KEY REFERENCES ledger_transaction,
                lot            text NOT NULL REFERENCES credit_lot ON DELETE RESTRICT,
                cause          text NOT NULL CHECK (cause IN ('refund', 'dispute')),
                clawed         bigint NOT NULL CHECK (clawed >= 0),
                reversed_cents bigint NOT NULL CHECK (reversed_cents >= 0)
            );
            CREATE TRIGGER lot_reversal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lot_reversal
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE cash_movement (
                movement_key text PRIMARY KEY,
                purchase_id  uuid NOT NULL REFERENCES purchase ON DELETE RESTRICT,
                kind         text NOT NULL,
                cents        bigint NOT NULL CHECK (cents > 0),
                created_at   timestamptz NOT NULL DEFAULT now()
            );
            CREATE INDEX cash_movement_purchase ON cash_movement (purchase_id);
            CREATE INDEX cash_movement_created ON cash_movement (created_at);
            CREATE TRIGGER cash_movement_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON cash_movement
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE refund_request (
                request           text PRIMARY KEY,
                purchase_id       uuid NOT NULL REFERENCES purchase ON DELETE RESTRICT,
                kind              text NOT NULL CHECK (kind IN ('cash', 'credit')),
                cents             bigint NOT NULL DEFAULT 0 CHECK (cents >= 0),
                millicredits      bigint NOT NULL DEFAULT 0 CHECK (millicredits >= 0),
                reason            text NOT NULL,
                actor             text NOT NULL,
                wanted            text NOT NULL,
                status            text NOT NULL CHECK (status IN ('asked', 'done', 'failed', 'refused')),
                is_seen           boolean NOT NULL DEFAULT false,
                stripe_refund_id  text UNIQUE,
                refusal           text,
                created_at        timestamptz NOT NULL DEFAULT now(),
                updated_at        timestamptz NOT NULL DEFAULT now(),
                CHECK ((kind = 'cash') = (cents > 0)),
                CHECK ((kind = 'credit') = (millicredits > 0))
            );
            CREATE INDEX refund_request_purchase ON refund_request (purchase_id);
            CREATE INDEX refund_request_asked ON refund_request (created_at) WHERE status = 'asked';
            CREATE TRIGGER refund_request_never_deleted BEFORE DELETE OR TRUNCATE ON refund_request
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE job_lease (
                job      text PRIMARY KEY,
                holder   text NOT NULL,
                until    timestamptz NOT NULL,
                progress text
            );

            ALTER TABLE ledger_transaction DROP CONSTRAINT ledger_transaction_kind_check;
            ALTER TABLE ledger_transaction ADD CONSTRAINT ledger_transaction_kind_check
                CHECK (kind IN ('settlement', 'correction', 'grant', 'reversal'));
            ALTER TABLE credit_balance ADD COLUMN frozen_millicredits bigint NOT NULL DEFAULT 0
                CHECK (frozen_millicredits >= 0);
            ALTER TABLE account ADD COLUMN suspended_by_dispute boolean NOT NULL DEFAULT false;
            DROP FUNCTION set_account_gate;

            \(gateFunctions)
            \(lineFunction)
            \(Comments.moneyIn)
            """)

    /// A person's floor stands beside what disputes freeze, and a person's word on the status replaces a dispute's.
    private static let gateFunctions = """
        CREATE FUNCTION set_account_gate(p_account bigint, p_floor bigint, p_status text)
        RETURNS TABLE (o_gate_version bigint, o_floor bigint, o_blocked boolean, o_status text)
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        BEGIN
            UPDATE credit_balance b
            SET floor_millicredits = coalesce(p_floor + b.frozen_millicredits, b.floor_millicredits),
                blocked = CASE WHEN p_status IS NULL THEN b.blocked ELSE p_status <> 'active' END,
                gate_version = b.gate_version + 1, updated_at = clock_timestamp()
            WHERE b.account_id = p_account;
            IF NOT FOUND THEN RAISE EXCEPTION 'no such account' USING ERRCODE = 'TG404'; END IF;
            UPDATE account a SET status = p_status, suspended_by_dispute = false
                WHERE a.account_id = p_account AND (a.status <> p_status
                    OR (p_status IS NOT NULL AND a.suspended_by_dispute));
            PERFORM pg_notify('account_changed', p_account::text);
            RETURN QUERY SELECT b.gate_version, b.floor_millicredits, b.blocked, a.status
                FROM credit_balance b JOIN account a USING (account_id) WHERE b.account_id = p_account;
        END $$;

        CREATE FUNCTION set_dispute_gate(p_account bigint) RETURNS void
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_frozen bigint;
            v_disputed boolean;
        BEGIN
            PERFORM 1 FROM credit_balance b WHERE b.account_id = p_account FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'no such account' USING ERRCODE = 'TG404'; END IF;
            SELECT coalesce(sum(s.frozen), 0), coalesce(bool_or(s.is_disputed), false)
                INTO STRICT v_frozen, v_disputed
                FROM payment_state s WHERE s.account_id = p_account AND (s.frozen > 0 OR s.is_disputed);
            UPDATE account a
                SET status = CASE WHEN v_disputed THEN 'suspended' ELSE 'active' END,
                    suspended_by_dispute = v_disputed
                WHERE a.account_id = p_account
                  AND CASE WHEN v_disputed THEN a.status = 'active' ELSE a.suspended_by_dispute END;
            UPDATE credit_balance b
            SET floor_millicredits = b.floor_millicredits - b.frozen_millicredits + v_frozen,
                frozen_millicredits = v_frozen,
                blocked = (SELECT a.status <> 'active' FROM account a WHERE a.account_id = p_account),
                gate_version = b.gate_version + 1, updated_at = clock_timestamp()
            WHERE b.account_id = p_account;
            PERFORM pg_notify('account_changed', p_account::text);
        END $$;
        """

    /// One line of a purchase: its grant, with a lot, or a reversal of it, with the totals of the lot. It is called with
    /// the payment locked, and a key is used once: a repetition is an error of ours and posts nothing.
    private static let lineFunction = """
        CREATE FUNCTION post_purchase_line(
            p_txn uuid, p_purchase uuid, p_account bigint, p_amount bigint, p_type text, p_source_ref text,
            p_reason text, p_paid_cents bigint, p_lot text, p_clawed bigint, p_reversed_cents bigint)
        RETURNS void LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_user_id text;
            v_balance bigint;
            v_version bigint;
        BEGIN
            UPDATE credit_balance b
            SET balance_millicredits = b.balance_millicredits + p_amount, version = b.version + 1,
                updated_at = clock_timestamp()
            WHERE b.account_id = p_account
            RETURNING b.user_id, b.balance_millicredits, b.version INTO STRICT v_user_id, v_balance, v_version;
            INSERT INTO ledger_transaction (id, kind, source_ref, reason, paid_cents) VALUES
                (p_txn, CASE WHEN p_lot IS NULL THEN 'grant' ELSE 'reversal' END, p_source_ref, p_reason,
                 p_paid_cents);
            INSERT INTO credit_ledger (account_id, version, transaction_id, user_id, type, amount_millicredits,
                                       balance_after_millicredits, reference_type, reference_id)
                VALUES (p_account, v_version, p_txn, v_user_id, p_type, p_amount, v_balance, 'purchase',
                        p_purchase::text);
            INSERT INTO contra_line (transaction_id, type, amount_millicredits)
                VALUES (p_txn, p_type, -p_amount);
            IF p_lot IS NULL THEN
                INSERT INTO credit_lot (source_ref, account_id, kind, credits, paid_cents)
                    VALUES (p_source_ref, p_account, p_type, p_amount, p_paid_cents);
            ELSE
                INSERT INTO lot_reversal (transaction_id, lot, cause, clawed, reversed_cents)
                    VALUES (p_txn, p_lot, CASE p_type WHEN 'refund' THEN 'refund' ELSE 'dispute' END,
                            p_clawed, p_reversed_cents);
            END IF;
            PERFORM pg_notify('account_changed', p_account::text);
        END $$;
        """
}
