extension Migration {
    /// People of the operator's: how they sign in, and their sessions.
    static let staff = Migration(
        version: 23, name: "staff",
        sql: """
            CREATE TABLE admin_user (
                staff_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                email            text NOT NULL UNIQUE CHECK (octet_length(email) BETWEEN 3 AND 254),
                name             text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9._-]{1,64}$'),
                role             text NOT NULL CHECK (role IN ('viewer', 'support', 'finance', 'owner')),
                state            text NOT NULL CHECK (state IN ('invited', 'active', 'disabled')),
                password_hash    text,
                totp_sealed      bytea,
                totp_step        bigint NOT NULL DEFAULT 0,
                enrolment_digest bytea UNIQUE CHECK (octet_length(enrolment_digest) = 32),
                enrolment_until  timestamptz,
                created_at       timestamptz NOT NULL DEFAULT now(),
                signed_in_at     timestamptz,
                CHECK (state <> 'active' OR (password_hash IS NOT NULL AND totp_sealed IS NOT NULL)),
                CHECK ((enrolment_digest IS NULL) = (enrolment_until IS NULL))
            );

            CREATE TABLE admin_recovery_code (
                staff_id bigint NOT NULL REFERENCES admin_user,
                digest   bytea NOT NULL CHECK (octet_length(digest) = 32),
                used_at  timestamptz,
                PRIMARY KEY (staff_id, digest)
            );

            CREATE TABLE admin_session (
                digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
                staff_id   bigint NOT NULL REFERENCES admin_user,
                created_at timestamptz NOT NULL DEFAULT now(),
                seen_at    timestamptz NOT NULL DEFAULT now(),
                expires_at timestamptz NOT NULL,
                revoked_at timestamptz
            );
            CREATE INDEX admin_session_staff ON admin_session (staff_id);

            CREATE TABLE sign_in_limit (
                bucket bytea PRIMARY KEY CHECK (octet_length(bucket) = 32),
                until  timestamptz NOT NULL
            );

            \(Comments.staff)
            """)
}

extension Comments {
    static let staff = statements(
        """
        admin_user: People of the operator's; nobody is deleted, since the audit log names them.
        admin_user.staff_id: Number of the person.
        admin_user.email: What they sign in with, in lower case.
        admin_user.name: What the audit log calls them, behind "staff:".
        admin_user.role: viewer, support, finance or owner; each may do what those before it may.
        admin_user.state: invited (no password yet), active, or disabled.
        admin_user.password_hash: scrypt with its parameters, as $scrypt$ln=17,r=8,p=1$SALT$HASH.
        admin_user.totp_sealed: Secret of the authenticator, sealed under SESSION_SECRET.
        admin_user.totp_step: Newest 30-second step whose code was accepted; it is not accepted again.
        admin_user.enrolment_digest: SHA-256 of the token of an invitation that was not used yet.
        admin_user.enrolment_until: When the invitation ends.
        admin_user.created_at: When they were invited first.
        admin_user.signed_in_at: When they signed in last.
        admin_recovery_code: Codes that stand in for a lost authenticator, each once.
        admin_recovery_code.staff_id: Whose.
        admin_recovery_code.digest: SHA-256 of the code and its owner.
        admin_recovery_code.used_at: When it was used; null for one that still can be.
        admin_session: Sessions of the admin API and its pages.
        admin_session.digest: Keyed hash of the session's token under SESSION_SECRET.
        admin_session.staff_id: Whose.
        admin_session.created_at: When they signed in.
        admin_session.seen_at: When it was last used, to the minute; it ends 30 minutes after.
        admin_session.expires_at: When it ends in any case.
        admin_session.revoked_at: When it was ended by hand.
        sign_in_limit: Attempts to sign in, as leaky buckets: what is in the future of "until" is yet to leak.
        sign_in_limit.bucket: Keyed hash of an address, of an email, or of both.
        sign_in_limit.until: When the bucket is empty again.
        """)
}
