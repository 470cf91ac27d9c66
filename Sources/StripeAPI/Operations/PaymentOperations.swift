public struct RetrievePaymentIntent: StripeCall {
    public typealias Output = PaymentIntent
    public var paymentIntent: String

    public init(_ paymentIntent: String) { self.paymentIntent = paymentIntent }

    /// With the charge that took the money and what Stripe kept of it.
    public var request: StripeRequest {
        StripeRequest(
            .get, ["payment_intents", self.paymentIntent], ["expand": ["latest_charge.balance_transaction"]])
    }
}

/// Gives money back. More than what is left of the payment: `.invalidRequest`.
public struct CreateRefund: StripeCall {
    public typealias Output = Refund
    public enum Reason: String, Sendable, Hashable {
        case duplicate, fraudulent
        case requestedByCustomer = "requested_by_customer"
    }

    public var paymentIntent: String
    /// nil: all that is left.
    public var amountCents: Int64?
    public var reason: Reason?
    public var metadata: [String: String]
    public var idempotencyKey: String

    public init(
        paymentIntent: String, amountCents: Int64?, reason: Reason? = nil, metadata: [String: String],
        idempotencyKey: String
    ) {
        self.paymentIntent = paymentIntent
        self.amountCents = amountCents
        self.reason = reason
        self.metadata = metadata
        self.idempotencyKey = idempotencyKey
    }

    public var request: StripeRequest {
        StripeRequest(
            .post(idempotencyKey: self.idempotencyKey), ["refunds"],
            [
                "payment_intent": .text(self.paymentIntent),
                "amount": .optional(self.amountCents),
                "reason": .optional(self.reason?.rawValue),
                "metadata": .map(self.metadata),
            ])
    }
}

/// For reconciliation: all that was created in a time.
public struct ListPaymentIntents: StripeListing {
    public typealias Item = PaymentIntent
    public var pages: PageReader<PaymentIntent>

    public init(created window: CreationWindow) {
        self.pages = PageReader(["payment_intents"], ["created": window.filter])
    }
}

/// For reconciliation: all that was created in a time, with what Stripe kept of each.
public struct ListCharges: StripeListing {
    public typealias Item = Charge
    public var pages: PageReader<Charge>

    public init(created window: CreationWindow) {
        self.pages = PageReader(
            ["charges"], ["created": window.filter, "expand": ["data.balance_transaction"]])
    }
}

/// For reconciliation: every movement of our balance at Stripe in a time.
public struct ListBalanceTransactions: StripeListing {
    public typealias Item = BalanceTransaction
    public var pages: PageReader<BalanceTransaction>

    public init(created window: CreationWindow) {
        self.pages = PageReader(["balance_transactions"], ["created": window.filter])
    }
}

/// For reconciliation: all that was given back in a time, by whatever payment.
public struct ListRefunds: StripeListing {
    public typealias Item = Refund
    public var pages: PageReader<Refund>

    public init(created window: CreationWindow) {
        self.pages = PageReader(["refunds"], ["created": window.filter])
    }
}

/// For reconciliation: all that banks asked back in a time, by whatever payment.
public struct ListDisputes: StripeListing {
    public typealias Item = Dispute
    public var pages: PageReader<Dispute>

    public init(created window: CreationWindow) {
        self.pages = PageReader(["disputes"], ["created": window.filter])
    }
}
