extension Migration {
    /// Controls that were changed at run time. A row stays when its value is taken back, so that its version only rises.
    static let featureFlags = Migration(
        version: 22, name: "feature flags",
        sql: """
            CREATE TABLE feature_flag (
                name       text PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 64),
                value      text CHECK (octet_length(value) <= 65536),
                reason     text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 1000),
                actor      text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 256),
                changed_at timestamptz NOT NULL,
                version    bigint NOT NULL CHECK (version > 0)
            );

            \(change)
            \(Comments.featureFlags)
            """)

    /// A change that changes nothing (a repeated one whose answer was lost) writes nothing. TG412: the version is
    /// another one than was expected.
    private static let change = """
        CREATE FUNCTION change_flag(
            p_name text, p_value text, p_expected bigint, p_environment text, p_actor text, p_reason text,
            p_request text DEFAULT NULL)
        RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            v_flag feature_flag;
        BEGIN
            -- A row that is not there yet cannot be locked; readers do not wait for this.
            LOCK TABLE feature_flag IN SHARE ROW EXCLUSIVE MODE;
            SELECT * INTO v_flag FROM feature_flag f WHERE f.name = p_name;
            IF v_flag.value IS NOT DISTINCT FROM p_value THEN RETURN false; END IF;
            IF p_expected IS NOT NULL AND p_expected <> coalesce(v_flag.version, 0) THEN
                RAISE EXCEPTION 'flag has version %', coalesce(v_flag.version, 0) USING ERRCODE = 'TG412';
            END IF;
            INSERT INTO feature_flag AS f (name, value, reason, actor, changed_at, version)
                VALUES (p_name, p_value, p_reason, p_actor, clock_timestamp(), 1)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value, reason = excluded.reason,
                    actor = excluded.actor, changed_at = excluded.changed_at, version = f.version + 1;
            PERFORM pg_notify('flags_changed', p_name);
            PERFORM audit(p_actor, CASE WHEN p_value IS NULL THEN 'flag.clear' ELSE 'flag.set' END,
                'flag:' || p_name, flag_state(v_flag.value, p_environment), flag_state(p_value, p_environment),
                p_reason, p_request);
            RETURN true;
        END $$;

        CREATE FUNCTION flag_state(p_value text, p_environment text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
            SELECT jsonb_build_object('value', coalesce(p_value, p_environment),
                'source', CASE WHEN p_value IS NULL THEN 'environment' ELSE 'flag' END);
        $$;
        """
}

extension Comments {
    static let featureFlags = statements(
        """
        feature_flag: Controls that were changed at run time; a value here overrides the environment's.
        feature_flag.name: Name of the environment variable that gives the start value.
        feature_flag.value: What is in force; null: it was taken back, and the environment's value is.
        feature_flag.reason: Why it was changed last, for people.
        feature_flag.actor: Who changed it last: staff:NAME, admin-token, or cli:USER of the operating system.
        feature_flag.changed_at: When it was changed last.
        feature_flag.version: Counts the changes.
        """)
}
