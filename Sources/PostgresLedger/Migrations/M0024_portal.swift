extension Migration {
    /// Links to the credits page and the browser sessions that come of them; secrets only as keyed digests.
    static let portal = Migration(
        version: 24, name: "portal",
        sql: """
            CREATE TABLE portal_link (
                digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
                account_id bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                return_url text CHECK (octet_length(return_url) BETWEEN 1 AND 2048),
                created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                expires_at timestamptz NOT NULL,
                used_at    timestamptz
            );
            CREATE INDEX portal_link_expires ON portal_link (expires_at);

            CREATE TABLE portal_session (
                digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
                account_id bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                origin     text NOT NULL CHECK (origin IN ('link', 'jwt')),
                return_url text CHECK (octet_length(return_url) BETWEEN 1 AND 2048),
                created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                expires_at timestamptz NOT NULL
            );
            CREATE INDEX portal_session_expires ON portal_session (expires_at);

            \(Comments.portal)
            """)
}

extension Comments {
    static let portal = statements(
        """
        portal_link: Links that open the credits page once; deleted a day after they expired.
        portal_link.digest: HMAC-SHA-256 of the link's secret, by SESSION_SECRET; the secret is not stored.
        portal_link.account_id: Whose page it opens.
        portal_link.return_url: Where the page leads back to; NULL: nowhere.
        portal_link.created_at: When it was asked for.
        portal_link.expires_at: From then on it opens nothing.
        portal_link.used_at: When it was used; NULL: it was not.
        portal_session: Browsers that see the credits page; deleted a day after they expired.
        portal_session.digest: HMAC-SHA-256 of the cookie's secret, by SESSION_SECRET; the secret is not stored.
        portal_session.account_id: Whose page it is.
        portal_session.origin: link: a link was opened; jwt: the app signed a token.
        portal_session.return_url: Where the page leads back to; NULL: nowhere.
        portal_session.created_at: When it was opened.
        portal_session.expires_at: From then on it is none.
        """)
}
