extension Migration {
    /// Runs under `Idempotency-Key`s, and the replies that their retries get.
    static let idempotentReplies = Migration(
        version: 11, name: "idempotent replies",
        sql: """
            -- No reference to account: a claim must not touch a row that settlements lock.
            CREATE TABLE idempotent_replies (
                account_id  bigint NOT NULL,
                key_digest  bytea NOT NULL CHECK (octet_length(key_digest) = 32),
                fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
                hold_id     uuid NOT NULL,
                state       text NOT NULL CHECK (state IN ('running', 'finished', 'unkept')),
                lease_until timestamptz NOT NULL,
                expires_at  timestamptz NOT NULL,
                reply       bytea,
                reply_bytes bigint NOT NULL DEFAULT 0,
                PRIMARY KEY (account_id, key_digest),
                CHECK ((state = 'finished') = (reply IS NOT NULL)),
                CHECK (reply_bytes = coalesce(octet_length(reply), 0))
            );
            -- Ciphertext does not get smaller.
            ALTER TABLE idempotent_replies ALTER COLUMN reply SET STORAGE EXTERNAL;
            CREATE INDEX idempotent_replies_expired ON idempotent_replies (expires_at);
            CREATE INDEX idempotent_replies_kept ON idempotent_replies (account_id, expires_at, key_digest)
                INCLUDE (reply_bytes) WHERE state = 'finished';

            \(claim)

            \(keep)

            \(comments)
            """)

    /// A name under each pepper that is valid, the newest first: an instance that does not know the newest yet finds
    /// the claim under the one before.
    private static let claim = """
        CREATE FUNCTION claim_idempotency_key(p_account bigint, p_digests bytea[], p_fingerprints bytea[],
            p_hold uuid, p_lease_milliseconds bigint,
            OUT o_answer text, OUT o_place integer, OUT o_hold uuid, OUT o_reply bytea)
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE v_row idempotent_replies;
        BEGIN
            -- Who has other peppers locks other names, but all of us in one order.
            PERFORM pg_advisory_xact_lock(name) FROM (
                SELECT DISTINCT hashtextextended(p_account || ' ' || encode(digest, 'hex'), 11) AS name
                FROM unnest(p_digests) digest ORDER BY 1) names;
            SELECT * INTO v_row FROM idempotent_replies
            WHERE account_id = p_account AND key_digest = ANY (p_digests) AND expires_at > clock_timestamp()
            ORDER BY array_position(p_digests, key_digest) LIMIT 1 FOR UPDATE;
            IF FOUND THEN
                o_place := array_position(p_digests, v_row.key_digest);
                o_hold := v_row.hold_id;
                IF v_row.fingerprint <> p_fingerprints[o_place] THEN
                    o_answer := 'other';
                    RETURN;
                END IF;
                -- Its owner died between the charge of a whole reply and the keeping of it: nobody pays twice.
                IF v_row.state = 'running' AND v_row.lease_until <= clock_timestamp() AND EXISTS (
                    SELECT 1 FROM usage_effective WHERE account_id = p_account AND hold_id = v_row.hold_id
                        AND kind = 'final' AND NOT estimated)
                THEN
                    UPDATE idempotent_replies SET state = 'unkept'
                    WHERE account_id = p_account AND key_digest = ANY (p_digests) AND hold_id = v_row.hold_id;
                    v_row.state := 'unkept';
                END IF;
                IF v_row.state <> 'running' OR v_row.lease_until > clock_timestamp() THEN
                    o_answer := v_row.state;
                    o_reply := v_row.reply;
                    RETURN;
                END IF;
            END IF;
            INSERT INTO idempotent_replies AS kept
                (account_id, key_digest, fingerprint, hold_id, state, lease_until, expires_at)
            SELECT p_account, digest, fingerprint, p_hold, 'running',
                clock_timestamp() + p_lease_milliseconds * interval '1 millisecond',
                clock_timestamp() + interval '24 hours'
            FROM unnest(p_digests, p_fingerprints) names(digest, fingerprint)
            ON CONFLICT (account_id, key_digest) DO UPDATE SET
                fingerprint = excluded.fingerprint, hold_id = excluded.hold_id, state = 'running',
                lease_until = excluded.lease_until, expires_at = excluded.expires_at, reply = NULL,
                reply_bytes = 0;
            o_answer := 'claimed';
            o_hold := p_hold;
        END $$;
        """

    /// The account's oldest replies go when the new one makes them too many. Each counts as a KiB at least, so that
    /// few rows are looked at.
    private static let keep = """
        CREATE FUNCTION keep_idempotent_reply(p_account bigint, p_digest bytea, p_hold uuid, p_reply bytea,
            p_account_bytes_max bigint)
        RETURNS void LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('idempotent replies of ' || p_account, 11));
            UPDATE idempotent_replies SET state = 'finished', reply = p_reply,
                reply_bytes = octet_length(p_reply), expires_at = clock_timestamp() + interval '24 hours'
            WHERE account_id = p_account AND key_digest = p_digest AND hold_id = p_hold AND state = 'running';
            IF NOT FOUND THEN RETURN; END IF;
            UPDATE idempotent_replies old SET state = 'unkept', reply = NULL, reply_bytes = 0
            FROM (
                SELECT key_digest, sum(greatest(reply_bytes, 1024))
                    OVER (ORDER BY expires_at DESC, key_digest) AS bytes
                FROM idempotent_replies WHERE account_id = p_account AND state = 'finished') kept
            WHERE old.account_id = p_account AND old.key_digest = kept.key_digest
              AND kept.bytes > p_account_bytes_max;
        END $$;
        """

    private static let comments =
        Comments.statements(
            """
            idempotent_replies: Runs under an Idempotency-Key, and what their retries get for 24 hours. Under each \
            valid KEY_PEPPER there is a row.
            idempotent_replies.account_id: The account that uses the key.
            idempotent_replies.key_digest: HMAC-SHA-256 of account and key under a KEY_PEPPER; the key itself is \
            stored nowhere.
            idempotent_replies.fingerprint: HMAC-SHA-256 of method, path and body, under a key made of pepper, account \
            and Idempotency-Key.
            idempotent_replies.hold_id: The exchange that runs or ran under the key.
            idempotent_replies.state: running; finished (reply is there); unkept (it was charged, and its reply is not \
            kept).
            idempotent_replies.lease_until: A running exchange whose instance did not renew this is taken over by the \
            next retry.
            idempotent_replies.expires_at: The row means nothing from then on, and is deleted.
            idempotent_replies.reply: AES-256-GCM: nonce, ciphertext, tag. The key is made of pepper, account and \
            Idempotency-Key.
            idempotent_replies.reply_bytes: Length of reply.
            """)
            + """

            COMMENT ON FUNCTION claim_idempotency_key IS
                'claimed: the key is the caller''s; or the state of the run that has it; or other: it was used with another request.';
            COMMENT ON FUNCTION keep_idempotent_reply IS
                'Keeps the reply of a run that was not taken over, and lets the oldest ones of the account go.';
            """
}
