/// What an operator is told, by the admin API and by `tollgate refund` alike.
extension RefundFailure {
    /// What of the request is at fault.
    public enum Field: Sendable, Hashable {
        case purchase, amount, reason, idempotencyKey
    }

    /// One word per failure; part of the admin API.
    public var code: String {
        switch self {
        case .notConfigured: "purchases_not_configured"
        case .unknownPurchase: "purchase_not_found"
        case .cash(let refusal): refusal.facts.code
        case .credit(let refusal): refusal.facts.code
        case .idempotencyConflict: "idempotency_conflict"
        case .refusedByStripe: "stripe_refused"
        case .failedLater: "refund_failed"
        case .unknown: "refund_pending"
        case .ledgerUnavailable: "ledger_unavailable"
        }
    }

    public var field: Field? {
        switch self {
        case .unknownPurchase: .purchase
        case .idempotencyConflict, .failedLater: .idempotencyKey
        case .cash(let refusal): refusal.facts.field
        case .credit(let refusal): refusal.facts.field
        case .notConfigured, .refusedByStripe, .unknown, .ledgerUnavailable: nil
        }
    }

    /// A whole sentence.
    public var sentence: String {
        switch self {
        case .notConfigured: "Refunds of money need STRIPE_SECRET_KEY, which is not set here."
        case .unknownPurchase: "There is no such purchase."
        case .cash(let refusal): refusal.facts.sentence
        case .credit(let refusal): refusal.facts.sentence
        case .idempotencyConflict: "This idempotency key was used for another refund."
        case .refusedByStripe(let reason): "Stripe refused the refund (\(reason)); no money moved."
        case .failedLater:
            "Stripe made this refund and it came back: the money did not arrive, and its credits were returned. "
                + "Ask again with a new key."
        case .unknown:
            "Stripe has not answered yet; the refund is stored and is asked for again by itself. "
                + "The same request tells what became of it."
        case .ledgerUnavailable: "The ledger cannot be reached right now; the same request may be sent again."
        }
    }
}

/// What both kinds of refund can be refused for, in the same words.
struct RefusalFacts {
    var code: String
    var field: RefundFailure.Field?
    var sentence: String

    static let invalidKey = RefusalFacts(
        code: "invalid_idempotency_key", field: .idempotencyKey,
        sentence: "The idempotency key must be 1 to 200 visible ASCII characters.")
    static let noReason = RefusalFacts(
        code: "invalid_reason", field: .reason,
        sentence: "The reason must be 1 to 1,000 bytes of text without control characters.")
    static let notPaid = RefusalFacts(
        code: "purchase_not_paid", field: .purchase, sentence: "This purchase was not paid.")
    static let disputed = RefusalFacts(
        code: "purchase_disputed", field: .purchase,
        sentence: "A bank decides about this payment at the moment; nothing can be refunded until it has.")
    static let nothingLeft = RefusalFacts(
        code: "nothing_left_to_refund", field: .purchase,
        sentence: "Nothing of this purchase is left to be refunded.")
    static let notPositive = RefusalFacts(
        code: "amount_not_positive", field: .amount, sentence: "The amount must be more than zero.")

    static func moreThanLeft(_ left: String) -> RefusalFacts {
        RefusalFacts(
            code: "more_than_left", field: .amount,
            sentence: "The amount is more than what is left to be refunded: \(left).")
    }
}

extension RefundPlan.Refusal {
    var facts: RefusalFacts {
        switch self {
        case .invalidRequestID: .invalidKey
        case .noReason: .noReason
        case .notPaid: .notPaid
        case .disputed: .disputed
        case .nothingLeft: .nothingLeft
        case .amountNotPositive: .notPositive
        case .moreThanLeft(let cents): .moreThanLeft("\(cents) US cents")
        }
    }
}

extension CreditRefund.Refusal {
    var facts: RefusalFacts {
        switch self {
        case .invalidRequestID: .invalidKey
        case .noReason: .noReason
        case .notPaid: .notPaid
        case .disputed: .disputed
        case .nothingLeft: .nothingLeft
        case .amountNotPositive: .notPositive
        case .moreThanLeft(let amount): .moreThanLeft("\(amount.value) millicredits")
        }
    }
}
