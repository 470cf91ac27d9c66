import Metering

/// An attempt that is to be made now; it is stored.
public struct RechargeOrder: Sendable, Hashable {
    public var account: AccountID
    public var attempt: RechargeAttempt
    public var packageCode: String
    /// The purchase of this attempt, when it was made before.
    public var opened: OpenedRecharge?

    public init(
        account: AccountID, attempt: RechargeAttempt, packageCode: String, opened: OpenedRecharge?
    ) {
        self.account = account
        self.attempt = attempt
        self.packageCode = packageCode
        self.opened = opened
    }

    /// Names its purchase.
    public var key: String { self.attempt.key(of: self.account) }
}

/// A purchase of kind `recharge` as it is stored: a request that is repeated is the same to the letter.
public struct OpenedRecharge: Sendable, Hashable {
    public var purchase: Purchase
    /// `pm_…`
    public var paymentMethod: String

    public init(purchase: Purchase, paymentMethod: String) {
        self.purchase = purchase
        self.paymentMethod = paymentMethod
    }
}

/// Auto-recharge of one account as its owner sees it.
public struct RechargeStatus: Sendable, Hashable {
    public struct Attempt: Sendable, Hashable {
        public enum Outcome: Sendable, Hashable {
            case underWay
            case paid
            case failed(RechargeFailure)
            /// Nobody knows, and it is not asked for again.
            case unknown
        }

        public var number: Int64
        public var cents: Int64
        /// Milliseconds since 1970.
        public var startedAt: Int64
        public var outcome: Outcome
        /// nil: it ended before there was one.
        public var purchase: PurchaseID?

        public init(
            number: Int64, cents: Int64, startedAt: Int64, outcome: Outcome, purchase: PurchaseID?
        ) {
            self.number = number
            self.cents = cents
            self.startedAt = startedAt
            self.outcome = outcome
            self.purchase = purchase
        }
    }

    public var machine: Recharge
    /// The package is not sold any more, not at the price that was agreed to, or with no more credits than the threshold:
    /// nothing is charged.
    public var isPackageChanged: Bool
    public var lastAttempt: Attempt?

    public init(machine: Recharge, isPackageChanged: Bool, lastAttempt: Attempt?) {
        self.machine = machine
        self.isPackageChanged = isPackageChanged
        self.lastAttempt = lastAttempt
    }
}

/// What whoever looks at a recharge knows besides the ledger.
public struct RechargeContext: Sendable, Hashable {
    /// Milliseconds since 1970.
    public var now: Int64
    /// Of Stripe's key: test and live payments never meet.
    public var livemode: Bool
    /// The operator's bound of every account.
    public var dailyMaxCents: Int64
    /// An older ledger does not know what was charged, and decides nothing; nil: nothing was heard of it yet.
    public var heard: LedgerPosition?

    public init(now: Int64, livemode: Bool, dailyMaxCents: Int64, heard: LedgerPosition?) {
        self.now = now
        self.livemode = livemode
        self.dailyMaxCents = dailyMaxCents
        self.heard = heard
    }
}

/// Stores `Recharge`, one row per account; every change of it has the row locked. Its ends are told by
/// `PurchaseLedger.settle`, in the transaction that posts what they bring. Times are milliseconds since 1970;
/// `dailyMaxCents` is the operator's bound of every account.
public protocol RechargeLedger: PurchaseLedger {
    /// Accounts that may have something to do now; cheap when there are none.
    func rechargesDue(now: Int64, limit: Int64) async throws -> [AccountID]
    /// Asks the machine and stores its answer. nil: nothing to do, or another instance has the account.
    func decideRecharge(of account: AccountID, _ context: RechargeContext) async throws -> RechargeOrder?
    /// Stores the purchase of an attempt; the one that is stored already stands. nil: the reason of the attempt has
    /// gone, and it has ended.
    func openRecharge(
        _ purchase: Purchase, of order: RechargeOrder, paymentMethod: String, _ context: RechargeContext
    ) async throws -> OpenedRecharge?
    /// The attempt brought nothing, or nobody knows. With a purchase, Stripe refused that.
    func rechargeFailed(
        _ order: RechargeOrder, purchase: PurchaseID?, _ failure: RechargeFailure, now: Int64) async throws
    func rechargeStatus(of account: AccountID, dailyMaxCents: Int64) async throws -> RechargeStatus
    /// nil turns it off.
    func setRecharge(_ settings: RechargeSettings?, of account: AccountID) async throws
}

/// Why auto-recharge is not there, or not turned on.
public enum RechargeRefusal: Error, Sendable, Hashable {
    /// `BILLING_AUTO_RECHARGE` is off.
    case notEnabled
    case unknownPackage
    case settings(RechargeSettings.Failure)
    case ledgerUnavailable
}

/// The settings of auto-recharge, for their owner.
public protocol RechargeDesk: Sendable {
    func recharge(of account: AccountID) async throws(RechargeRefusal) -> RechargeStatus
    /// Also after a stop. The price is the package's of today.
    func turnOnRecharge(
        of account: AccountID, threshold: Millicredits, packageCode: String, dailyLimitCents: Int64
    ) async throws(RechargeRefusal) -> RechargeStatus
    /// Always possible.
    func turnOffRecharge(of account: AccountID) async throws(RechargeRefusal) -> RechargeStatus
}
