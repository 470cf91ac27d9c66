struct CheckoutSession: StripeObject, Equatable {
    enum Status: String, Sendable { case open, complete, expired }
    enum PaymentStatus: String, Sendable { case unpaid, paid }

    struct LineItem: Equatable, Sendable {
        let id: String
        let name: String
        let description: String?
        /// Cents.
        let unitAmount: Int
        let quantity: Int
        let currency: String
    }

    let id: String
    let created: Int
    let items: [LineItem]
    let successURL: String
    let cancelURL: String?
    let url: String
    let clientReference: String?
    let customerCreation: String?
    let customerEmail: String?
    let expiresAt: Int
    let metadata: [String: String]
    let intentMetadata: [String: String]
    let intentDescription: String?
    let setupFutureUsage: String?
    let methodTypes: [String]
    var customer: String?
    var status: Status = .open
    var paymentStatus: PaymentStatus = .unpaid
    /// Made when the customer first presses "pay", not with the session.
    var intent: String?

    var amount: Int { items.reduce(0) { $0 + $1.unitAmount * $1.quantity } }
    var currency: String { items.first?.currency ?? "usd" }

    /// Where the browser goes after paying.
    var successTarget: String { successURL.replacing("{CHECKOUT_SESSION_ID}", with: id) }

    func json(live: Bool) -> JSON {
        [
            "id": .text(id), "object": "checkout.session", "adaptive_pricing": ["enabled": false],
            "after_expiration": nil, "allow_promotion_codes": nil, "amount_subtotal": .int(amount),
            "amount_total": .int(amount),
            "automatic_tax": ["enabled": false, "liability": nil, "provider": nil, "status": nil],
            "billing_address_collection": nil, "cancel_url": JSON(cancelURL),
            "client_reference_id": JSON(clientReference), "client_secret": nil, "collected_information": nil,
            "consent": nil, "consent_collection": nil, "created": .int(created), "currency": .text(currency),
            "currency_conversion": nil, "custom_fields": [],
            "custom_text": [
                "after_submit": nil, "shipping_address": nil, "submit": nil,
                "terms_of_service_acceptance": nil,
            ], "customer": JSON(customer), "customer_creation": JSON(customerCreation),
            "customer_details": customerDetails, "customer_email": JSON(customerEmail), "discounts": [],
            "expires_at": .int(expiresAt), "invoice": nil, "invoice_creation": ["enabled": false],
            "livemode": .bool(live), "locale": nil, "metadata": JSON(metadata), "mode": "payment",
            "origin_context": nil, "payment_intent": JSON(intent), "payment_link": nil,
            "payment_method_collection": "if_required", "payment_method_configuration_details": nil,
            "payment_method_options": [:], "payment_method_types": JSON(methodTypes),
            "payment_status": .text(paymentStatus.rawValue), "permissions": nil,
            "phone_number_collection": ["enabled": false], "recovered_from": nil,
            "saved_payment_method_options": nil,
            "setup_intent": nil, "shipping_address_collection": nil, "shipping_cost": nil,
            "shipping_options": [],
            "status": .text(status.rawValue), "submit_type": nil, "subscription": nil,
            "success_url": .text(successURL),
            "total_details": ["amount_discount": 0, "amount_shipping": 0, "amount_tax": 0],
            "ui_mode": "hosted",
            "url": status == .open ? .text(url) : nil, "wallet_options": nil,
        ]
    }

    private var customerDetails: JSON {
        guard status == .complete else { return nil }
        return [
            "address": nil, "email": .text(customerEmail ?? "payer@example.com"), "name": "Mock Payer",
            "phone": nil, "tax_exempt": "none", "tax_ids": [],
        ]
    }

    /// The list that `line_items` shows.
    var itemsJSON: [JSON] {
        items.map { item in
            [
                "id": .text(item.id), "object": "item", "amount_discount": 0,
                "amount_subtotal": .int(item.unitAmount * item.quantity), "amount_tax": 0,
                "amount_total": .int(item.unitAmount * item.quantity), "currency": .text(item.currency),
                "description": .text(item.name), "quantity": .int(item.quantity),
            ]
        }
    }
}
