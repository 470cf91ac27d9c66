import Metering

/// Where one payment ought to be: a pure function of the purchase and of what Stripe says now. Which events led
/// there, how often and in which order, does not matter.
public struct PaymentTarget: Sendable, Hashable {
    /// The purchase's credits once the payment succeeded, else zero.
    public var granted: Millicredits = .zero
    /// What the lot was paid with; zero unless granted.
    public var paidCents: Int64 = 0
    /// Given back by us, as far as it was paid.
    public var refundedCents: Int64 = 0
    /// Taken back by banks, as far as refunds left anything of it.
    public var lostCents: Int64 = 0
    public var clawedByRefunds: Millicredits = .zero
    public var clawedByDisputes: Millicredits = .zero
    /// Raises the account's floor while a bank decides.
    public var frozen: Millicredits = .zero
    /// A bank is deciding about it.
    public var isDisputed = false
    /// Disputes that keep its account suspended, by their ids, unless a person lifts them.
    public var disputes: [String: DisputeHold] = [:]
    /// What moved at Stripe, for the books.
    public var cash = PaymentCash()

    public init() {}

    public var isGranted: Bool { self.granted > .zero }
    /// ⌈credits × reversed / paid⌉, however it was reversed.
    public var clawed: Millicredits {
        Millicredits(self.clawedByRefunds.value + self.clawedByDisputes.value)
    }
    /// Never above what was paid.
    public var reversedCents: Int64 { self.refundedCents + self.lostCents }
}

/// Why a dispute keeps its account suspended. One that is won, was only an inquiry or was prevented does not.
public enum DisputeHold: String, Sendable, Hashable, CaseIterable {
    /// A bank decides.
    case open
    /// The bank took the money for good; only a person, or the bank that overturns it, ends this.
    case lost
}

/// Money at Stripe because of one payment, in US cents since its beginning.
public struct PaymentCash: Sendable, Hashable {
    /// nil until Stripe says.
    public var feeCents: Int64?
    /// With the banks of disputes that are open, won or lost; what came back is subtracted.
    public var withdrawnCents: Int64 = 0
    /// Withdrawn for good, beyond what the customer had paid and not yet got back: our loss.
    public var lostBeyondPaidCents: Int64 = 0
    public var disputeFeeCents: Int64 = 0

    public init() {}
}

/// What does not fit together, so that a person must look; a metric label. Nothing is posted.
public enum PaymentDoubt: String, Error, Sendable, Hashable, CaseIterable {
    /// Test money never buys live credits, nor the other way round.
    case wrongLivemode = "wrong_livemode"
    /// The purchase was made with another payment: two must not grant it twice.
    case anotherPayment = "another_payment"
    /// Nothing but an event says that it belongs to this purchase.
    case namesNoPurchase = "names_no_purchase"
    case namesAnotherPurchase = "names_another_purchase"
    case namesAnotherAccount = "names_another_account"
    case wrongCurrency = "wrong_currency"
    /// Less than the price came.
    case wrongAmount = "wrong_amount"
    /// What came is not what came when it was granted.
    case amountChanged = "amount_changed"
    /// Negative, or beyond anything Stripe moves.
    case impossibleAmount = "impossible_amount"
}

extension PaymentTarget {
    /// - Parameter isGranted: whether credits were granted for this payment before. Who it belongs to was settled
    ///   then; metadata that somebody edits later must not keep a refund from being posted.
    public init(
        _ purchase: Purchase, _ snapshot: PaymentSnapshot, isGranted: Bool = false
    ) throws(PaymentDoubt) {
        guard snapshot.livemode == purchase.livemode else { throw .wrongLivemode }
        if let bound = purchase.paymentIntent, bound != snapshot.paymentIntent { throw .anotherPayment }
        if !isGranted { try Self.checkNames(purchase, snapshot) }
        guard snapshot.amountsArePossible else { throw .impossibleAmount }
        guard snapshot.status == .succeeded else { return }
        guard snapshot.currency == "usd" else { throw .wrongCurrency }
        let paid = snapshot.amountReceivedCents
        // The upper bound keeps a cent worth at least a millicredit, as `Purchase.init` does for the price.
        guard paid >= purchase.priceUSDCents, paid <= purchase.credits.value else { throw .wrongAmount }
        // From here on this must succeed.
        self.granted = purchase.credits
        self.paidCents = paid
        self.reverse(snapshot)
        self.freeze(snapshot)
        self.cash = PaymentCash(snapshot, lostCents: self.lostCents)
    }

    private static func checkNames(
        _ purchase: Purchase, _ snapshot: PaymentSnapshot
    ) throws(PaymentDoubt) {
        if let named = snapshot.metadata[Purchase.purchaseKey] {
            guard named == purchase.id.description else { throw .namesAnotherPurchase }
        } else {
            guard purchase.paymentIntent != nil else { throw .namesNoPurchase }
        }
        if let named = snapshot.metadata[Purchase.accountKey] {
            guard named == String(purchase.account) else { throw .namesAnotherAccount }
        }
    }

    /// Refunds count first, disputes get what is left of the payment.
    private mutating func reverse(_ snapshot: PaymentSnapshot) {
        self.refundedCents = min(self.paidCents, snapshot.refunds.reduce(0) { $0 + $1.takenCents })
        let lost = snapshot.disputes.reduce(0) { $0 + $1.lostCents }
        self.lostCents = min(self.paidCents - self.refundedCents, lost)
        self.clawedByRefunds = self.share(of: self.refundedCents)
        self.clawedByDisputes = Millicredits(
            self.share(of: self.reversedCents).value - self.clawedByRefunds.value)
    }

    private mutating func freeze(_ snapshot: PaymentSnapshot) {
        let open = snapshot.disputes.filter(\.isOpen)
        self.isDisputed = !open.isEmpty
        for dispute in snapshot.disputes { self.disputes[dispute.id] = dispute.hold }
        let disputed = min(self.paidCents, open.reduce(0) { $0 + $1.amountCents })
        let left = Millicredits(self.granted.value - self.clawed.value)
        self.frozen = min(self.share(of: disputed), left)
    }

    /// ⌈credits × cents / paid⌉: the only rounding of a reversal, to our side, and exact for the whole.
    private func share(of cents: Int64) -> Millicredits {
        let product = Int128(self.granted.value) * Int128(cents)
        let (quotient, remainder) = product.quotientAndRemainder(dividingBy: Int128(self.paidCents))
        return Millicredits(Int64(quotient) + (remainder > 0 ? 1 : 0))
    }
}

extension PaymentCash {
    fileprivate init(_ snapshot: PaymentSnapshot, lostCents: Int64) {
        self.feeCents = snapshot.charge?.feeCents
        self.withdrawnCents = snapshot.disputes.reduce(0) { $0 - $1.withdrawnCents }
        let withdrawnForGood = snapshot.disputes.filter { $0.lostCents > 0 }.reduce(0) {
            $0 - $1.withdrawnCents
        }
        self.lostBeyondPaidCents = max(0, withdrawnForGood - lostCents)
        self.disputeFeeCents = snapshot.disputes.reduce(0) { $0 + $1.feeCents }
    }
}
