struct Dispute: StripeObject, Equatable {
    enum Status: String, Sendable {
        /// Inquiries: the bank asks, no money has moved.
        case warningNeedsResponse = "warning_needs_response"
        case warningUnderReview = "warning_under_review"
        case warningClosed = "warning_closed"
        case needsResponse = "needs_response"
        case underReview = "under_review"
        case won
        case lost

        var isInquiry: Bool { self == .warningNeedsResponse || self == .warningUnderReview }
        var isOpen: Bool { self == .needsResponse || self == .underReview }
    }

    let id: String
    let created: Int
    /// Cents.
    let amount: Int
    let currency: String
    let charge: String
    let intent: String
    let reason: String
    var status: Status
    /// The withdrawal, and the reinstatement once it is won.
    var balanceTransactions: [BalanceTransaction] = []

    func json(live: Bool) -> JSON {
        [
            "id": .text(id), "object": "dispute", "amount": .int(amount),
            "balance_transactions": .list(balanceTransactions.map { $0.json(live: live) }),
            "charge": .text(charge), "created": .int(created), "currency": .text(currency),
            "enhanced_eligibility_types": [], "evidence": [:],
            "evidence_details": [
                "due_by": .int(created + 7 * 86_400), "enhanced_eligibility": [:],
                "has_evidence": .bool(status == .underReview || status == .warningUnderReview),
                "past_due": false, "submission_count": 0,
            ],
            "is_charge_refundable": .bool(status.isInquiry), "livemode": .bool(live), "metadata": [:],
            "payment_intent": .text(intent),
            "payment_method_details": [
                "card": ["brand": "visa", "case_type": "chargeback", "network_reason_code": "10.4"],
                "type": "card",
            ],
            "reason": .text(reason), "status": .text(status.rawValue),
        ]
    }
}
