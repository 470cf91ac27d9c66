/// How money goes back: refunds and disputes.
extension StripeWorld {
    /// `amount` in cents, already known to be left on the charge.
    mutating func refund(
        _ charge: Charge, amount: Int, reason: String?, metadata: [String: String]
    ) -> Refund {
        let bank = charge.method.isBank
        var refund = Refund(
            id: self.identifiers.next(bank ? "pyr_" : "re_"), created: self.seconds, amount: amount,
            currency: charge.currency, charge: charge.id, intent: charge.intent, reason: reason,
            metadata: metadata, status: bank ? .pending : .succeeded)
        refund.balanceTransaction =
            self.move(
                -amount, charge.currency, bank ? .paymentRefund : .refund, "refund", source: refund.id
            ).id
        self.refunds.add(refund)
        let before = charge.amountRefunded
        var charge = charge
        charge.amountRefunded += amount
        self.charges[charge.id] = charge
        self.emit("refund.created", refund)
        self.emit("charge.refunded", charge, previous: ["amount_refunded": .int(before)])
        return refund
    }

    /// The bank's answer to a refund. A failed one gives its amount back to the charge; a card refund may
    /// fail long after it succeeded. Nil when there is nothing to change.
    mutating func settleRefund(_ id: String, _ status: Refund.Status) -> Refund? {
        guard var refund = self.refunds[id], refund.counts, status != refund.status, status != .pending,
            var charge = self.charges[refund.charge]
        else { return nil }
        let before = refund.status
        refund.status = status
        if !refund.counts {
            charge.amountRefunded -= refund.amount
            self.charges[charge.id] = charge
            refund.failureReason = status == .failed ? "lost_or_stolen_card" : nil
            refund.failureBalanceTransaction =
                self.move(
                    refund.amount, refund.currency,
                    charge.method.isBank ? .paymentFailureRefund : .refundFailure, "refund_failure",
                    source: id
                ).id
        }
        self.refunds[id] = refund
        if status == .failed { self.emit("refund.failed", refund) }
        let previous: JSON = ["status": .text(before.rawValue)]
        self.emit("refund.updated", refund, previous: previous)
        self.emit("charge.refund.updated", refund, previous: previous)
        return refund
    }

    /// `amount` in cents, nil for what is left of the charge. An inquiry moves no money.
    mutating func openDispute(_ charge: Charge, amount: Int?, reason: String, inquiry: Bool) -> Dispute {
        var charge = charge
        charge.disputed = true
        self.charges[charge.id] = charge
        var dispute = Dispute(
            id: self.identifiers.next("du_"), created: self.seconds,
            amount: amount ?? charge.amount - charge.amountRefunded, currency: charge.currency,
            charge: charge.id,
            intent: charge.intent, reason: reason, status: inquiry ? .warningNeedsResponse : .needsResponse)
        if inquiry {
            self.disputes.add(dispute)
            self.emit("charge.dispute.created", dispute)
        } else {
            self.withdraw(&dispute)
            self.emit("charge.dispute.created", dispute)
            self.emit("charge.dispute.funds_withdrawn", dispute)
        }
        return dispute
    }

    enum DisputeStep: String, CaseIterable {
        /// Evidence was handed in.
        case respond
        /// An inquiry becomes a dispute.
        case escalate
        /// An inquiry ends well.
        case closeWarning = "close_warning"
        case win
        case lose
    }

    /// Nil when the dispute's state does not allow the step. A lost dispute can still be won, as at Stripe.
    mutating func advance(dispute id: String, _ step: DisputeStep) -> Dispute? {
        guard var dispute = self.disputes[id] else { return nil }
        let previous: JSON = ["status": .text(dispute.status.rawValue)]
        switch (step, dispute.status) {
        case (.respond, .needsResponse): dispute.status = .underReview
        case (.respond, .warningNeedsResponse): dispute.status = .warningUnderReview
        case (.escalate, _) where dispute.status.isInquiry:
            dispute.status = .needsResponse
            self.withdraw(&dispute)
            self.emit("charge.dispute.funds_withdrawn", dispute)
        case (.closeWarning, _) where dispute.status.isInquiry: dispute.status = .warningClosed
        case (.lose, _) where dispute.status.isOpen: dispute.status = .lost
        case (.win, _) where dispute.status.isOpen || dispute.status == .lost:
            dispute.status = .won
            dispute.balanceTransactions.append(
                self.move(
                    dispute.amount, dispute.currency, .adjustment, "dispute_reversal", source: dispute.id,
                    "Chargeback reversal for \(dispute.charge)"))
            self.disputes[id] = dispute
            self.emit("charge.dispute.funds_reinstated", dispute)
        default: return nil
        }
        self.disputes[id] = dispute
        let closed = [.warningClosed, .won, .lost].contains(dispute.status)
        self.emit(closed ? "charge.dispute.closed" : "charge.dispute.updated", dispute, previous: previous)
        return dispute
    }

    private mutating func withdraw(_ dispute: inout Dispute) {
        dispute.balanceTransactions.append(
            self.move(
                -dispute.amount, fee: BalanceTransaction.disputeFee, dispute.currency, .adjustment, "dispute",
                source: dispute.id, "Chargeback withdrawal for \(dispute.charge)"))
        self.disputes[dispute.id] = dispute
    }
}
