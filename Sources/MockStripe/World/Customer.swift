struct Customer: StripeObject, Equatable {
    let id: String
    let created: Int
    var email: String?
    var name: String?
    var description: String?
    var metadata: [String: String] = [:]
    var defaultPaymentMethod: String?

    func json(live: Bool) -> JSON {
        [
            "id": .text(id), "object": "customer", "address": nil, "balance": 0, "created": .int(created),
            "currency": nil, "default_source": nil, "delinquent": false, "description": JSON(description),
            "email": JSON(email), "invoice_prefix": "MOCK",
            "invoice_settings": [
                "custom_fields": nil, "default_payment_method": JSON(defaultPaymentMethod), "footer": nil,
                "rendering_options": nil,
            ],
            "livemode": .bool(live), "metadata": JSON(metadata), "name": JSON(name), "phone": nil,
            "preferred_locales": [], "shipping": nil, "tax_exempt": "none", "test_clock": nil,
        ]
    }
}
