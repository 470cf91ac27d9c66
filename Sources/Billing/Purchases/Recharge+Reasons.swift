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
    /// It claws credits back, freezes more of them, or tells of a dispute that is new, or newly open or lost. That a
    /// dispute ends, or gets its name, takes nothing.
    ///
    /// - Parameter before: what was posted until now.
    public func takesBack(since before: PaymentPosted) -> Bool {
        guard case .post(let change) = self else { return false }
        return change.postings.contains { posting in
            switch posting.effect {
            case .reversal(let reversal): reversal.amount < .zero
            case .gate(let frozen, let disputes):
                frozen > before.state.frozen || Self.hasNews(disputes, since: before.state.disputes)
            case .grant, .cash: false
            }
        }
    }

    /// Each dispute that a release without names has seen explains one name, in the same state.
    private static func hasNews(
        _ disputes: [String: DisputeHold], since before: [String: DisputeHold]
    ) -> Bool {
        var fresh: [DisputeHold: Int] = [:]
        for (id, hold) in disputes where before[id] != hold {
            guard before[id] == nil else { return true }
            fresh[hold, default: 0] += 1
        }
        for (id, hold) in before where id.hasPrefix("unnamed:") && disputes[id] == nil {
            fresh[hold, default: 0] -= 1
        }
        return fresh.values.contains { $0 > 0 }
    }
}
