/// The version of Stripe's API that all requests ask for and all replies are read as: the one whose types the
/// Python package `stripe` 16.1.0 has, with which Tests/IntegrationTests/test_stripe_requests.py checks what
/// is sent.
public let stripeVersion = "2026-10-28.endive"

/// One request to Stripe, before it is turned into HTTP.
public struct StripeRequest: Sendable, Hashable {
    public enum Method: Sendable, Hashable {
        case get
        /// Every POST has a key. It names what is wanted, not the attempt: asked again with the same key,
        /// Stripe gives the first answer again.
        case post(idempotencyKey: String)
    }

    public var method: Method
    /// Behind `/v1`.
    public var path: [String]
    /// The body of a POST, the query of a GET.
    public var form: FormTable

    public init(_ method: Method, _ path: [String], _ form: FormTable = FormTable()) {
        self.method = method
        self.path = path
        self.form = form
    }

    /// Ids come out of events and tables. An empty one would turn "retrieve this" into "list all", a slash
    /// would lead to another place.
    var isWellFormed: Bool {
        let arePathsPlain = self.path.allSatisfy { segment in
            (1...255).contains(segment.utf8.count)
                && segment.utf8.allSatisfy {
                    (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                        || $0 == 0x5F
                }
        }
        guard arePathsPlain, !self.path.isEmpty else { return false }
        guard case .post(let key) = self.method else { return true }
        return (1...255).contains(key.utf8.count) && key.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    var isPost: Bool { self.method != .get }

    /// - Precondition: `isWellFormed`, which StripeClient checks.
    func http(_ base: OutboundBase, key: StripeKey, userAgent: String, timeout: Duration) -> OutboundRequest {
        let path = "/v1/" + self.path.joined(separator: "/")
        var headers: [OutboundRequest.Header] = [
            .init("Authorization", "Bearer " + key.value), .init("Stripe-Version", stripeVersion),
            .init("User-Agent", userAgent), .init("Accept", "application/json"),
        ]
        switch self.method {
        case .get:
            let target = self.form.isEmpty ? path : path + "?" + self.form.encoded
            return OutboundRequest(.get, base, target: target, headers: headers, timeout: timeout)
        case .post(let idempotencyKey):
            headers.append(.init("Content-Type", "application/x-www-form-urlencoded"))
            headers.append(.init("Idempotency-Key", idempotencyKey))
            return OutboundRequest(
                .post, base, target: path, headers: headers, body: Array(self.form.encoded.utf8),
                timeout: timeout)
        }
    }
}
