extension PaymentSnapshot {
    /// A billion USD: sums of as many as fit into memory stay inside 64 bits.
    private static let centsMax: Int64 = 100_000_000_000

    /// What a peer says is checked before anything is added up.
    var amountsArePossible: Bool {
        let counts = 0...Self.centsMax
        let signed = -Self.centsMax...Self.centsMax
        return counts ~= self.amountCents && counts ~= self.amountReceivedCents
            && signed ~= self.charge?.feeCents ?? 0
            && self.refunds.allSatisfy { counts ~= $0.amountCents }
            && self.disputes.allSatisfy { dispute in
                counts ~= dispute.amountCents && signed ~= dispute.feeCents
                    && signed ~= dispute.withdrawnCents
            }
    }
}

extension PaymentSnapshot.RefundFacts {
    /// What it takes from the payment. Stripe debits us when a refund is made, not when it arrives; one that fails
    /// later gives it back.
    var takenCents: Int64 {
        switch self.status {
        case .pending, .requiresAction, .succeeded: self.amountCents
        case .failed, .canceled: 0
        }
    }
}

extension PaymentSnapshot.DisputeFacts {
    /// What it does to its account. Inquiries (`warning_…`) move no money, freeze nothing and suspend nobody.
    var hold: DisputeHold? {
        switch self.status {
        case .needsResponse, .underReview: .open
        case .lost: .lost
        case .warningNeedsResponse, .warningUnderReview, .warningClosed, .won, .prevented: nil
        }
    }

    var isOpen: Bool { self.hold == .open }

    /// What the bank took for good.
    var lostCents: Int64 {
        switch self.status {
        case .lost: self.amountCents
        // Resolved before it became a dispute: either by an ordinary refund, which counts as one, or by taking the
        // money (Visa RDR), which only the balance transactions show.
        case .prevented: max(0, -self.withdrawnCents)
        case .needsResponse, .underReview, .warningNeedsResponse, .warningUnderReview, .warningClosed, .won: 0
        }
    }
}
