/// Why an operation at Stripe did not succeed. Holds neither keys nor Stripe's message, which may quote what
/// we sent; the request id leads to both in the dashboard.
public struct StripeFailure: Error, Sendable, Hashable {
    public var kind: Kind
    /// `req_…` of the last reply.
    public var requestID: String?
    /// true: Stripe may have done what was asked. Ask again with the same idempotency key, never with a new
    /// one.
    public var mayHaveBeenApplied: Bool

    public init(_ kind: Kind, requestID: String? = nil, mayHaveBeenApplied: Bool = false) {
        self.kind = kind
        self.requestID = requestID
        self.mayHaveBeenApplied = mayHaveBeenApplied
    }

    public enum Kind: Sendable, Hashable {
        /// For the customer: another card, or more money on this one.
        case cardDeclined(code: String, declineCode: String?, paymentIntent: String?)
        /// The bank wants the customer to be there; no off-session attempt will succeed.
        case authenticationRequired(paymentIntent: String?)
        /// This key was used for other parameters: a mistake of ours.
        case idempotencyMismatch
        /// Another request works on the same object or with the same key, still after all attempts.
        case locked
        case invalidRequest(code: String?, parameter: String?)
        /// No such object in this account and mode.
        case notFound(parameter: String?)
        /// The key is wrong or revoked (401), or may not do this (403).
        case unauthorised(status: Int)
        case rateLimited
        /// Stripe's own trouble, still after all attempts.
        case apiError(status: Int)
        /// No reply at all.
        case unreachable(OutboundFailure)
        /// The deadline came before an attempt could be made.
        case outOfTime
        /// A test object read with a live key, or the reverse.
        case wrongLivemode
        case unreadableReply
        /// Stripe says something this version does not know: for a person.
        case unknownStatus(object: StripeObjectName, status: String)
        /// Amounts in another currency than their payment's cannot be counted together: for a person.
        case foreignCurrency(object: StripeObjectName)
        /// An id or a key that cannot be part of a request.
        case malformedRequest
    }

    /// Whether the same operation may succeed later without anybody doing anything.
    public var mayRetry: Bool {
        switch self.kind {
        case .locked, .rateLimited, .apiError, .outOfTime, .unreadableReply: true
        case .unreachable(let failure):
            switch failure {
            case .malformedRequest, .tls(.certificate), .tls(.authorities), .replyTooLarge: false
            default: true
            }
        case .cardDeclined, .authenticationRequired, .idempotencyMismatch, .invalidRequest, .notFound,
            .unauthorised,
            .wrongLivemode, .unknownStatus, .foreignCurrency, .malformedRequest:
            false
        }
    }

    /// Bounded: a metric label.
    public var label: String {
        switch self.kind {
        case .cardDeclined: "card_declined"
        case .authenticationRequired: "authentication_required"
        case .idempotencyMismatch: "idempotency_mismatch"
        case .locked: "locked"
        case .invalidRequest: "invalid_request"
        case .notFound: "not_found"
        case .unauthorised: "unauthorised"
        case .rateLimited: "rate_limited"
        case .apiError: "api_error"
        case .unreachable(let failure): "unreachable_" + failure.label
        case .outOfTime: "out_of_time"
        case .wrongLivemode: "wrong_livemode"
        case .unreadableReply: "unreadable_reply"
        case .unknownStatus: "unknown_status"
        case .foreignCurrency: "foreign_currency"
        case .malformedRequest: "malformed_request"
        }
    }
}

/// What `object` says in Stripe's replies.
public enum StripeObjectName: String, Sendable, Hashable {
    case checkoutSession = "checkout.session"
    case paymentIntent = "payment_intent"
    case balanceTransaction = "balance_transaction"
    case charge, refund, dispute
}
