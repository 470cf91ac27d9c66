import Metering

/// What a user agreed to: below `threshold`, charge the saved card for this package, at most so much a day.
public struct RechargeSettings: Sendable, Hashable {
    /// Of available credits.
    public let threshold: Millicredits
    public let packageCode: String
    /// Of the package today; what is charged is the price of the purchase that is made then.
    public let priceUSDCents: Int64
    /// Per UTC day. Below the price only by an operator's maximum, and then nothing is charged.
    public private(set) var dailyLimitCents: Int64

    public enum Failure: Error, Sendable, Hashable {
        case thresholdNegative
        case priceNotPositive
        /// It would never charge anything.
        case limitBelowPrice
        /// The operator's, per UTC day.
        case limitAboveMaximum(cents: Int64)
        /// It would charge again at once, until the day's limit.
        case thresholdNotBelowCredits
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

    /// What a user may agree to today.
    ///
    /// - Parameter dailyMaxCents: the operator's.
    public init(
        threshold: Millicredits, package: CreditPackage, dailyLimitCents: Int64, dailyMaxCents: Int64
    ) throws(Failure) {
        try self.init(
            threshold: threshold, packageCode: package.code, priceUSDCents: package.priceUSDCents,
            dailyLimitCents: dailyLimitCents)
        guard let credits = Millicredits(credits: package.credits), self.isFilled(by: credits) else {
            throw .thresholdNotBelowCredits
        }
        guard dailyLimitCents <= dailyMaxCents else { throw .limitAboveMaximum(cents: dailyMaxCents) }
    }

    /// One charge of a balance of nothing takes it above the threshold.
    func isFilled(by credits: Millicredits) -> Bool { self.threshold < credits }

    /// A limit that was agreed to before the operator's became smaller counts as that.
    public func atMost(_ dailyMaxCents: Int64) -> RechargeSettings {
        var settings = self
        settings.dailyLimitCents = min(self.dailyLimitCents, dailyMaxCents)
        return settings
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
    public func key(of account: AccountID) -> String { Self.key(of: account, number: self.number) }

    public static func key(of account: AccountID, number: Int64) -> String { "recharge:\(account):\(number)" }

    /// The number in a key; 0, of no attempt, when there is none.
    public static func number(inKey key: String) -> Int64 {
        let parts = key.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false)
        return parts.count > 2 ? Int64(parts[2]) ?? 0 : 0
    }
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
    /// Its reason had gone before Stripe heard of it.
    case notWanted = "not_wanted"
}

/// Why recharging stopped until the user turns it on again.
public enum RechargeStop: String, Sendable, Hashable, CaseIterable {
    case declined
    case authenticationRequired = "authentication_required"
    case noPaymentMethod = "no_payment_method"
    /// For so long that repeating the request might charge anew.
    case outcomeUnknown = "outcome_unknown"
    /// A payment of the account was refunded or disputed.
    case reversed
    /// The ledger was set back, and does not know what was charged since.
    case restored
}

/// The balance as it was read once.
public struct RechargeSight: Sendable, Hashable {
    public let available: Millicredits
    /// Of the ledger: an older one does not know of the last recharge yet.
    public let version: Int64
    /// A disputed account is not charged again.
    public let isSuspended: Bool
    /// Of an earlier attempt, which was stopped: it may bring what is missing.
    public let isPaymentUnderWay: Bool

    public init(available: Millicredits, version: Int64, isSuspended: Bool, isPaymentUnderWay: Bool) {
        self.available = available
        self.version = version
        self.isSuspended = isSuspended
        self.isPaymentUnderWay = isPaymentUnderWay
    }
}
