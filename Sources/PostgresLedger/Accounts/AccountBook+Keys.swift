import Billing
import Metering

extension AccountBook {
    /// A key as lists show it.
    public struct Key: Sendable, Hashable {
        public var keyID: Int64
        public var holder: KeyRecord.Holder
        public var label: String
        public var prefix: String
        /// Milliseconds since 1970.
        public var createdAt: Int64
        public var revokedAt: Int64?
        public var limits: RequestLimitOverrides
    }

    /// A new key of a user, whose account is created when needed. The secret is in the answer and nowhere
    /// else.
    ///
    /// - Parameter note: of a person's change; nil: a set-up's.
    public func createKey(
        userID: String, note: ChangeNote? = nil
    ) async throws -> (keyID: Int64, secret: KeySecret) {
        let account = try await self.findOrCreate(userID: userID).account
        return try await self.insert(account: account, label: userID, note)
    }

    /// A new service key, which bills whichever user a request names.
    public func createServiceKey(
        label: String, note: ChangeNote? = nil
    ) async throws -> (keyID: Int64, secret: KeySecret) {
        guard UserID.isValid(label) else { throw Failure.invalidLabel }
        return try await self.insert(account: nil, label: label, note)
    }

    private func insert(
        account: AccountID?, label: String, _ note: ChangeNote?
    ) async throws -> (keyID: Int64, secret: KeySecret) {
        let secret = KeySecret()
        let digest = Array(secret.text.utf8).withUnsafeBytes { self.hasher.digest($0) }
        let keyID = try await self.change { connection in
            let keyID = try connection.run(
                """
                INSERT INTO api_key (account_id, label, prefix, digest)
                VALUES ($1, $2, $3, $4::bytea) RETURNING key_id
                """,
                [.int(account), .text(label), .text(secret.prefix), .bytes(digest.bytes)]
            ).one().int(0)
            guard let note else { return keyID }
            try connection.audit(
                note, "key.create", "key:\(keyID)", before: nil,
                after: AuditJSON.object([
                    ("holder", AuditJSON.text(account == nil ? "service" : "account")),
                    ("label", AuditJSON.text(label)), ("prefix", AuditJSON.text(secret.prefix)),
                ]))
            return keyID
        }
        return (keyID, secret)
    }

    /// Registers a key whose secret exists already (a development set-up started again); repeating it is
    /// harmless.
    public func ensureKey(secret: String, userID: String?, label: String) async throws {
        let account: AccountID?
        if let userID { account = try await self.findOrCreate(userID: userID).account } else { account = nil }
        let digest = Array(secret.utf8).withUnsafeBytes { self.hasher.digest($0) }
        _ = try await self.pool.run { connection in
            try connection.run(
                """
                INSERT INTO api_key (account_id, label, prefix, digest) VALUES ($1, $2, $3, $4::bytea)
                ON CONFLICT (digest) DO NOTHING
                """, [.int(account), .text(label), .text(String(secret.prefix(9))), .bytes(digest.bytes)]
            ).affected
        }
    }

    /// All keys, or those of one user, newest first; at most `limit`.
    public func keys(userID: String? = nil, limit: Int = 1000) async throws -> [Key] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT k.key_id, k.account_id, k.label, k.prefix, (extract(epoch FROM k.created_at) *
                    1000)::bigint,
                       (extract(epoch FROM k.revoked_at) * 1000)::bigint,
                       k.requests_per_minute, k.tokens_per_minute, k.streams_max
                FROM api_key k LEFT JOIN account a USING (account_id)
                WHERE $1::text IS NULL OR a.user_id = $1 ORDER BY k.key_id DESC LIMIT $2
                """, [.text(userID), .int(Int64(limit))]
            ).rows.map { row in
                try Key(
                    keyID: row.int(0), holder: row.optionalInt(1).map { .account($0) } ?? .service,
                    label: row.text(2),
                    prefix: row.text(3), createdAt: row.int(4), revokedAt: row.optionalInt(5),
                    limits: RequestLimitOverrides(row, at: 6))
            }
        }
    }

    /// Revokes a key for good; every instance refuses it within a second. Repeating it is harmless.
    ///
    /// - Parameter note: of a person's change; nil: a set-up's.
    public func revokeKey(_ keyID: Int64, note: ChangeNote? = nil) async throws {
        try await self.change { connection in
            let row = try connection.run(
                "SELECT revoked_at IS NOT NULL, label FROM api_key WHERE key_id = $1 FOR NO KEY UPDATE",
                [.int(keyID)]
            ).first
            guard let row else { throw Failure.noSuchKey }
            let (isRevoked, label) = (try row.bool(0), try row.text(1))
            guard !isRevoked else { return }
            try connection.run("UPDATE api_key SET revoked_at = now() WHERE key_id = $1", [.int(keyID)])
            guard let note else { return }
            func state(_ text: String) -> String {
                AuditJSON.object([("label", AuditJSON.text(label)), ("state", AuditJSON.text(text))])
            }
            try connection.audit(
                note, "key.revoke", "key:\(keyID)", before: state("active"), after: state("revoked"))
        }
    }
}
