import Billing
import Metering

/// Signing in.
extension PostgresLedger: StaffStore {
    public func admitSignIn(_ buckets: [SignInBucket]) async throws -> SignInAdmission {
        // Each in the same order, so that no two wait for each other.
        let ordered = buckets.sorted { $0.digest.bytes.lexicographicallyPrecedes($1.digest.bytes) }
        do {
            return try await self.pool.run { connection in
                try connection.retryingConcurrency {
                    try connection.transaction { connection in
                        for bucket in ordered {
                            if let seconds = try Self.add(bucket, on: connection) {
                                // What was counted in the others is taken back.
                                throw FullBucket(seconds: seconds)
                            }
                        }
                        return .admitted
                    }
                }
            }
        } catch let full as FullBucket {
            return .wait(seconds: full.seconds)
        }
    }

    private struct FullBucket: Error { var seconds: Int64 }

    /// nil: there was room for it.
    private static func add(_ bucket: SignInBucket, on connection: PostgresConnection) throws -> Int64? {
        let key = PostgresValue.bytes(bucket.digest.bytes)
        let added = try connection.run(
            """
            INSERT INTO sign_in_limit AS l (bucket, until)
                VALUES ($1::bytea, clock_timestamp() + make_interval(secs => $2::bigint))
            ON CONFLICT (bucket) DO UPDATE
                SET until = greatest(l.until, clock_timestamp()) + make_interval(secs => $2::bigint)
                WHERE l.until <= clock_timestamp() + make_interval(secs => $2::bigint * ($3::bigint - 1))
            """, [key, .int(bucket.secondsEach), .int(bucket.burst)]
        ).affected
        guard added == 0 else { return nil }
        return try connection.run(
            """
            SELECT greatest(1, ceil(extract(epoch FROM until - clock_timestamp()) - $2::bigint * ($3::bigint - 1)))::bigint
            FROM sign_in_limit WHERE bucket = $1::bytea
            """, [key, .int(bucket.secondsEach), .int(bucket.burst)]
        ).one().int(0)
    }

    public func takeBackSignIn(_ buckets: [SignInBucket]) async throws {
        try await self.pool.run { connection in
            // Each by itself, so that none waits while it holds another.
            for bucket in buckets {
                try connection.run(
                    "UPDATE sign_in_limit SET until = until - make_interval(secs => $2::bigint) WHERE bucket = $1::bytea",
                    [.bytes(bucket.digest.bytes), .int(bucket.secondsEach)])
            }
        }
    }

    public func forgetAttempts(_ bucket: SignInBucket) async throws {
        _ = try await self.pool.run { connection in
            // What leaked away tells nothing any more, whoever it was of.
            try connection.run(
                "DELETE FROM sign_in_limit WHERE bucket = $1::bytea OR until < clock_timestamp() - interval '1 hour'",
                [.bytes(bucket.digest.bytes)]
            ).affected
        }
    }

    public func proof(of email: StaffEmail) async throws -> StaffProof? {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT \(StaffRow.columns), u.password_hash, u.totp_sealed, u.totp_step
                FROM admin_user u WHERE u.email = $1 AND u.state = 'active'
                """, [.text(email.text)]
            ).first.map { row in
                let next = StaffRow.columnCount
                return StaffProof(
                    member: try StaffRow.member(row), passwordHash: try row.text(next),
                    sealedTOTP: try row.bytes(next + 1), lastStep: try row.int(next + 2))
            }
        }
    }

    public func beginSession(
        of staff: Int64, _ digest: KeyDigest, by factor: SecondFactor
    ) async throws -> StaffSession? {
        try await self.pool.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    guard try Self.use(factor, of: staff, on: connection) else { return nil }
                    let row = try connection.run(
                        """
                        UPDATE admin_user u SET signed_in_at = now()
                        WHERE u.staff_id = $1 AND u.state = 'active'
                        RETURNING \(StaffRow.columns), (extract(epoch FROM now() + interval '12 hours') * 1000)::bigint
                        """, [.int(staff)]
                    ).first
                    guard let row else { return nil }
                    try connection.run(
                        """
                        INSERT INTO admin_session (digest, staff_id, expires_at)
                        VALUES ($1::bytea, $2, now() + interval '12 hours')
                        """, [.bytes(digest.bytes), .int(staff)])
                    return StaffSession(
                        member: try StaffRow.member(row), expiresAt: try row.int(StaffRow.columnCount))
                }
            }
        }
    }

    /// false: it was used before.
    private static func use(
        _ factor: SecondFactor, of staff: Int64, on connection: PostgresConnection
    ) throws -> Bool {
        switch factor {
        case .step(let step):
            try connection.run(
                "UPDATE admin_user SET totp_step = $2 WHERE staff_id = $1 AND totp_step < $2",
                [.int(staff), .int(step)]
            ).affected == 1
        case .recovery(let digest):
            try connection.run(
                """
                UPDATE admin_recovery_code SET used_at = now()
                WHERE staff_id = $1 AND digest = $2::bytea AND used_at IS NULL
                """, [.int(staff), .bytes(digest)]
            ).affected == 1
        }
    }

    public func staffSession(_ digests: [KeyDigest]) async throws -> StaffSession? {
        let keys = PostgresArray(digests.map { "\\x" + Hexadecimal.text($0.bytes) })
        return try await self.pool.run { connection in
            let row = try connection.run(
                """
                SELECT \(StaffRow.columns), (extract(epoch FROM s.expires_at) * 1000)::bigint,
                       s.seen_at < now() - interval '1 minute'
                FROM admin_session s JOIN admin_user u USING (staff_id)
                WHERE s.digest = ANY($1::bytea[]) AND s.revoked_at IS NULL AND s.expires_at > now()
                    AND s.seen_at > now() - interval '30 minutes' AND u.state = 'active'
                """, [.array(keys)]
            ).first
            guard let row else { return nil }
            // Not with every request: the idle time is counted in minutes.
            if try row.bool(StaffRow.columnCount + 1) {
                try connection.run(
                    "UPDATE admin_session SET seen_at = now() WHERE digest = ANY($1::bytea[])", [.array(keys)]
                )
            }
            return StaffSession(
                member: try StaffRow.member(row), expiresAt: try row.int(StaffRow.columnCount))
        }
    }

    /// A day later: a session that ended may have to be explained.
    public func forgetEnded() async throws {
        _ = try await self.pool.run { connection in
            try connection.run(
                """
                DELETE FROM admin_session
                WHERE least(expires_at, seen_at + interval '30 minutes', revoked_at) < now() - interval '1 day'
                """)
            try connection.run(
                "DELETE FROM sign_in_limit WHERE until < clock_timestamp() - interval '1 hour'")
        }
    }

    public func endStaffSession(_ digests: [KeyDigest]) async throws {
        let keys = PostgresArray(digests.map { "\\x" + Hexadecimal.text($0.bytes) })
        _ = try await self.pool.run { connection in
            try connection.run(
                """
                UPDATE admin_session SET revoked_at = now()
                WHERE digest = ANY($1::bytea[]) AND revoked_at IS NULL
                """, [.array(keys)]
            ).affected
        }
    }
}
