struct Charge: StripeObject, Equatable {
    enum Status: String, Sendable { case pending, succeeded, failed }

    /// `ch_…`, or `py_…` of a bank debit.
    let id: String
    let created: Int
    /// Cents.
    let amount: Int
    let currency: String
    let intent: String
    let customer: String?
    let description: String?
    let metadata: [String: String]
    let method: PaymentMethod
    let receiptURL: String
    var status: Status
    var amountRefunded = 0
    var disputed = false
    /// Stripe makes it a moment after the charge, so it may still be missing when an event arrives.
    var balanceTransaction: String?
    var failureCode: String?
    var failureMessage: String?

    func json(live: Bool) -> JSON {
        let paid = status == .succeeded
        return [
            "id": .text(id), "object": "charge", "amount": .int(amount),
            "amount_captured": .int(paid ? amount : 0), "amount_refunded": .int(amountRefunded),
            "application": nil, "application_fee": nil, "application_fee_amount": nil,
            "balance_transaction": JSON(balanceTransaction),
            "billing_details": ["address": nil, "email": nil, "name": nil, "phone": nil, "tax_id": nil],
            "calculated_statement_descriptor": "TOLLGATE MOCK", "captured": .bool(paid),
            "created": .int(created),
            "currency": .text(currency), "customer": JSON(customer), "description": JSON(description),
            "disputed": .bool(disputed), "failure_balance_transaction": nil,
            "failure_code": JSON(failureCode),
            "failure_message": JSON(failureMessage), "fraud_details": [:], "livemode": .bool(live),
            "metadata": JSON(metadata), "on_behalf_of": nil, "outcome": outcome, "paid": .bool(paid),
            "payment_intent": .text(intent), "payment_method": .text(method.id),
            "payment_method_details": method.chargeDetails, "receipt_email": nil, "receipt_number": nil,
            "receipt_url": paid ? .text(receiptURL) : nil,
            "refunded": .bool(paid && amountRefunded == amount), "review": nil, "shipping": nil,
            "source_transfer": nil, "statement_descriptor": nil, "statement_descriptor_suffix": nil,
            "status": .text(status.rawValue), "transfer_data": nil, "transfer_group": nil,
        ]
    }

    private var outcome: JSON {
        let failed = status == .failed
        return [
            "network_status": failed ? "declined_by_network" : "approved_by_network",
            "reason": failed ? JSON(failureCode) : nil, "risk_level": "normal",
            "seller_message": failed ? "The bank did not return any further details." : "Payment complete.",
            "type": failed ? "issuer_declined" : "authorized",
        ]
    }
}
