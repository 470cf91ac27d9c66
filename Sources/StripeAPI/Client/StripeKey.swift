/// The secret key of a Stripe account. Cannot be printed by accident.
public struct StripeKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let value: String
    /// What `livemode` must be in everything this key reads.
    public let isLive: Bool

    /// - Parameter value: `sk_live_…`, `sk_test_…` or a restricted `rk_…`; nil for anything else, so that a
    ///   publishable key or a webhook secret in the wrong variable is found at start-up.
    public init?(_ value: String) {
        let prefixes = [("sk_live_", true), ("rk_live_", true), ("sk_test_", false), ("rk_test_", false)]
        guard let known = prefixes.first(where: { value.hasPrefix($0.0) }),
            value.utf8.count > known.0.utf8.count,
            value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return nil }
        self.value = value
        self.isLive = known.1
    }

    public var description: String { "***" }
    public var debugDescription: String { "***" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
