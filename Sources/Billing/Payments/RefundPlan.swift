import Metering

/// A cash refund that was decided: money back to the card. It is stored before Stripe is asked, and a repetition sends
/// what is stored, never a new plan: with the key and the cents fixed, a refund cannot happen twice. The credits are
/// taken back when the payment is read again, by its target state.
public struct RefundPlan: Sendable, Hashable {
    /// Of the request, chosen by whoever asks; 1 to 200 visible ASCII characters.
    public let request: String
    public let purchase: PurchaseID
    public let paymentIntent: String
    public let cents: Int64
    /// For people: in our audit log, never sent.
    public let reason: String

    public enum Amount: Sendable, Hashable {
        case cents(Int64)
        /// All that is left.
        case rest
    }

    /// Why there is no plan; part of the admin API's answer.
    public enum Refusal: Error, Sendable, Hashable {
        case invalidRequestID
        case noReason
        case notPaid
        /// A bank decides about this payment; Stripe would refuse too.
        case disputed
        /// It was all given back, or a bank took it, or earlier requests will.
        case nothingLeft
        /// Zero or less.
        case amountNotPositive
        case moreThanLeft(cents: Int64)
    }

    /// - Parameter inFlightCents: of plans for this payment that are stored and not yet seen in its snapshot.
    public init(
        request: String, purchase: Purchase, posted: PaymentPosted, inFlightCents: Int64, amount: Amount,
        reason: String
    ) throws(Refusal) {
        precondition(inFlightCents >= 0, "plans are never negative")
        guard RefundRequest.isID(request) else { throw .invalidRequestID }
        guard Reason.isValid(reason) else { throw .noReason }
        guard posted.isGranted, let paymentIntent = purchase.paymentIntent else { throw .notPaid }
        guard !posted.state.isDisputed else { throw .disputed }
        let left = posted.state.paidCents - posted.state.reversedCents - inFlightCents
        guard left > 0 else { throw .nothingLeft }
        let cents =
            switch amount {
            case .cents(let cents): cents
            case .rest: left
            }
        guard cents > 0 else { throw .amountNotPositive }
        guard cents <= left else { throw .moreThanLeft(cents: left) }
        self.request = request
        self.purchase = purchase.id
        self.paymentIntent = paymentIntent
        self.cents = cents
        self.reason = reason
    }

    public var idempotencyKey: String { Self.idempotencyKey(of: self.request) }
    public var metadata: [String: String] { Self.metadata(self.request, self.purchase) }

    public static let refundKey = "tollgate_refund"

    public static func idempotencyKey(of request: String) -> String { "tollgate:refund:\(request)" }

    /// Of the refund at Stripe: how it is found again when its answer was lost.
    public static func metadata(_ request: String, _ purchase: PurchaseID) -> [String: String] {
        [Purchase.purchaseKey: purchase.description, Self.refundKey: request]
    }
}

/// What both kinds of refund ask of a request.
enum RefundRequest {
    static func isID(_ text: String) -> Bool {
        1...200 ~= text.utf8.count && text.utf8.allSatisfy { 0x21...0x7e ~= $0 }
    }
}
