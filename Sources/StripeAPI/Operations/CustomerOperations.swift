public struct CreateCustomer: StripeCall {
    public typealias Output = Customer
    public var email: String?
    public var metadata: [String: String]
    public var idempotencyKey: String

    public init(email: String? = nil, metadata: [String: String], idempotencyKey: String) {
        self.email = email
        self.metadata = metadata
        self.idempotencyKey = idempotencyKey
    }

    public var request: StripeRequest {
        StripeRequest(
            .post(idempotencyKey: self.idempotencyKey), ["customers"],
            ["email": .optional(self.email), "metadata": .map(self.metadata)])
    }
}

/// What a customer has saved, newest first.
public struct ListPaymentMethods: StripeListing {
    public typealias Item = PaymentMethod
    public var pages: PageReader<PaymentMethod>

    public init(ofCustomer customer: String) {
        self.pages = PageReader(["customers", customer, "payment_methods"])
    }
}

/// Charges a saved payment method while its owner is away. Succeeds at once, is `processing` for slow
/// methods, or fails as `.cardDeclined` or `.authenticationRequired`, both with the payment intent that now
/// exists.
public struct CreateOffSessionPayment: StripeCall {
    public typealias Output = PaymentIntent
    public var amountCents: Int64
    /// ISO 4217, lower case.
    public var currency: String
    public var customer: String
    public var paymentMethod: String
    public var description: String
    public var metadata: [String: String]
    public var idempotencyKey: String

    public init(
        amountCents: Int64, currency: String = "usd", customer: String, paymentMethod: String,
        description: String,
        metadata: [String: String], idempotencyKey: String
    ) {
        self.amountCents = amountCents
        self.currency = currency
        self.customer = customer
        self.paymentMethod = paymentMethod
        self.description = description
        self.metadata = metadata
        self.idempotencyKey = idempotencyKey
    }

    public var request: StripeRequest {
        StripeRequest(
            .post(idempotencyKey: self.idempotencyKey), ["payment_intents"],
            [
                "amount": .integer(self.amountCents),
                "currency": .text(self.currency),
                "customer": .text(self.customer),
                "payment_method": .text(self.paymentMethod),
                "off_session": true,
                "confirm": true,
                // Whatever type the saved method has; one that needs a redirect would need a return URL too.
                "automatic_payment_methods": ["enabled": true, "allow_redirects": "never"],
                "description": .text(self.description),
                "metadata": .map(self.metadata),
            ])
    }
}
