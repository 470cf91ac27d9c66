import Metering

extension Recharge {
    /// Whether the balance is a reason to charge.
    func isWanted(_ sight: RechargeSight) -> Bool {
        guard let settings = self.settings else { return false }
        return !sight.isSuspended && sight.version >= self.versionLeast
            && sight.available < settings.threshold
    }

    /// Whether the reason for an order is still there: between the decision and its purchase a process may have died,
    /// or Stripe have been away for hours. To be asked under the lock under which the purchase is stored; from then on
    /// Stripe may have heard of it, and it goes on.
    ///
    /// - Precondition: the caller guarantees settings as they are today (`with`).
    public func mayOpen(
        _ purchase: Purchase, of order: RechargeOrder, seeing sight: RechargeSight
    ) -> Bool {
        guard case .asking(let attempt, _) = self.state, attempt == order.attempt,
            let settings = self.settings, self.isWanted(sight), !sight.isPaymentUnderWay
        else { return false }
        // The day counts this attempt already, with the price that was decided on.
        return purchase.packageCode == settings.packageCode
            && purchase.priceUSDCents == settings.priceUSDCents && purchase.priceUSDCents == attempt.cents
            && settings.isFilled(by: purchase.credits) && self.spent.cents <= settings.dailyLimitCents
    }
}

extension PaymentDecision {
    /// It claws credits back or freezes them.
    public var takesBack: Bool {
        guard case .post(let change) = self else { return false }
        return change.postings.contains { posting in
            switch posting.effect {
            case .reversal(let reversal): reversal.amount < .zero
            case .gate(let frozen, let disputes): frozen > .zero || !disputes.isEmpty
            case .grant, .cash: false
            }
        }
    }
}
