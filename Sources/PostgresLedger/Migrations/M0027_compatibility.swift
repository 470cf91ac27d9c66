extension Migration {
    /// Says which releases may run beside it, so that the release before starts again on a schema that is newer than it
    /// knows; and a whole reply that was waived is as final as one that was charged.
    static let compatibility = Migration(
        version: 27, name: "compatibility",
        sql: """
            -- A migration that instances of a release cannot run beside raises it to its own number.
            ALTER TABLE schema_guard ADD COLUMN oldest_program bigint NOT NULL DEFAULT 27;

            \(claim)
            \(Comments.compatibility)
            """)

    /// As it was, but for the kinds that are final.
    private static let claim = """
        CREATE OR REPLACE FUNCTION claim_idempotency_key(p_account bigint, p_digests bytea[], p_fingerprints bytea[],
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
                        AND kind IN ('final', 'waived') AND NOT estimated)
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
}

extension Comments {
    static let compatibility = statements(
        """
        schema_guard.oldest_program: Newest migration that a program must know to run on this schema.
        """)
}
