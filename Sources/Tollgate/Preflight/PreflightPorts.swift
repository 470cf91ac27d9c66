/// What other parts of the program can tell a checklist, where they are there.
struct PreflightPorts: Sendable {
    struct Staff: Sendable, Hashable {
        /// Members who may sign in.
        var total: Int
        /// Those of them with a second factor.
        var withSecondFactor: Int
    }

    /// nil: nobody signs in; `ADMIN_TOKEN` is the only way in.
    var staff: (@Sendable () async throws -> Staff)?
    /// The first entry of the audit log that does not follow from the one before; nil: none.
    var brokenAuditEntry: (@Sendable () async throws -> Int64?)?

    static func judge(_ staff: Staff) -> PreflightLine {
        guard staff.total > 0 else { return .warning("admin-mfa", "there are no members of staff yet") }
        let without = staff.total - staff.withSecondFactor
        return without > 0
            ? .failed("admin-mfa", "\(without) of \(staff.total) members of staff have no second factor")
            : .ok("admin-mfa", "all \(staff.total) members of staff have a second factor")
    }

    static func judge(brokenAuditEntry entry: Int64?) -> PreflightLine {
        entry.map {
            .failed("audit-log", "entry \($0) does not follow from the one before; somebody changed it")
        }
            ?? .ok("audit-log", "every entry follows from the one before")
    }
}
