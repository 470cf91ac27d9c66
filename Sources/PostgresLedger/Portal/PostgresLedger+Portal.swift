import Billing
import Metering

extension PostgresLedger: PortalSessionStore {
    public func keepLink(
        _ digest: KeyDigest, to account: AccountID, returnURL: String?, lifetimeSeconds: Int64,
        note: ChangeNote?
    ) async throws -> Int64 {
        try await self.pool.run { connection in
            try connection.transaction { connection in
                let row = try connection.run(
                    """
                    INSERT INTO portal_link (digest, account_id, return_url, expires_at)
                    VALUES ($1, $2, $3, clock_timestamp() + $4::bigint * interval '1 second')
                    RETURNING (extract(epoch FROM expires_at) * 1000)::bigint,
                              (SELECT user_id FROM account a WHERE a.account_id = portal_link.account_id)
                    """, [.bytes(digest.bytes), .int(account), .text(returnURL), .int(lifetimeSeconds)]
                ).one()
                let expiresAt = try row.int(0)
                if let note {
                    try connection.audit(
                        note, "portal.link", "account:\(try row.text(1))", before: nil,
                        after: #"{"expiresAtMs": "\#(expiresAt)"}"#)
                }
                return expiresAt
            }
        }
    }

    public func linkOwner(_ digests: [KeyDigest]) async throws -> LinkOwner? {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT account_id, a.user_id FROM portal_link JOIN account a USING (account_id)
                WHERE digest = ANY ($1::bytea[]) AND used_at IS NULL AND expires_at > clock_timestamp()
                """, [.array(Self.array(digests))]
            ).first.map { LinkOwner(account: try $0.int(0), userID: try $0.text(1)) }
        }
    }

    /// One statement: whoever marks the row has the session, and nobody can have a mark without one.
    public func redeemLink(
        _ digests: [KeyDigest], opening session: KeyDigest, lifetimeSeconds: Int64
    ) async throws -> PortalSession? {
        try await self.pool.run { connection in
            try connection.run(
                """
                WITH link AS (
                    UPDATE portal_link SET used_at = clock_timestamp()
                    WHERE digest = ANY ($1::bytea[]) AND used_at IS NULL AND expires_at > clock_timestamp()
                    RETURNING account_id, return_url)
                INSERT INTO portal_session (digest, account_id, origin, return_url, expires_at)
                SELECT $2, account_id, 'link', return_url, clock_timestamp() + $3::bigint * interval '1 second'
                FROM link RETURNING \(Self.sessionColumns)
                """, [.array(Self.array(digests)), .bytes(session.bytes), .int(lifetimeSeconds)]
            ).first.map(Self.session)
        }
    }

    public func openSession(
        _ session: KeyDigest, of account: AccountID, origin: PortalSession.Origin, lifetimeSeconds: Int64
    ) async throws -> PortalSession {
        try await self.pool.run { connection in
            try Self.session(
                connection.run(
                    """
                    INSERT INTO portal_session (digest, account_id, origin, expires_at)
                    VALUES ($1, $2, $3, clock_timestamp() + $4::bigint * interval '1 second')
                    RETURNING \(Self.sessionColumns)
                    """,
                    [.bytes(session.bytes), .int(account), .text(origin.rawValue), .int(lifetimeSeconds)]
                ).one())
        }
    }

    public func portalSession(_ digests: [KeyDigest]) async throws -> PortalSession? {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT \(Self.sessionColumns) FROM portal_session
                WHERE digest = ANY ($1::bytea[]) AND expires_at > clock_timestamp()
                """, [.array(Self.array(digests))]
            ).first.map(Self.session)
        }
    }

    public func endPortalSession(_ digests: [KeyDigest]) async throws {
        _ = try await self.pool.run { connection in
            try connection.run(
                "DELETE FROM portal_session WHERE digest = ANY ($1::bytea[])",
                [.array(Self.array(digests))]
            ).affected
        }
    }

    /// A day later: a link that does not work may have to be explained.
    public func forgetExpired() async throws {
        _ = try await self.pool.run { connection in
            for table in ["portal_link", "portal_session"] {
                try connection.run(
                    "DELETE FROM \(table) WHERE expires_at < clock_timestamp() - interval '1 day'")
            }
        }
    }

    private static let sessionColumns =
        "account_id, (extract(epoch FROM expires_at) * 1000)::bigint, return_url"

    private static func session(_ row: PostgresRow) throws -> PortalSession {
        try PortalSession(account: row.int(0), expiresAt: row.int(1), returnURL: row.optionalText(2))
    }

    private static func array(_ digests: [KeyDigest]) -> PostgresArray {
        var array = PostgresArray()
        for digest in digests { array.append(#"\x"# + Hexadecimal.text(digest.bytes)) }
        return array
    }
}
