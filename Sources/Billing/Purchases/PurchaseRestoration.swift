import Metering

/// A purchase of which only the payment is left, because the ledger was set back to a time before it. It is made again from
/// its label, or a person is told why not; what is granted for it follows from the payment, as for any other.
public struct PurchaseRestoration: Sendable, Hashable {
    public enum Doubt: String, Error, Sendable, Hashable, CaseIterable {
        /// No such version of the package, or not at this price for these credits.
        case unknownPackage = "unknown_package"
        /// The number of its account was given to somebody else meanwhile, with whom its usage may be mixed up.
        case accountOfAnotherUser = "account_of_another_user"
    }

    private let label: PurchaseLabel
    private let package: CreditPackage

    /// - Parameters:
    ///   - package: of the label's code and version, sold still or not; nil: there is none.
    ///   - holder: user whose account has the label's number; nil: nobody.
    public init(
        _ label: PurchaseLabel, package: CreditPackage?, holder: String?
    ) throws(Doubt) {
        guard holder == nil || holder == label.userID else { throw .accountOfAnotherUser }
        guard let package, package.code == label.packageCode, package.version == label.packageVersion,
            package.priceUSDCents == label.priceUSDCents,
            Millicredits(credits: package.credits) == label.credits
        else { throw .unknownPackage }
        self.label = label
        self.package = package
    }

    /// - Parameter account: of the label's user.
    public func purchase(for account: AccountID) throws(Doubt) -> Purchase {
        do throws(Purchase.Failure) {
            return try Purchase(
                id: self.label.purchase, account: account, kind: self.label.kind, of: self.package,
                customer: nil, livemode: self.label.livemode,
                createdAt: Int64(clamping: self.label.purchase.uuid.millisecondsSinceEpoch))
        } catch {
            throw .unknownPackage
        }
    }

    /// Of a recharge; nil: it is none. The attempt under way takes it for its own while Stripe remembers its key, so that it
    /// is not charged a second time. Any other attempt is over for the machine of `Recharge`, which may have set out to
    /// count the same numbers again: none of its attempts ever has this key.
    ///
    /// - Parameters:
    ///   - underWay: number of the attempt that the machine waits for, if that has no purchase yet.
    ///   - now: milliseconds since 1970.
    public func attemptKey(for account: AccountID, underWay: Int64?, now: Int64) -> String? {
        guard let attempt = self.label.attempt else { return nil }
        let age = now - Int64(clamping: self.label.purchase.uuid.millisecondsSinceEpoch)
        let isUnderWay = attempt.number == underWay && age < Recharge.keyLifetime
        return isUnderWay
            ? RechargeAttempt.key(of: account, number: attempt.number)
            : RechargeAttempt.key(of: account, number: 0) + ":\(self.label.purchase)"
    }
}
