import Billing

/// A row of `admin_user`.
enum StaffRow {
    /// As `member` reads them from the first column on.
    static let columns = """
        u.staff_id, u.email, u.name, u.role, u.state, (extract(epoch FROM u.created_at) * 1000)::bigint,
        (extract(epoch FROM u.signed_in_at) * 1000)::bigint
        """
    static let columnCount = 7

    static func member(_ row: PostgresRow) throws -> StaffMember {
        guard let email = StaffEmail(try row.text(1)), let role = StaffRole(rawValue: try row.text(3)),
            let state = StaffMember.State(rawValue: try row.text(4))
        else { throw PostgresError.unexpectedResult("a person that is none") }
        return StaffMember(
            staffID: try row.int(0), email: email, name: try row.text(2), role: role, state: state,
            createdAt: try row.int(5), signedInAt: try row.optionalInt(6))
    }

    /// For the audit log.
    static func json(_ member: StaffMember) -> String {
        #"{"email": \#(AuditJSON.text(member.email.text)), "role": "\#(member.role.rawValue)", "#
            + #""state": "\#(member.state.rawValue)"}"#
    }
}
