import Billing

/// What `SESSION_SECRET` seals.
extension PostgresLedger {
    public func sealedSecrets() async throws -> [SealedSecret] {
        try await self.pool.run { connection in
            try connection.run(
                "SELECT staff_id, totp_sealed FROM admin_user WHERE totp_sealed IS NOT NULL ORDER BY staff_id"
            ).rows.map { SealedSecret(staffID: try $0.int(0), sealed: try $0.bytes(1)) }
        }
    }

    public func reseal(_ secret: ResealedSecret) async throws -> Bool {
        try await self.pool.run { connection in
            try connection.run(
                "UPDATE admin_user SET totp_sealed = $3::bytea WHERE staff_id = $1 AND totp_sealed = $2::bytea",
                [.int(secret.staffID), .bytes(secret.old), .bytes(secret.new)]
            ).affected == 1
        }
    }
}
