extension Migration {
    /// Who pays, with which key, and the double-entry ledger of credits.
    static let accountsAndLedger = Migration(
        version: 1, name: "accounts and ledger",
        sql: """
            CREATE TABLE account (
                account_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                user_id     text NOT NULL UNIQUE CHECK (octet_length(user_id) BETWEEN 1 AND 256),
                status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended',
                    'closed')),
                row_version bigint NOT NULL DEFAULT 1,
                changed_by  xid8 NOT NULL DEFAULT pg_current_xact_id(),
                created_at  timestamptz NOT NULL DEFAULT now(),
                updated_at  timestamptz NOT NULL DEFAULT now()
            );
            CREATE INDEX account_changed_by ON account (changed_by);

            CREATE TABLE api_key (
                key_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                account_id  bigint REFERENCES account ON DELETE RESTRICT,
                label       text NOT NULL CHECK (octet_length(label) <= 256),
                prefix      text NOT NULL,
                digest      bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
                revoked_at  timestamptz,
                row_version bigint NOT NULL DEFAULT 1,
                changed_by  xid8 NOT NULL DEFAULT pg_current_xact_id(),
                created_at  timestamptz NOT NULL DEFAULT now(),
                updated_at  timestamptz NOT NULL DEFAULT now()
            );
            CREATE INDEX api_key_changed_by ON api_key (changed_by);
            CREATE INDEX api_key_account ON api_key (account_id);

            CREATE FUNCTION stamp_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                NEW.row_version := OLD.row_version + 1;
                NEW.changed_by := pg_current_xact_id();
                NEW.updated_at := now();
                RETURN NEW;
            END $$;
            CREATE TRIGGER account_stamp BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION
                stamp_change();
            CREATE TRIGGER api_key_stamp BEFORE UPDATE ON api_key FOR EACH ROW EXECUTE FUNCTION
                stamp_change();

            CREATE FUNCTION announce_directory_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_notify('directory_changed', '');
                RETURN NULL;
            END $$;
            CREATE TRIGGER account_announce AFTER UPDATE ON account
                FOR EACH STATEMENT EXECUTE FUNCTION announce_directory_change();
            CREATE TRIGGER api_key_announce AFTER INSERT OR UPDATE ON api_key
                FOR EACH STATEMENT EXECUTE FUNCTION announce_directory_change();

            CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'TG001';
            END $$;
            CREATE TRIGGER account_never_deleted BEFORE DELETE OR TRUNCATE ON account
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE FUNCTION refuse_renaming() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'a user_id is never changed' USING ERRCODE = 'TG001';
            END $$;
            CREATE TRIGGER account_keeps_user_id BEFORE UPDATE OF user_id ON account FOR EACH ROW
                WHEN (NEW.user_id IS DISTINCT FROM OLD.user_id) EXECUTE FUNCTION refuse_renaming();

            CREATE TABLE credit_balance (
                account_id           bigint PRIMARY KEY REFERENCES account ON DELETE RESTRICT,
                user_id              text NOT NULL UNIQUE,
                balance_millicredits bigint NOT NULL DEFAULT 0
                    CHECK (balance_millicredits BETWEEN -9000000000000000 AND 9000000000000000),
                version              bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
                floor_millicredits   bigint NOT NULL DEFAULT 0
                    CHECK (floor_millicredits BETWEEN -9000000000000000 AND 9000000000000000),
                blocked              boolean NOT NULL DEFAULT false,
                gate_version         bigint NOT NULL DEFAULT 1,
                updated_at           timestamptz NOT NULL DEFAULT now()
            ) WITH (fillfactor = 70);

            CREATE TABLE ledger_meta (
                only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
                generation bigint NOT NULL CHECK (generation > 0),
                timeline   text NOT NULL
            );
            INSERT INTO ledger_meta (generation, timeline)
                VALUES (1, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8));

            CREATE FUNCTION new_ledger_generation() RETURNS bigint LANGUAGE sql AS $$
                UPDATE ledger_meta
                SET generation = greatest(generation + 1, (extract(epoch FROM clock_timestamp()) *
                    1000)::bigint),
                    timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
                RETURNING generation;
            $$;

            CREATE FUNCTION ledger_generation() RETURNS bigint LANGUAGE plpgsql AS $$
            DECLARE
                v_generation bigint;
                v_timeline text;
                v_now text := substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);
            BEGIN
                SELECT generation, timeline INTO STRICT v_generation, v_timeline FROM ledger_meta;
                IF v_timeline = v_now THEN RETURN v_generation; END IF;
                PERFORM 1 FROM ledger_meta FOR UPDATE;      -- two sessions may see the promotion at once
                SELECT generation, timeline INTO STRICT v_generation, v_timeline FROM ledger_meta;
                IF v_timeline = v_now THEN RETURN v_generation; END IF;
                RETURN new_ledger_generation();
            END $$;

            CREATE TABLE ledger_transaction (
                id         uuid PRIMARY KEY,
                kind       text NOT NULL CHECK (kind IN ('settlement', 'correction', 'grant')),
                source_ref text NOT NULL UNIQUE CHECK (octet_length(source_ref) BETWEEN 1 AND 300),
                reason     text,
                paid_cents bigint,
                created_at timestamptz NOT NULL DEFAULT now()
            );

            CREATE TABLE credit_ledger (
                account_id                 bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                version                    bigint NOT NULL,
                transaction_id             uuid NOT NULL REFERENCES ledger_transaction,
                user_id                    text NOT NULL,
                type                       text NOT NULL CHECK (type IN
                    ('purchase', 'deduction', 'refund', 'adjustment', 'promotional', 'trial')),
                amount_millicredits        bigint NOT NULL CHECK (amount_millicredits <> 0),
                balance_after_millicredits bigint NOT NULL,
                reference_type             text NOT NULL,
                reference_id               text NOT NULL,
                created_at                 timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (account_id, version)
            );
            CREATE INDEX credit_ledger_transaction ON credit_ledger (transaction_id);

            CREATE TABLE contra_line (
                transaction_id      uuid NOT NULL REFERENCES ledger_transaction,
                type                text NOT NULL,
                amount_millicredits bigint NOT NULL CHECK (amount_millicredits <> 0),
                PRIMARY KEY (transaction_id, type)
            );

            CREATE TABLE credit_lot (
                source_ref       text PRIMARY KEY REFERENCES ledger_transaction (source_ref),
                account_id       bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                kind             text NOT NULL,
                credits          bigint NOT NULL CHECK (credits > 0),
                paid_cents       bigint NOT NULL CHECK (paid_cents >= 0),
                consumed         bigint NOT NULL DEFAULT 0 CHECK (consumed BETWEEN 0 AND credits),
                recognized_cents bigint NOT NULL DEFAULT 0 CHECK (recognized_cents BETWEEN 0 AND paid_cents),
                created_at       timestamptz NOT NULL DEFAULT now()
            );
            CREATE INDEX credit_lot_account ON credit_lot (account_id);

            CREATE TRIGGER ledger_transaction_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON
                ledger_transaction
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
            CREATE TRIGGER credit_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_ledger
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
            CREATE TRIGGER contra_line_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON contra_line
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
            CREATE TRIGGER credit_lot_never_deleted BEFORE DELETE OR TRUNCATE ON credit_lot
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            \(accountFunctions)
            \(grantFunction)
            \(Comments.accountsAndLedger)
            """)

    private static let accountFunctions = """
        CREATE FUNCTION find_or_create_account(p_user_id text)
        RETURNS TABLE (o_account_id bigint, o_user_id text, o_status text, o_row_version bigint, o_created
            boolean)
        LANGUAGE plpgsql AS $$
        DECLARE v_account_id bigint;
        BEGIN
            RETURN QUERY SELECT a.account_id, a.user_id, a.status, a.row_version, false
                FROM account a WHERE a.user_id = p_user_id;
            IF FOUND THEN RETURN; END IF;
            INSERT INTO account (user_id) VALUES (p_user_id) ON CONFLICT (user_id) DO NOTHING
                RETURNING account_id INTO v_account_id;
            IF v_account_id IS NOT NULL THEN
                INSERT INTO credit_balance (account_id, user_id) VALUES (v_account_id, p_user_id);
            END IF;
            RETURN QUERY SELECT a.account_id, a.user_id, a.status, a.row_version, v_account_id IS NOT NULL
                FROM account a WHERE a.user_id = p_user_id;
        END $$;

        CREATE FUNCTION set_account_gate(p_account bigint, p_floor bigint, p_status text)
        RETURNS TABLE (o_gate_version bigint, o_floor bigint, o_blocked boolean, o_status text)
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        BEGIN
            UPDATE credit_balance b
            SET floor_millicredits = coalesce(p_floor, b.floor_millicredits),
                blocked = CASE WHEN p_status IS NULL THEN b.blocked ELSE p_status <> 'active' END,
                gate_version = b.gate_version + 1, updated_at = clock_timestamp()
            WHERE b.account_id = p_account;
            IF NOT FOUND THEN RAISE EXCEPTION 'no such account' USING ERRCODE = 'TG404'; END IF;
            UPDATE account a SET status = p_status WHERE a.account_id = p_account AND a.status <> p_status;
            PERFORM pg_notify('account_changed', p_account::text);
            RETURN QUERY SELECT b.gate_version, b.floor_millicredits, b.blocked, a.status
                FROM credit_balance b JOIN account a USING (account_id) WHERE b.account_id = p_account;
        END $$;
        """

    /// The only way in which credits come in or are taken back by a person. Repeating it with the same
    /// `source_ref` and the same content answers with the first result.
    private static let grantFunction = """
        CREATE FUNCTION grant_credits(
            p_txn uuid, p_account bigint, p_amount bigint, p_type text, p_source_ref text, p_reason text,
            p_paid_cents bigint)
        RETURNS TABLE (o_transaction uuid, o_balance bigint, o_version bigint, o_generation bigint,
                       o_repeated boolean)
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_user_id text;
            v_balance bigint;
            v_version bigint;
        BEGIN
            PERFORM 1 FROM credit_balance b WHERE b.account_id = p_account FOR NO KEY UPDATE;
            IF NOT FOUND THEN RAISE EXCEPTION 'no such account' USING ERRCODE = 'TG404'; END IF;

            INSERT INTO ledger_transaction (id, kind, source_ref, reason, paid_cents)
                VALUES (p_txn, 'grant', p_source_ref, p_reason, p_paid_cents)
                ON CONFLICT (source_ref) DO NOTHING;
            IF NOT FOUND THEN
                RETURN QUERY
                    SELECT t.id, l.balance_after_millicredits, l.version, ledger_generation(), true
                    FROM ledger_transaction t JOIN credit_ledger l ON l.transaction_id = t.id
                    WHERE t.source_ref = p_source_ref AND t.kind = 'grant'
                      AND (l.account_id, l.amount_millicredits, l.type) = (p_account, p_amount, p_type)
                      AND t.reason IS NOT DISTINCT FROM p_reason AND t.paid_cents = p_paid_cents;
                IF NOT FOUND THEN
                    RAISE EXCEPTION 'the key was used for another grant' USING ERRCODE = 'TG409';
                END IF;
                RETURN;
            END IF;

            UPDATE credit_balance b
            SET balance_millicredits = b.balance_millicredits + p_amount, version = b.version + 1,
                updated_at = clock_timestamp()
            WHERE b.account_id = p_account
            RETURNING b.user_id, b.balance_millicredits, b.version INTO STRICT v_user_id, v_balance,
                v_version;
            INSERT INTO credit_ledger (account_id, version, transaction_id, user_id, type,
                amount_millicredits,
                                       balance_after_millicredits, reference_type, reference_id)
                VALUES (p_account, v_version, p_txn, v_user_id, p_type, p_amount, v_balance, 'grant',
                    p_source_ref);
            INSERT INTO contra_line (transaction_id, type, amount_millicredits) VALUES (p_txn, p_type,
                -p_amount);
            IF p_amount > 0 THEN
                INSERT INTO credit_lot (source_ref, account_id, kind, credits, paid_cents)
                    VALUES (p_source_ref, p_account, p_type, p_amount, p_paid_cents);
            END IF;
            PERFORM pg_notify('account_changed', p_account::text);
            RETURN QUERY SELECT p_txn, v_balance, v_version, ledger_generation(), false;
        END $$;
        """
}

/// COMMENT ON statements, kept apart so that the tables read well.
enum Comments {
    /// `text` lines are `table: meaning` or `table.column: meaning`.
    static func statements(_ text: String) -> String {
        text.split(separator: "\n").map { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            let name = parts[0]
            let meaning = parts[1].drop { $0 == " " }.replacing("'", with: "''")
            return "COMMENT ON \(name.contains(".") ? "COLUMN" : "TABLE") \(name) IS '\(meaning)';"
        }.joined(separator: "\n")
    }
}
