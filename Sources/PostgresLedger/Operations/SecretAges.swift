import Billing
import Metering

/// How long the ledger has known the secrets of its deployment.
public struct SecretAges: Sendable {
    /// One value of one setting.
    public struct Secret: Sendable, Hashable {
        public var name: String
        public var fingerprint: KeyDigest

        public init(name: String, fingerprint: KeyDigest) {
            self.name = name
            self.fingerprint = fingerprint
        }
    }

    private let pool: PostgresPool

    public init(pool: PostgresPool) { self.pool = pool }

    /// What fingerprints of this ledger are made with: those of another one cannot be compared with them.
    public func hasher() async throws -> KeyHasher {
        let id = try await self.pool.run { try LedgerRow.id(on: $0) }
        return KeyHasher(peppers: [Array("tollgate secret age of ledger \(id)".utf8)])
    }

    /// Notes secrets that were not seen before. Noting one again changes nothing.
    /// - Returns: whole days since each was first seen, in the order of `secrets`.
    public func note(_ secrets: [Secret]) async throws -> [Int64] {
        try await self.pool.run { connection in
            try secrets.map { secret in
                _ = try connection.run(
                    "INSERT INTO secret_age (name, fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                    [.text(secret.name), .bytes(secret.fingerprint.bytes)])
                return try connection.run(
                    """
                    SELECT floor(extract(epoch FROM clock_timestamp() - first_seen) / 86400)::bigint
                    FROM secret_age WHERE name = $1 AND fingerprint = $2
                    """, [.text(secret.name), .bytes(secret.fingerprint.bytes)]
                ).one().int(0)
            }
        }
    }
}
