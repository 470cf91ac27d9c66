/// Where Stripe's page sends the customer afterwards. Both come from a client, so both must be on a site of ours: else
/// our checkout would lend its good name to any other.
public struct ReturnURLs: Sendable, Hashable {
    /// With `session_id={CHECKOUT_SESSION_ID}`, which Stripe fills in.
    public let success: String
    public let cancel: String

    public enum Field: String, Sendable, Hashable, CaseIterable {
        case successURL = "successUrl"
        case cancelURL = "cancelUrl"
    }

    public enum Reason: String, Sendable, Hashable, CaseIterable {
        /// It is no address that everybody reads alike.
        case malformed
        /// Plain http, and not to this machine.
        case insecure
        case originNotAllowed = "origin_not_allowed"
        /// A `session_id` of another value, or braces that Stripe would read.
        case template
    }

    public struct Refusal: Error, Sendable, Hashable {
        public let field: Field
        public let reason: Reason
    }

    public static let template = "{CHECKOUT_SESSION_ID}"

    /// - Parameter allowed: `PUBLIC_URL` and `CORS_ORIGINS`.
    public init(success: String, cancel: String, allowed: Set<WebOrigin>) throws(Refusal) {
        let success = try Self.checked(success, .successURL, allowed)
        let cancel = try Self.checked(cancel, .cancelURL, allowed)
        guard !Self.hasBraces(cancel.rest) else { throw Refusal(field: .cancelURL, reason: .template) }
        self.success = try Self.withSession(success)
        self.cancel = Self.text(cancel)
    }

    private static func checked(
        _ text: String, _ field: Field, _ allowed: Set<WebOrigin>
    ) throws(Refusal) -> WebAddress {
        let address: WebAddress
        do { address = try WebAddress(text) } catch { throw Refusal(field: field, reason: .malformed) }
        guard address.origin.scheme == .https || address.origin.isLoopback else {
            throw Refusal(field: field, reason: .insecure)
        }
        guard allowed.contains(address.origin) else {
            throw Refusal(field: field, reason: .originNotAllowed)
        }
        return address
    }

    /// Adds the parameter unless it is there as Stripe's own examples have it.
    private static func withSession(_ address: WebAddress) throws(Refusal) -> String {
        let parts = address.rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let query = parts.count > 1 ? parts[1].split(separator: "&") : []
        let named = query.filter { $0 == "session_id" || $0.hasPrefix("session_id=") }
        let own = "session_id=\(Self.template)"
        let braces = address.rest.replacing(own, with: "")
        guard named.allSatisfy({ $0 == own }), named.count <= 1, !Self.hasBraces(braces) else {
            throw Refusal(field: .successURL, reason: .template)
        }
        let text = Self.text(address)
        if named.count == 1 { return text }
        let isOpen = parts.count > 1 && (query.isEmpty || text.hasSuffix("&"))
        return text + (isOpen ? "" : parts.count > 1 ? "&" : "?") + own
    }

    private static func hasBraces(_ text: String) -> Bool { text.contains("{") || text.contains("}") }

    /// Spelled from what was compared, not from what was sent.
    private static func text(_ address: WebAddress) -> String {
        "\(address.origin)" + (address.rest.hasPrefix("/") ? "" : "/") + address.rest
    }
}
