struct PaymentIntent: StripeObject, Equatable {
    enum Status: String, Sendable {
        case requiresPaymentMethod = "requires_payment_method"
        case requiresConfirmation = "requires_confirmation"
        case processing
        case succeeded
        case canceled
    }

    let id: String
    let created: Int
    /// Cents.
    let amount: Int
    let currency: String
    var status: Status = .requiresPaymentMethod
    var customer: String?
    var description: String?
    var metadata: [String: String] = [:]
    var paymentMethod: String?
    var setupFutureUsage: String?
    var receiptEmail: String?
    var methodTypes = ["card"]
    var latestCharge: String?
    /// The member `last_payment_error`.
    var lastError: JSON = nil
    var cancellationReason: String?
    var canceledAt: Int?

    var amountReceived: Int { status == .succeeded ? amount : 0 }

    func json(live: Bool) -> JSON {
        [
            "id": .text(id), "object": "payment_intent", "amount": .int(amount), "amount_capturable": 0,
            "amount_details": ["tip": [:]], "amount_received": .int(amountReceived), "application": nil,
            "application_fee_amount": nil, "automatic_payment_methods": nil, "canceled_at": JSON(canceledAt),
            "cancellation_reason": JSON(cancellationReason), "capture_method": "automatic_async",
            "client_secret": .text(id + "_secret_mock"), "confirmation_method": "automatic",
            "created": .int(created), "currency": .text(currency), "customer": JSON(customer),
            "description": JSON(description), "excluded_payment_method_types": nil,
            "last_payment_error": lastError, "latest_charge": JSON(latestCharge), "livemode": .bool(live),
            "metadata": JSON(metadata), "next_action": nil, "on_behalf_of": nil,
            "payment_method": JSON(paymentMethod), "payment_method_configuration_details": nil,
            "payment_method_options": [:], "payment_method_types": JSON(methodTypes), "processing": nil,
            "receipt_email": JSON(receiptEmail), "review": nil,
            "setup_future_usage": JSON(setupFutureUsage), "shipping": nil, "source": nil,
            "statement_descriptor": nil, "statement_descriptor_suffix": nil, "status": .text(status.rawValue),
            "transfer_data": nil, "transfer_group": nil,
        ]
    }
}
