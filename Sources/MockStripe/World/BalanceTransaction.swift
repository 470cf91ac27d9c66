/// One movement of the balance at Stripe.
struct BalanceTransaction: StripeObject, Equatable {
    enum Kind: String, Sendable {
        case charge
        /// As `charge`, `refund` and `refundFailure`, of bank debits.
        case payment
        case refund
        case paymentRefund = "payment_refund"
        case refundFailure = "refund_failure"
        case paymentFailureRefund = "payment_failure_refund"
        /// Disputes and their reinstatements.
        case adjustment
    }

    let id: String
    let created: Int
    /// Cents; negative when money leaves.
    let amount: Int
    /// Cents.
    let fee: Int
    let currency: String
    let kind: Kind
    let category: String
    let source: String
    let description: String?

    var net: Int { amount - fee }

    /// Stripe's price in the US: 2.9 % (a half cent is rounded up) and 30 cents. `amount` is in cents.
    static func fee(ofCharge amount: Int) -> Int { (amount * 29 + 500) / 1_000 + 30 }
    /// Cents per dispute, not given back when it is won.
    static let disputeFee = 1_500

    func json(live: Bool) -> JSON {
        let details: JSON =
            fee == 0
            ? []
            : [
                [
                    "amount": .int(fee), "application": nil, "currency": .text(currency),
                    "description": category == "dispute" ? "Dispute fee" : "Stripe processing fees",
                    "type": "stripe_fee",
                ]
            ]
        return [
            "id": .text(id), "object": "balance_transaction", "amount": .int(amount),
            "available_on": .int(created + 2 * 86_400), "balance_type": "payments", "created": .int(created),
            "currency": .text(currency), "description": JSON(description), "exchange_rate": nil,
            "fee": .int(fee), "fee_details": details, "net": .int(net), "reporting_category": .text(category),
            "source": .text(source), "status": "available", "type": .text(kind.rawValue),
        ]
    }
}
