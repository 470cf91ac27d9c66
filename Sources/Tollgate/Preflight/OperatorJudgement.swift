import Billing
import Metering

/// What a checklist says of the people of the operator's, of their log, and of their switches.
enum OperatorJudgement {
    /// The ledger lets nobody be active without a password and a second factor.
    static func staff(_ members: [StaffMember]) -> PreflightLine {
        let active = members.filter { $0.state == .active }
        guard !active.isEmpty else {
            return .warning("admin-mfa", "nobody can sign in; `tollgate staff create` invites an owner")
        }
        guard active.contains(where: { $0.role == .owner }) else {
            return .warning("admin-mfa", "nobody who can sign in is an owner")
        }
        return .ok("admin-mfa", "\(active.count) people, each with a second factor")
    }

    static func audit(_ verdict: AuditVerdict) -> [PreflightLine] {
        verdict.problems.map { .failed("audit-log", "\($0)") }
    }

    /// - Parameter flags: as they are in force, the environment's values included.
    static func switches(_ flags: [FlagState]) -> [PreflightLine] {
        flags.compactMap { flag -> PreflightLine? in
            let (whole, consequence): (String, String) =
                switch flag.name {
                case .purchases: ("true", "nothing is sold")
                case .charging: ("true", "nothing is charged")
                case .rolloutPercentage: ("100", "the rest is not charged")
                case .allowlist, .autoRecharge, .modelAllowlist, .anomalyMultiplier: (flag.value, "")
                }
            guard flag.value != whole else { return nil }
            let setter = flag.source == .flag ? "by a flag" : "by the environment"
            return .warning("switches", "\(flag.name.rawValue) is \(flag.value) \(setter): \(consequence)")
        }
    }
}
