extension Migration {
    /// `settle_in_parts` of version 6, which passes parts of usage on.
    static let settleInPartsWithParts = """
        -- Settles what the ledger accepts of a batch, and puts every row that it refuses into quarantine. A refused
        -- part is halved until single rows are left; each attempt is a subtransaction, so a refused one leaves
        -- nothing. Only what the rows themselves cause is caught (classes 22 and 23): anything else ends the
        -- statement, and none of it happened.
        CREATE FUNCTION settle_in_parts(
            \(parameters), p_payload text[], p_parts jsonb[] DEFAULT NULL)
        RETURNS TABLE (o_account bigint, o_balance bigint, o_version bigint, o_generation bigint,
            o_conflicts bigint, o_refused bigint[])
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            -- Parts that were not tried yet; the last one is next, and the lower half of a part comes first.
            v_lower int[] := ARRAY[1];
            v_upper int[] := ARRAY[cardinality(p_hold)];
            v_left int := 1;
            lo int;
            hi int;
            v_middle int;
            v_more bigint;
            v_conflicts bigint := 0;
            v_refused bigint[] := '{}';
        BEGIN
            -- All of them, sorted, before the first part: parts must not lock in an order of their own.
            PERFORM 1 FROM credit_balance b WHERE b.account_id = ANY (p_account)
                ORDER BY b.account_id FOR NO KEY UPDATE;

            WHILE v_left > 0 LOOP
                lo := v_lower[v_left];
                hi := v_upper[v_left];
                v_left := v_left - 1;
                BEGIN
                    SELECT max(s.o_conflicts) INTO v_more
                    FROM settle(gen_random_uuid(), gen_random_uuid(), \(slices), p_parts[lo:hi]) s;
                    v_conflicts := v_conflicts + coalesce(v_more, 0);
                EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
                    IF lo = hi THEN
                        INSERT INTO settlement_quarantine (account_id, hold_id, digest, sql_state, payload)
                        VALUES (p_account[lo], p_hold[lo], p_digest[lo], SQLSTATE, p_payload[lo])
                        ON CONFLICT DO NOTHING;
                        v_refused := v_refused || lo::bigint;
                    ELSE
                        v_middle := lo + (hi - lo + 1) / 2;
                        v_lower[v_left + 1] := v_middle;
                        v_upper[v_left + 1] := hi;
                        v_lower[v_left + 2] := lo;
                        v_upper[v_left + 2] := v_middle - 1;
                        v_left := v_left + 2;
                    END IF;
                END;
            END LOOP;

            -- A row also when none of the accounts is known: it names what was refused.
            RETURN QUERY SELECT b.account_id, b.balance_millicredits, b.version, ledger_generation(),
                    v_conflicts, v_refused
                FROM (SELECT 1) one LEFT JOIN credit_balance b ON b.account_id = ANY (p_account);
        END $$;
        COMMENT ON FUNCTION settle_in_parts IS
            'Settles a batch without the rows that the ledger refuses, which go to quarantine and are named by \
        their place in the batch, from 1.';
        """

    private static let arrays = [
        ("account", "bigint"), ("hold", "uuid"), ("kind", "text"), ("authority", "smallint"),
        ("model", "text"), ("served", "text"), ("endpoint", "text"), ("tier", "text"), ("input", "bigint"),
        ("cached", "bigint"), ("written", "bigint"), ("output", "bigint"), ("reasoning", "bigint"),
        ("price", "text"), ("charged", "bigint"), ("shadow", "bigint"), ("cost", "bigint"),
        ("request", "text"), ("reason", "text"), ("digest", "bigint"), ("boot", "uuid"),
        ("occurred", "bigint"),
    ]

    private static let parameters = arrays.map { "p_\($0.0) \($0.1)[]" }.joined(separator: ", ")

    private static let slices = arrays.map { "p_\($0.0)[lo:hi]" }.joined(separator: ", ")
}
