/// Opens a page on which one purchase is paid.
public struct CreateCheckoutSession: StripeCall {
    public typealias Output = CheckoutSession

    public struct LineItem: Sendable, Hashable {
        public var name: String
        /// ISO 4217, lower case.
        public var currency: String
        public var unitAmountCents: Int64
        public var quantity: Int64

        public init(name: String, currency: String = "usd", unitAmountCents: Int64, quantity: Int64 = 1) {
            self.name = name
            self.currency = currency
            self.unitAmountCents = unitAmountCents
            self.quantity = quantity
        }
    }

    public var lineItem: LineItem
    public var successURL: String
    public var cancelURL: String
    /// Comes back in the session.
    public var clientReferenceID: String
    /// Of the session and of its payment intent.
    public var metadata: [String: String]
    /// `cus_…`; nil makes a new customer.
    public var customer: String?
    /// The payment method may be charged later without the customer.
    public var savesPaymentMethod: Bool
    /// Seconds since 1970, 30 minutes to 24 hours ahead; nil leaves 24 hours.
    public var expiresAt: Int64?
    public var idempotencyKey: String

    public init(
        lineItem: LineItem, successURL: String, cancelURL: String, clientReferenceID: String,
        metadata: [String: String], customer: String?, savesPaymentMethod: Bool = false,
        expiresAt: Int64? = nil,
        idempotencyKey: String
    ) {
        self.lineItem = lineItem
        self.successURL = successURL
        self.cancelURL = cancelURL
        self.clientReferenceID = clientReferenceID
        self.metadata = metadata
        self.customer = customer
        self.savesPaymentMethod = savesPaymentMethod
        self.expiresAt = expiresAt
        self.idempotencyKey = idempotencyKey
    }

    public var request: StripeRequest {
        StripeRequest(
            .post(idempotencyKey: self.idempotencyKey), ["checkout", "sessions"],
            [
                "mode": "payment",
                "line_items": [
                    [
                        "quantity": .integer(self.lineItem.quantity),
                        "price_data": [
                            "currency": .text(self.lineItem.currency),
                            "unit_amount": .integer(self.lineItem.unitAmountCents),
                            "product_data": ["name": .text(self.lineItem.name)],
                        ],
                    ]
                ],
                "success_url": .text(self.successURL),
                "cancel_url": .text(self.cancelURL),
                "client_reference_id": .text(self.clientReferenceID),
                "metadata": .map(self.metadata),
                "payment_intent_data": [
                    "metadata": .map(self.metadata),
                    "setup_future_usage": self.savesPaymentMethod ? "off_session" : .absent,
                ],
                "customer": .optional(self.customer),
                // Only without a customer: Stripe refuses both.
                "customer_creation": self.customer == nil ? "always" : .absent,
                "expires_at": .optional(self.expiresAt),
            ])
    }
}

public struct RetrieveCheckoutSession: StripeCall {
    public typealias Output = CheckoutSession
    public var session: String

    public init(_ session: String) { self.session = session }

    public var request: StripeRequest { StripeRequest(.get, ["checkout", "sessions", self.session]) }
}

/// Ends an open session, so that nobody pays for an offer that was withdrawn. Of another one:
/// `.invalidRequest`.
public struct ExpireCheckoutSession: StripeCall {
    public typealias Output = CheckoutSession
    public var session: String
    public var idempotencyKey: String

    public init(_ session: String, idempotencyKey: String) {
        self.session = session
        self.idempotencyKey = idempotencyKey
    }

    public var request: StripeRequest {
        StripeRequest(
            .post(idempotencyKey: self.idempotencyKey), ["checkout", "sessions", self.session, "expire"])
    }
}

/// The session of a payment intent: one, or none for a recharge.
public struct ListCheckoutSessions: StripeListing {
    public typealias Item = CheckoutSession
    public var pages: PageReader<CheckoutSession>

    public init(ofPaymentIntent intent: String) {
        self.pages = PageReader(["checkout", "sessions"], ["payment_intent": .text(intent)])
    }
}
