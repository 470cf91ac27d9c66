import Billing
import Hummingbird

/// Who calls a staff route.
struct Staff: Sendable, Hashable {
    struct Session: Sendable, Hashable {
        var token: SessionToken
        /// Milliseconds since 1970.
        var expiresAt: Int64
    }

    /// As the audit log names them: `staff:NAME`, or `admin-token`.
    var actor: String
    var role: StaffRole
    /// nil: `ADMIN_TOKEN`, a program's and no person's.
    var session: Session?

    static let token = Staff(actor: "admin-token", role: .owner, session: nil)

    var isToken: Bool { self.session == nil }

    private init(actor: String, role: StaffRole, session: Session?) {
        self.actor = actor
        self.role = role
        self.session = session
    }

    init(_ session: StaffSession, _ token: SessionToken) {
        self.init(
            actor: session.member.actor, role: session.member.role,
            session: Session(token: token, expiresAt: session.expiresAt))
    }

    /// Without its service key, the whole app is cut off: that takes an owner.
    ///
    /// - Parameter key: nil: there is none.
    func mayRevoke(_ key: AdministeredKey?) throws(APIError) {
        guard let key else { throw .noSuchKey }
        if key.account == nil, self.role < .owner { throw .roleTooLow(.owner) }
    }

    /// What the audit log keeps of a change they make.
    func note(_ reason: String, _ context: ControlContext) -> ChangeNote {
        ChangeNote(actor: self.actor, reason: reason, request: ReplyFields.requestID(context))
    }
}
