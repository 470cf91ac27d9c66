import Metering

/// What the metadata of our sessions and payments say: whose they are, and everything that the purchase is made of, so that
/// it can be made again when the ledger was set back to a time before it.
public struct PurchaseLabel: Sendable, Hashable {
    /// Of a recharge.
    public struct Attempt: Sendable, Hashable {
        /// Of `Recharge`; 0 names none.
        public var number: Int64
        /// `pm_…`
        public var paymentMethod: String

        public init(number: Int64, paymentMethod: String) {
            self.number = number
            self.paymentMethod = paymentMethod
        }
    }

    public let ledger: LedgerID
    public let purchase: PurchaseID
    /// Only a number: after a restore it can be another user's.
    public let account: AccountID
    public let userID: String
    public let packageCode: String
    public let packageVersion: Int64
    public let priceUSDCents: Int64
    public let credits: Millicredits
    public let livemode: Bool
    /// nil: a checkout.
    public let attempt: Attempt?

    /// - Precondition: the caller guarantees an attempt for a recharge, and only for one.
    public init(_ purchase: Purchase, userID: String, ledger: LedgerID, attempt: Attempt?) {
        precondition((purchase.kind == .recharge) == (attempt != nil), "a recharge is one attempt")
        self.ledger = ledger
        self.purchase = purchase.id
        self.account = purchase.account
        self.userID = userID
        self.packageCode = purchase.packageCode
        self.packageVersion = purchase.packageVersion
        self.priceUSDCents = purchase.priceUSDCents
        self.credits = purchase.credits
        self.livemode = purchase.livemode
        self.attempt = attempt
    }

    public var kind: Purchase.Kind { self.attempt == nil ? .checkout : .recharge }
}

extension PurchaseLabel {
    /// Stripe takes no more characters in a value, and 50 keys.
    static let valueLengthMax = 500

    /// The same to the letter however often the purchase is asked for. A package whose code Stripe would refuse is sold
    /// all the same: its purchases cannot be made again.
    public var metadata: [String: String] {
        var values: [Key: String] = [
            .purchase: self.purchase.description, .account: String(self.account),
            .ledger: self.ledger.description, .user: self.userID, .package: self.packageCode,
            .version: String(self.packageVersion), .cents: String(self.priceUSDCents),
            .millicredits: String(self.credits.value), .kind: self.kind.rawValue,
            .mode: self.livemode ? "live" : "test",
        ]
        if let attempt {
            values[.attempt] = String(attempt.number)
            values[.paymentMethod] = attempt.paymentMethod
        }
        let fitting = values.filter { $0.value.unicodeScalars.count <= Self.valueLengthMax }
        return Dictionary(uniqueKeysWithValues: fitting.map { ($0.key.rawValue, $0.value) })
    }

    /// nil: something is missing, or cannot be what it says.
    public init?(_ metadata: [String: String]) {
        func text(_ key: Key) -> String? { metadata[key.rawValue] }
        func count(_ key: Key) -> Int64? { text(key).flatMap { Int64($0) } }
        guard let ledger = text(.ledger).flatMap({ LedgerID(text: $0) }),
            let purchase = text(.purchase).flatMap({ PurchaseID(text: $0) }),
            let account = count(.account), account > 0,
            let user = text(.user), UserID.isValid(user), let package = text(.package),
            let version = count(.version), let cents = count(.cents),
            let credits = count(.millicredits), 1...Millicredits.magnitudeMax ~= credits,
            let kind = text(.kind).flatMap({ Purchase.Kind(rawValue: $0) }),
            let mode = text(.mode), ["live", "test"].contains(mode)
        else { return nil }
        var attempt: Attempt?
        if kind == .recharge {
            guard let number = count(.attempt), number >= 0, let method = text(.paymentMethod) else {
                return nil
            }
            attempt = Attempt(number: number, paymentMethod: method)
        }
        self.ledger = ledger
        self.purchase = purchase
        self.account = account
        self.userID = user
        self.packageCode = package
        self.packageVersion = version
        self.priceUSDCents = cents
        self.credits = Millicredits(credits)
        self.livemode = mode == "live"
        self.attempt = attempt
    }

    private enum Key: String {
        case purchase = "tollgate_purchase"
        case account = "tollgate_account"
        case ledger = "tollgate_ledger"
        case user = "tollgate_user"
        case package = "tollgate_package"
        case version = "tollgate_package_version"
        case cents = "tollgate_price_cents"
        case millicredits = "tollgate_millicredits"
        case kind = "tollgate_kind"
        case mode = "tollgate_mode"
        case attempt = "tollgate_attempt"
        case paymentMethod = "tollgate_payment_method"
    }
}
