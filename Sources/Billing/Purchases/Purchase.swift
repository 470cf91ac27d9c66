import Metering

/// One offer that was accepted, with price and credits as they were then. What a client says of them is never read.
public struct Purchase: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// A person pays on Stripe's page.
        case checkout
        /// The saved payment method is charged.
        case recharge
    }

    public enum Status: String, Sendable, Hashable, CaseIterable {
        /// Stripe may or may not have heard of it. Can become any other.
        case created
        /// There is a page on which it can be paid. Can become any but `created`.
        case open
        /// A bank is being asked; days may pass. Can become `paid`, `failed`, `quarantined`.
        case processing
        /// Credits were granted. Final: what comes back later is a reversal, not another status.
        case paid
        /// Can become `paid` or `processing` if Stripe took money all the same, `quarantined` if it is the wrong one.
        case expired
        /// As `expired`.
        case failed
        /// Stripe says something that does not fit; a person decides. Can become whatever fits later.
        case quarantined
    }

    public let id: PurchaseID
    public let account: AccountID
    public let kind: Kind
    public let packageCode: String
    public let packageVersion: Int64
    public let packageName: String
    public let priceUSDCents: Int64
    /// Bonus included.
    public let credits: Millicredits
    /// Of the key it is made with.
    public let livemode: Bool
    /// Milliseconds since 1970.
    public let createdAt: Int64

    public internal(set) var status: Status = .created
    /// `cs_…`.
    public internal(set) var session: String?
    /// `pi_…`, once it is known; never another one after that.
    public internal(set) var paymentIntent: String?
    /// `cus_…` of the account when the purchase was made; nil: Stripe makes one.
    public let customer: String?

    public enum Failure: Error, Sendable, Hashable {
        /// Nothing to pay, or more than `priceCentsMax`.
        case priceOutOfRange
        /// Fewer millicredits than cents: a cent could then be given back without taking a millicredit.
        case tooFewCredits
        /// Outside the ledger's range.
        case creditsOutOfRange
    }

    /// Stripe's own limit for a charge in USD.
    public static let priceCentsMax: Int64 = 99_999_999

    public init(
        id: PurchaseID, account: AccountID, kind: Kind, of package: CreditPackage, customer: String?,
        livemode: Bool, createdAt: Int64
    ) throws(Failure) {
        guard 1...Self.priceCentsMax ~= package.priceUSDCents else { throw .priceOutOfRange }
        guard let credits = Millicredits(credits: package.credits) else { throw .creditsOutOfRange }
        guard credits.value >= package.priceUSDCents else { throw .tooFewCredits }
        self.id = id
        self.account = account
        self.kind = kind
        self.packageCode = package.code
        self.packageVersion = package.version
        self.packageName = package.name
        self.priceUSDCents = package.priceUSDCents
        self.credits = credits
        self.customer = customer
        self.livemode = livemode
        self.createdAt = createdAt
    }

    /// As it was stored.
    public init(
        id: PurchaseID, account: AccountID, kind: Kind, packageCode: String, packageVersion: Int64,
        packageName: String, priceUSDCents: Int64, credits: Millicredits, livemode: Bool, createdAt: Int64,
        status: Status, session: String?, paymentIntent: String?, customer: String?
    ) {
        self.id = id
        self.account = account
        self.kind = kind
        self.packageCode = packageCode
        self.packageVersion = packageVersion
        self.packageName = packageName
        self.priceUSDCents = priceUSDCents
        self.credits = credits
        self.livemode = livemode
        self.createdAt = createdAt
        self.status = status
        self.session = session
        self.paymentIntent = paymentIntent
        self.customer = customer
    }
}

extension Purchase {
    /// The names by which session and payment intent are known again; `PurchaseLabel` has the rest of what they carry.
    public static let purchaseKey = "tollgate_purchase"
    public static let accountKey = "tollgate_account"
    public static let ledgerKey = "tollgate_ledger"
}
