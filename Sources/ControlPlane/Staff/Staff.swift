import Billing
import Hummingbird

/// Who calls a staff route.
struct Staff: Sendable, Hashable {
    /// As the audit log names them: `staff:NAME`, or `admin-token`.
    var actor: String
    var role: StaffRole
    /// `ADMIN_TOKEN`: a program's, no person's.
    var isToken: Bool

    static let token = Staff(actor: "admin-token", role: .owner, isToken: true)

    init(actor: String, role: StaffRole, isToken: Bool = false) {
        self.actor = actor
        self.role = role
        self.isToken = isToken
    }

    /// What the audit log keeps of a change they make.
    func note(_ reason: String, _ context: ControlContext) -> ChangeNote {
        ChangeNote(actor: self.actor, reason: reason, request: ReplyFields.requestID(context))
    }
}
