/// What goes wrong with the next calls of the API.
struct CallFault: Equatable, Sendable {
    enum Kind: String, CaseIterable, Sendable {
        /// 500, nothing done.
        case error500 = "error_500"
        /// 429 with `rate_limit`.
        case rateLimit = "rate_limit"
        /// 429 with `lock_timeout`.
        case lockTimeout = "lock_timeout"
        /// 409: the key is in use.
        case conflict
        /// Never answered, nothing done.
        case hang
        /// The connection is closed, nothing done.
        case cut
        /// Done, and never answered.
        case hangAfter = "hang_after"
        /// Done, and the connection is closed without an answer.
        case cutAfter = "cut_after"
        /// Done, and answered with a 500 that no one remembers: the same key gets the true result.
        case error500After = "error_500_after"
        /// Done, and answered with a 403 by somebody on the way: the same key gets the true result.
        case proxyPageAfter = "proxy_page_after"
        /// Done and answered late. The idempotency key is in use meanwhile.
        case slow
    }

    let kind: Kind
    var callsLeft: Int
    /// Nil fits every method and path.
    var method: String?
    /// The beginning of the path.
    var path: String?
    /// Of `slow`.
    var milliseconds = 1_000

    func fits(_ request: APIRequest) -> Bool {
        self.callsLeft > 0 && (self.method ?? request.method) == request.method
            && request.path.hasPrefix(self.path ?? "")
    }

    /// The answer of a fault that does nothing.
    var refusal: StripeFailure? {
        switch self.kind {
        case .error500, .error500After:
            return StripeFailure(
                status: 500, kind: .api, message: "An unknown error occurred (the mock was told so).",
                began: false)
        case .rateLimit:
            return StripeFailure(
                status: 429, code: "rate_limit",
                message: "Request rate limit exceeded. Learn more about rate limits here "
                    + "https://stripe.com/docs/rate-limits.", began: false)
        case .lockTimeout:
            return StripeFailure(
                status: 429, code: "lock_timeout",
                message:
                    "This object cannot be accessed right now because another API request or Stripe process "
                    + "is currently accessing it.", began: false)
        case .conflict: return .keyInUse("(the mock was told so)")
        case .hang, .cut, .hangAfter, .cutAfter, .proxyPageAfter, .slow: return nil
        }
    }
}
