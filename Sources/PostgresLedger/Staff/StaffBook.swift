import Billing
import Crypto
import Metering

/// People of the operator's, as the command line keeps them. Every change is one entry of the audit log.
public struct StaffBook: Sendable {
    let pool: PostgresPool

    public init(pool: PostgresPool) { self.pool = pool }

    public enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
        case invalidName
        /// Of an address or of a name.
        case taken
        case nobody
        case lastOwner

        public var description: String {
            switch self {
            case .invalidName: "a name has 1 to 64 of a-z, 0-9, '.', '_' and '-'"
            case .taken: "somebody has this email or this name already"
            case .nobody: "nobody has this email"
            case .lastOwner: "this is the last owner who can sign in: make somebody else one first"
            }
        }
    }

    /// Lets one person set a password, once. The ledger keeps a digest of it.
    public struct Invitation: Sendable {
        /// 52 letters and digits.
        public let token: String

        init() {
            let bits = SymmetricKey(size: .bits256)
            self.token = bits.withUnsafeBytes { Base32.text(Array($0)) }
        }

        /// What is stored of a token.
        public static func digest(of token: String) -> [UInt8] { Array(SHA256.hash(data: Array(token.utf8))) }
    }

    public func list() async throws -> [StaffMember] {
        try await self.pool.run { connection in
            try connection.run("SELECT \(StaffRow.columns) FROM admin_user u ORDER BY u.staff_id").rows
                .map(StaffRow.member)
        }
    }

    /// An invitation holds for three days.
    public func create(
        email: StaffEmail, name: String, role: StaffRole, note: ChangeNote
    ) async throws -> Invitation {
        guard StaffMember.isValidName(name) else { throw Failure.invalidName }
        let invitation = Invitation()
        try await self.change { connection in
            let row = try connection.run(
                """
                INSERT INTO admin_user AS u (email, name, role, state, enrolment_digest, enrolment_until)
                VALUES ($1, $2, $3, 'invited', $4::bytea, now() + interval '3 days')
                ON CONFLICT DO NOTHING RETURNING \(StaffRow.columns)
                """,
                [
                    .text(email.text), .text(name), .text(role.rawValue),
                    .bytes(Invitation.digest(of: invitation.token)),
                ]
            ).first
            guard let row else { throw Failure.taken }
            try connection.audit(
                note, "staff.create", "staff:\(name)", before: nil, after: StaffRow.json(StaffRow.member(row))
            )
        }
        return invitation
    }

    /// Nobody signs in with the old password, authenticator, recovery codes or session any more.
    public func reset(_ email: StaffEmail, note: ChangeNote) async throws -> Invitation {
        let invitation = Invitation()
        try await self.change(email, note, "staff.reset") { connection, member in
            try connection.run("DELETE FROM admin_recovery_code WHERE staff_id = $1", [.int(member.staffID)])
            return try connection.run(
                """
                UPDATE admin_user u SET state = 'invited', password_hash = NULL, totp_sealed = NULL,
                    enrolment_digest = $2::bytea, enrolment_until = now() + interval '3 days'
                WHERE u.staff_id = $1 RETURNING \(StaffRow.columns)
                """, [.int(member.staffID), .bytes(Invitation.digest(of: invitation.token))]
            ).one()
        }
        return invitation
    }

    public func disable(_ email: StaffEmail, note: ChangeNote) async throws {
        try await self.change(email, note, "staff.disable") { connection, member in
            try Self.keepAnOwner(without: member, on: connection)
            return try connection.run(
                """
                UPDATE admin_user u SET state = 'disabled', password_hash = NULL, totp_sealed = NULL,
                    enrolment_digest = NULL, enrolment_until = NULL
                WHERE u.staff_id = $1 RETURNING \(StaffRow.columns)
                """, [.int(member.staffID)]
            ).one()
        }
    }

    public func setRole(_ role: StaffRole, of email: StaffEmail, note: ChangeNote) async throws {
        try await self.change(email, note, "staff.role") { connection, member in
            if role != .owner { try Self.keepAnOwner(without: member, on: connection) }
            return try connection.run(
                "UPDATE admin_user u SET role = $2 WHERE u.staff_id = $1 RETURNING \(StaffRow.columns)",
                [.int(member.staffID), .text(role.rawValue)]
            ).one()
        }
    }

    // MARK: Changes

    /// Somebody who signs in must be able to let others in. Whoever is not yet one takes nothing away.
    private static func keepAnOwner(without member: StaffMember, on connection: PostgresConnection) throws {
        guard member.role == .owner, member.state == .active else { return }
        let others = try connection.run(
            "SELECT count(*) FROM admin_user WHERE role = 'owner' AND state = 'active' AND staff_id <> $1",
            [.int(member.staffID)]
        ).one().int(0)
        guard others > 0 else { throw Failure.lastOwner }
    }

    private func change(
        _ email: StaffEmail, _ note: ChangeNote, _ action: String,
        _ body: @escaping @Sendable (PostgresConnection, StaffMember) throws -> PostgresRow
    ) async throws {
        try await self.change { connection in
            let row = try connection.run(
                "SELECT \(StaffRow.columns) FROM admin_user u WHERE u.email = $1", [.text(email.text)]
            ).first
            guard let row else { throw Failure.nobody }
            let before = try StaffRow.member(row)
            let after = try StaffRow.member(body(connection, before))
            if after.state != .active {
                try connection.run(
                    "UPDATE admin_session SET revoked_at = now() WHERE staff_id = $1 AND revoked_at IS NULL",
                    [.int(after.staffID)])
            }
            try connection.audit(
                note, action, "staff:\(after.name)", before: StaffRow.json(before),
                after: StaffRow.json(after))
        }
    }

    /// One at a time: two owners must not disable each other at once.
    private func change(_ body: @escaping @Sendable (PostgresConnection) throws -> Void) async throws {
        _ = try await self.pool.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    try connection.run("LOCK TABLE admin_user IN SHARE ROW EXCLUSIVE MODE")
                    try body(connection)
                    return true
                }
            }
        }
    }
}
