import Billing

extension PaymentSnapshot {
    /// What was read of one payment, checked as far as amounts can be counted together. Refunds and disputes
    /// oldest first.
    init(_ intent: PaymentIntent, refunds: [Refund], disputes: [Dispute]) throws(StripeFailure) {
        guard let status = Status(rawValue: intent.status) else {
            throw StripeFailure.unknown(.paymentIntent, intent.status)
        }
        // Without a paid charge there is no charge: the latest one may be a card that was declined.
        var charge: ChargeFacts?
        if let latest = intent.latestCharge, latest.isPaid {
            charge = try ChargeFacts(latest, currency: intent.currency)
        }
        var refundFacts: [RefundFacts] = []
        for refund in refunds.reversed() {
            refundFacts.append(try RefundFacts(refund, currency: intent.currency))
        }
        var disputeFacts: [DisputeFacts] = []
        for dispute in disputes.reversed() {
            disputeFacts.append(try DisputeFacts(dispute, currency: intent.currency))
        }
        self.init(
            paymentIntent: intent.id, status: status, livemode: intent.livemode ?? false,
            currency: intent.currency,
            amountCents: intent.amountCents, amountReceivedCents: intent.amountReceivedCents,
            metadata: intent.metadata, customer: intent.customer, charge: charge, refunds: refundFacts,
            disputes: disputeFacts, failureCode: intent.failureCode)
    }
}

extension PaymentSnapshot.ChargeFacts {
    fileprivate init(_ charge: Charge, currency: String) throws(StripeFailure) {
        guard charge.currency == currency else { throw StripeFailure(.foreignCurrency(object: .charge)) }
        // An account at Stripe that settles in another currency has its fees in that one: they cannot be counted here,
        // and credits do not wait for them.
        let transaction = charge.balanceTransaction.flatMap { $0.currency == currency ? $0 : nil }
        self.init(id: charge.id, receiptURL: charge.receiptURL, feeCents: transaction?.feeCents)
    }
}

extension PaymentSnapshot.RefundFacts {
    fileprivate init(_ refund: Refund, currency: String) throws(StripeFailure) {
        guard refund.currency == currency else { throw StripeFailure(.foreignCurrency(object: .refund)) }
        guard refund.amountCents >= 0 else { throw StripeFailure(.unreadableReply) }
        // Very old refunds have no status. They count, as a pending one does.
        guard let status = Status(rawValue: refund.status ?? Status.pending.rawValue) else {
            throw StripeFailure.unknown(.refund, refund.status)
        }
        self.init(id: refund.id, amountCents: refund.amountCents, status: status, metadata: refund.metadata)
    }
}

extension PaymentSnapshot.DisputeFacts {
    fileprivate init(_ dispute: Dispute, currency: String) throws(StripeFailure) {
        guard dispute.currency == currency else { throw StripeFailure(.foreignCurrency(object: .dispute)) }
        guard dispute.amountCents >= 0 else { throw StripeFailure(.unreadableReply) }
        var fee: Int64 = 0
        var withdrawn: Int64 = 0
        for transaction in dispute.balanceTransactions where transaction.currency == currency {
            fee = try fee.adding(transaction.feeCents)
            withdrawn = try withdrawn.adding(transaction.amountCents)
        }
        self.init(
            id: dispute.id, amountCents: dispute.amountCents, status: try Self.status(dispute.status),
            feeCents: fee, withdrawnCents: withdrawn)
    }

    private static func status(_ text: String) throws(StripeFailure) -> Status {
        switch text {
        // A lost dispute that we may appeal, or have appealed: the money stays with the bank, and the credits
        // stay taken back, until it says `won`.
        case "appeal_needs_response", "appeal_under_review": return .lost
        default:
            guard let status = Status(rawValue: text) else { throw StripeFailure.unknown(.dispute, text) }
            return status
        }
    }
}

extension StripeFailure {
    fileprivate static func unknown(_ object: StripeObjectName, _ status: String?) -> StripeFailure {
        StripeFailure(.unknownStatus(object: object, status: StripeErrorReply.word(status ?? "none")))
    }
}

extension Int64 {
    fileprivate func adding(_ other: Int64) throws(StripeFailure) -> Int64 {
        let (sum, overflow) = self.addingReportingOverflow(other)
        guard !overflow else { throw StripeFailure(.unreadableReply) }
        return sum
    }
}
