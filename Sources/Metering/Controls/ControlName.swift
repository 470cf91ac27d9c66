/// What an operator can change while the proxy runs, known everywhere by the name of its environment variable, which
/// gives the start value (CONTRACT §3).
public enum ControlName: String, Sendable, Hashable, CaseIterable {
    case charging = "BILLING_CHARGING_ENABLED"
    case purchases = "BILLING_PURCHASE_ENABLED"
    case autoRecharge = "BILLING_AUTO_RECHARGE"
    case rolloutPercentage = "BILLING_ROLLOUT_PERCENTAGE"
    case allowlist = "BILLING_ALLOWLIST"
    case modelAllowlist = "BILLING_MODEL_ALLOWLIST"
    case anomalyMultiplier = "BILLING_ANOMALY_MULTIPLIER"

    /// One line for people.
    public var meaning: String {
        switch self {
        case .charging: "usage is charged; off: served without a 402, settled as waived"
        case .purchases: "credits are sold; off: 503"
        case .autoRecharge: "saved cards are charged when credits run low"
        case .rolloutPercentage: "share of the users who are charged, 0 to 100; the others are waived"
        case .allowlist: "users who are charged whatever the percentage, by commas"
        case .modelAllowlist: "models that are served, by commas, or all; others: 403"
        case .anomalyMultiplier: "an account is flagged for review above this many times its 7-day mean"
        }
    }
}

/// A value that a control cannot have.
public struct ControlProblem: Error, Sendable, Hashable, CustomStringConvertible {
    public var name: String
    public var message: String

    public init(_ name: String, _ message: String) {
        self.name = name
        self.message = message
    }

    public var description: String { "\(self.name): \(self.message)" }
}
