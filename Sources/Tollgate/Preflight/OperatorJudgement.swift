import Billing
import Metering

/// What a checklist says of the people of the operator's, of their log, and of their switches.
enum OperatorJudgement {
    /// What is missing of people; nil: nothing is. The ledger lets nobody be active without a password and a second
    /// factor.
    static func staffGap(_ members: [StaffMember]) -> String? {
        let active = members.filter { $0.state == .active }
        if active.isEmpty {
            return "nobody can sign in with a second factor: `tollgate staff create` invites an owner"
        }
        return active.contains { $0.role == .owner }
            ? nil : "nobody who can sign in is an owner: `tollgate staff create --role owner`"
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
