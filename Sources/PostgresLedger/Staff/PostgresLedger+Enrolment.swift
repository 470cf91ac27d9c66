import Billing

/// Setting the first password.
extension PostgresLedger {
    private static let holds =
        "u.enrolment_digest = $1::bytea AND u.enrolment_until > now() AND u.state = 'invited'"

    public func enrolment(_ digest: [UInt8]) async throws -> StaffEnrolment? {
        try await self.pool.run { connection in
            try connection.run(
                "SELECT \(StaffRow.columns), encode(u.totp_sealed, 'hex') IS NOT NULL, coalesce(u.totp_sealed, '')"
                    + " FROM admin_user u WHERE \(Self.holds)", [.bytes(digest)]
            ).first.map { row in
                let next = StaffRow.columnCount
                return StaffEnrolment(
                    member: try StaffRow.member(row),
                    sealedTOTP: try row.bool(next) ? try row.bytes(next + 1) : nil)
            }
        }
    }

    public func beginEnrolment(
        _ digest: [UInt8], sealedTOTP: [UInt8], replacing: [UInt8]?
    ) async throws -> [UInt8]? {
        try await self.pool.run { connection in
            try connection.run(
                """
                UPDATE admin_user u
                SET totp_sealed = CASE
                    WHEN u.totp_sealed IS NOT DISTINCT FROM $3::bytea THEN $2::bytea ELSE u.totp_sealed END
                WHERE \(Self.holds) RETURNING u.totp_sealed
                """, [.bytes(digest), .bytes(sealedTOTP), replacing.map { .bytes($0) } ?? .null]
            ).first?.bytes(0)
        }
    }

    public func enrol(_ digest: [UInt8], _ secrets: EnrolledSecrets, request: String?) async throws -> Bool {
        try await self.pool.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    let row = try connection.run(
                        """
                        UPDATE admin_user u
                        SET state = 'active', password_hash = $2, totp_sealed = $3::bytea, totp_step = $4,
                            enrolment_digest = NULL, enrolment_until = NULL
                        WHERE \(Self.holds) RETURNING \(StaffRow.columns)
                        """,
                        [
                            .bytes(digest), .text(secrets.passwordHash), .bytes(secrets.sealedTOTP),
                            .int(secrets.step),
                        ]
                    ).first
                    guard let row else { return false }
                    let member = try StaffRow.member(row)
                    try connection.run(
                        "DELETE FROM admin_recovery_code WHERE staff_id = $1", [.int(member.staffID)])
                    for code in secrets.recoveryDigests {
                        try connection.run(
                            "INSERT INTO admin_recovery_code (staff_id, digest) VALUES ($1, $2::bytea)",
                            [.int(member.staffID), .bytes(code)])
                    }
                    var before = member
                    before.state = .invited
                    try connection.audit(
                        ChangeNote(actor: member.actor, reason: "enrolment", request: request), "staff.enrol",
                        "staff:\(member.name)", before: StaffRow.json(before), after: StaffRow.json(member))
                    return true
                }
            }
        }
    }
}
