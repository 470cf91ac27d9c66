struct PaymentMethod: StripeObject, Equatable {
    /// What becomes of a charge.
    enum Behaviour: String, CaseIterable, Sendable {
        case good
        case declined
        case insufficientFunds = "insufficient_funds"
        case expired
        /// The bank wants the customer to be there, so that off-session charges fail.
        case authenticationRequired = "authentication_required"
        /// Charges stay pending until somebody decides.
        case bankDebit = "bank_debit"
    }

    let id: String
    let created: Int
    var behaviour: Behaviour
    var customer: String?

    var isBank: Bool { behaviour == .bankDebit }

    /// Stripe's test tokens, and what the methods made from them do.
    static let tokens: [String: Behaviour] = [
        "pm_card_visa": .good, "pm_card_chargeDeclined": .declined,
        "pm_card_visa_chargeDeclined": .declined,
        "pm_card_chargeDeclinedInsufficientFunds": .insufficientFunds,
        "pm_card_chargeDeclinedExpiredCard": .expired,
        "pm_card_authenticationRequired": .authenticationRequired, "pm_usBankAccount": .bankDebit,
    ]

    var typeName: String { isBank ? "us_bank_account" : "card" }

    private var details: JSON {
        isBank
            ? [
                "account_holder_type": "individual", "account_type": "checking",
                "bank_name": "STRIPE TEST BANK",
                "fingerprint": "mockbank", "last4": "6789", "routing_number": "110000000",
            ]
            : [
                "brand": "visa", "checks": nil, "country": "US", "exp_month": 12, "exp_year": 2034,
                "fingerprint": "mockcard", "funding": "credit", "last4": "4242",
            ]
    }

    func json(live: Bool) -> JSON {
        var json: JSON = [
            "id": .text(id), "object": "payment_method", "allow_redisplay": "limited",
            "billing_details": ["address": nil, "email": nil, "name": nil, "phone": nil, "tax_id": nil],
            "created": .int(created), "customer": JSON(customer), "livemode": .bool(live), "metadata": [:],
            "type": .text(typeName),
        ]
        json[typeName] = details
        return json
    }

    /// The member `payment_method_details` of a charge.
    var chargeDetails: JSON {
        var json: JSON = ["type": .text(typeName)]
        json[typeName] = details
        return json
    }
}
