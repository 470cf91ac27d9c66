import Metering

@testable import Billing

extension Purchase {
    static let testID = PurchaseID(HoldID(millisecondsSinceEpoch: 1_790_000_000_000, randomA: 1, randomB: 2))

    /// The runbook's starter package: 999 cents, 9,990,000 millicredits.
    static func starter(
        kind: Kind = .checkout, livemode: Bool = false, status: Status = .open,
        paymentIntent: String? = nil, customer: String? = "cus_1", price: Int64 = 999,
        credits: Int64 = 9_990_000
    ) -> Purchase {
        Purchase(
            id: Self.testID, account: 7, kind: kind, packageCode: "starter", packageVersion: 1,
            packageName: "Starter", priceUSDCents: price, credits: Millicredits(credits), livemode: livemode,
            createdAt: 1_790_000_000_000, status: status, session: "cs_1", paymentIntent: paymentIntent,
            customer: customer)
    }

    /// All that sessions and payments carried before they had a `PurchaseLabel`.
    var namesOfBefore: [String: String] {
        [Self.purchaseKey: self.id.description, Self.accountKey: String(self.account)]
    }
}

extension PaymentSnapshot {
    /// Paid in full, and nothing else happened.
    static func paid(_ cents: Int64 = 999, fee: Int64? = 59) -> PaymentSnapshot {
        PaymentSnapshot(
            paymentIntent: "pi_1", status: .succeeded, livemode: false, currency: "usd", amountCents: cents,
            amountReceivedCents: cents, metadata: Purchase.starter().namesOfBefore, customer: "cus_1",
            charge: .init(id: "ch_1", receiptURL: nil, feeCents: fee), refunds: [], disputes: [])
    }

    static func unpaid(_ status: Status) -> PaymentSnapshot {
        var snapshot = PaymentSnapshot.paid()
        snapshot.status = status
        snapshot.amountReceivedCents = 0
        snapshot.charge = nil
        return snapshot
    }

    func refunding(_ cents: Int64, _ status: RefundFacts.Status = .succeeded) -> PaymentSnapshot {
        var snapshot = self
        snapshot.refunds.append(
            .init(id: "re_\(self.refunds.count)", amountCents: cents, status: status))
        return snapshot
    }

    func disputing(_ cents: Int64, _ status: DisputeFacts.Status, fee: Int64 = 1500) -> PaymentSnapshot {
        var snapshot = self
        let withdrawn: Int64 =
            switch status {
            case .needsResponse, .underReview, .lost: -cents
            case .won, .prevented, .warningNeedsResponse, .warningUnderReview, .warningClosed: 0
            }
        snapshot.disputes.append(
            .init(
                id: "du_\(self.disputes.count)", amountCents: cents, status: status, feeCents: fee,
                withdrawnCents: withdrawn))
        return snapshot
    }
}

extension PaymentDecision {
    var postings: [PaymentPosting] {
        if case .post(let change) = self { change.postings } else { [] }
    }

    /// What would be posted, without keys.
    var effects: [PaymentPosting.Effect] { self.postings.map(\.effect) }

    /// Changes of the account's balance only.
    var lines: [Int64] {
        self.effects.compactMap { effect in
            switch effect {
            case .grant(let amount, _): amount.value
            case .reversal(let reversal): reversal.amount.value
            case .cash, .gate: nil
            }
        }
    }
}

extension PaymentPosted {
    /// After one payment was brought to its target from here.
    func following(_ snapshot: PaymentSnapshot, _ purchase: Purchase = .starter()) -> PaymentPosted {
        if case .post(let change) = PaymentDecision(purchase, snapshot, posted: self) {
            change.after
        } else {
            self
        }
    }
}
