import Metering

/// What Stripe is asked for when somebody buys a package: a checkout session in payment mode with one line. Everything
/// in it comes from the purchase, so that the same purchase, asked again after a crash, is the same request to the
/// letter and Stripe answers its `Idempotency-Key` with the same session.
public struct CheckoutOffer: Sendable, Hashable {
    public struct LineItem: Sendable, Hashable {
        public var name: String
        public var currency: String
        public var unitAmountCents: Int64
        public var quantity: Int64
    }

    public let purchase: PurchaseID
    public let lineItem: LineItem
    public let urls: ReturnURLs
    /// nil: ask for `customer_creation=always`.
    public let customer: String?
    /// Of the session and of its payment intent.
    public let metadata: [String: String]
    /// The card may be charged later without the customer (`setup_future_usage=off_session`).
    public let savesPaymentMethod: Bool
    /// Seconds since 1970.
    public let expiresAt: Int64

    /// Stripe takes 30 minutes to 24 hours from when it hears of it; this leaves an hour for clocks that differ.
    public static let lifetimeSeconds: Int64 = 23 * 3600

    /// - Precondition: the caller guarantees a purchase of kind `checkout`, and its label.
    public init(_ purchase: Purchase, label: PurchaseLabel, urls: ReturnURLs, savesPaymentMethod: Bool) {
        precondition(purchase.kind == .checkout, "a recharge has no page")
        precondition(label.purchase == purchase.id, "a label names its purchase")
        self.purchase = purchase.id
        self.lineItem = LineItem(
            name: purchase.packageName, currency: "usd", unitAmountCents: purchase.priceUSDCents, quantity: 1)
        self.urls = urls
        self.customer = purchase.customer
        self.metadata = label.metadata
        self.savesPaymentMethod = savesPaymentMethod
        self.expiresAt = purchase.createdAt / 1000 + Self.lifetimeSeconds
    }

    /// `client_reference_id`.
    public var clientReferenceID: String { self.purchase.description }
    public var idempotencyKey: String { "tollgate:checkout:\(self.purchase)" }
}

/// What Stripe is asked for by an auto-recharge: a payment intent of the saved payment method, confirmed off-session.
public struct RechargeOffer: Sendable, Hashable {
    public let purchase: PurchaseID
    public let currency: String
    public let amountCents: Int64
    public let customer: String
    /// `pm_…`
    public let paymentMethod: String
    public let metadata: [String: String]
    public let description: String

    /// nil: nobody was charged before, so there is no customer whose card it could be.
    /// - Precondition: the caller guarantees a purchase of kind `recharge`, and its label.
    public init?(_ purchase: Purchase, label: PurchaseLabel, paymentMethod: String) {
        precondition(purchase.kind == .recharge, "a checkout is paid on its page")
        precondition(label.purchase == purchase.id, "a label names its purchase")
        guard let customer = purchase.customer else { return nil }
        self.purchase = purchase.id
        self.currency = "usd"
        self.amountCents = purchase.priceUSDCents
        self.customer = customer
        self.paymentMethod = paymentMethod
        self.metadata = label.metadata
        self.description = purchase.packageName
    }

    public var idempotencyKey: String { "tollgate:recharge:\(self.purchase)" }
}
