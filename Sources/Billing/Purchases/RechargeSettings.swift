import Metering

/// What a user agreed to: below `threshold`, charge the saved card for this package, at most so much a day.
public struct RechargeSettings: Sendable, Hashable {
    /// Of available credits.
    public let threshold: Millicredits
    public let packageCode: String
    /// Of the package today; what is charged is the price of the purchase that is made then.
    public let priceUSDCents: Int64
    /// Per UTC day.
    public let dailyLimitCents: Int64

    public enum Failure: Error, Sendable, Hashable {
        case thresholdNegative
        case priceNotPositive
        /// It would never charge anything.
        case limitBelowPrice
    }

    public init(
        threshold: Millicredits, packageCode: String, priceUSDCents: Int64, dailyLimitCents: Int64
    ) throws(Failure) {
        guard threshold >= .zero else { throw .thresholdNegative }
        guard 1...Purchase.priceCentsMax ~= priceUSDCents else { throw .priceNotPositive }
        guard dailyLimitCents >= priceUSDCents else { throw .limitBelowPrice }
        self.threshold = threshold
        self.packageCode = packageCode
        self.priceUSDCents = priceUSDCents
        self.dailyLimitCents = dailyLimitCents
    }
}

/// One charge of a saved card.
public struct RechargeAttempt: Sendable, Hashable {
    /// 1, 2, 3, … per account.
    public let number: Int64
    public let cents: Int64
    /// Milliseconds since 1970.
    public let startedAt: Int64

    public init(number: Int64, cents: Int64, startedAt: Int64) {
        self.number = number
        self.cents = cents
        self.startedAt = startedAt
    }

    /// Names the purchase of this attempt: one attempt has one purchase, however often it is asked for.
    public func key(of account: AccountID) -> String { "recharge:\(account):\(self.number)" }
}

/// Why an attempt brought nothing, or nothing yet.
public enum RechargeFailure: String, Sendable, Hashable, CaseIterable {
    /// The bank said no; it may say yes another day.
    case declined
    /// The bank wants its customer, who is not there.
    case authenticationRequired = "authentication_required"
    /// No saved card, or one that cannot be charged any more.
    case noPaymentMethod = "no_payment_method"
    /// Stripe refused the request, and so made no payment.
    case refused
    /// No answer, or one that says nothing: the money may have moved.
    case outcomeUnknown = "outcome_unknown"
}

/// Why recharging stopped until the user turns it on again.
public enum RechargeStop: String, Sendable, Hashable, CaseIterable {
    case declined
    case authenticationRequired = "authentication_required"
    case noPaymentMethod = "no_payment_method"
    /// For so long that repeating the request might charge anew.
    case outcomeUnknown = "outcome_unknown"
}

/// The balance as it was read once.
public struct RechargeSight: Sendable, Hashable {
    public let available: Millicredits
    /// Of the ledger: an older one does not know of the last recharge yet.
    public let version: Int64
    /// A disputed account is not charged again.
    public let isSuspended: Bool

    public init(available: Millicredits, version: Int64, isSuspended: Bool) {
        self.available = available
        self.version = version
        self.isSuspended = isSuspended
    }
}
