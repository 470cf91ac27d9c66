extension Migration {
    /// When each secret of the deployment was first seen, so that somebody can be told how old it is.
    static let secretAges = Migration(
        version: 26, name: "secret ages",
        sql: """
            CREATE TABLE secret_age (
                name        text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 64),
                fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
                first_seen  timestamptz NOT NULL DEFAULT clock_timestamp(),
                PRIMARY KEY (name, fingerprint)
            );
            CREATE TRIGGER secret_age_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON secret_age
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
            \(Comments.secretAges)
            """)
}

extension Comments {
    static let secretAges = statements(
        """
        secret_age: When `tollgate preflight` first saw each secret; append-only.
        secret_age.name: The setting, such as KEY_PEPPER.
        secret_age.fingerprint: HMAC-SHA-256 of the secret under the ledger's id; never the secret.
        secret_age.first_seen: When it was first seen; the age of the secret is counted from here.
        """)
}
