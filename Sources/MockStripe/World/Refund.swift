struct Refund: StripeObject, Equatable {
    enum Status: String, CaseIterable, Sendable { case pending, succeeded, failed, canceled }

    /// `re_…`, or `pyr_…` of a bank debit.
    let id: String
    let created: Int
    /// Cents.
    let amount: Int
    let currency: String
    let charge: String
    let intent: String
    let reason: String?
    var metadata: [String: String]
    var status: Status
    var balanceTransaction: String?
    var failureBalanceTransaction: String?
    var failureReason: String?

    /// Whether its amount is still away from the charge.
    var counts: Bool { status == .pending || status == .succeeded }

    func json(live: Bool) -> JSON {
        var json: JSON = [
            "id": .text(id), "object": "refund", "amount": .int(amount),
            "balance_transaction": JSON(balanceTransaction), "charge": .text(charge),
            "created": .int(created),
            "currency": .text(currency),
            "destination_details": [
                "card": [
                    "reference_status": "pending", "reference_type": "acquirer_reference_number",
                    "type": "refund",
                ], "type": "card",
            ],
            "metadata": JSON(metadata), "payment_intent": .text(intent), "reason": JSON(reason),
            "receipt_number": nil, "source_transfer_reversal": nil, "status": .text(status.rawValue),
            "transfer_reversal": nil,
        ]
        if let failureBalanceTransaction {
            json["failure_balance_transaction"] = .text(failureBalanceTransaction)
        }
        if let failureReason { json["failure_reason"] = .text(failureReason) }
        return json
    }
}
