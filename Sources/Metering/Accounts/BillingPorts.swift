/// Something that can be bought (CONTRACT §5).
public struct CreditPackage: Sendable, Hashable {
    public var code: String
    public var version: Int64
    public var name: String
    public var priceUSDCents: Int64
    /// Granted credits, bonus included.
    public var credits: Int64
    public var bonusCredits: Int64

    public init(
        code: String, version: Int64, name: String, priceUSDCents: Int64, credits: Int64, bonusCredits: Int64
    ) {
        self.code = code
        self.version = version
        self.name = name
        self.priceUSDCents = priceUSDCents
        self.credits = credits
        self.bonusCredits = bonusCredits
    }
}

/// One line of `credit_ledger`.
public struct LedgerLine: Sendable, Hashable {
    public var version: Int64
    public var type: String
    public var amount: Millicredits
    public var balanceAfter: Millicredits
    public var referenceType: String
    public var referenceID: String
    /// Milliseconds since 1970.
    public var createdAt: Int64

    public init(
        version: Int64, type: String, amount: Millicredits, balanceAfter: Millicredits, referenceType: String,
        referenceID: String, createdAt: Int64
    ) {
        self.version = version
        self.type = type
        self.amount = amount
        self.balanceAfter = balanceAfter
        self.referenceType = referenceType
        self.referenceID = referenceID
        self.createdAt = createdAt
    }
}

/// One exchange as it counts: `usage_events` with its correction, if any.
public struct UsageLine: Sendable, Hashable {
    public var hold: HoldID
    public var kind: String
    public var model: String
    public var modelServed: String?
    public var endpoint: String
    public var inputTokens: Int64
    public var cachedInputTokens: Int64
    public var outputTokens: Int64
    public var reasoningTokens: Int64
    /// What most exchanges do not have; empty: nothing of it.
    public var parts: [UsagePart]
    public var priceID: String
    public var charged: Millicredits
    public var estimated: Bool
    /// Milliseconds since 1970.
    public var occurredAt: Int64

    public init(
        hold: HoldID, kind: String, model: String, modelServed: String?, endpoint: String, inputTokens: Int64,
        cachedInputTokens: Int64, outputTokens: Int64, reasoningTokens: Int64, parts: [UsagePart] = [],
        priceID: String, charged: Millicredits, estimated: Bool, occurredAt: Int64
    ) {
        self.hold = hold
        self.kind = kind
        self.model = model
        self.modelServed = modelServed
        self.endpoint = endpoint
        self.inputTokens = inputTokens
        self.cachedInputTokens = cachedInputTokens
        self.outputTokens = outputTokens
        self.reasoningTokens = reasoningTokens
        self.parts = parts
        self.priceID = priceID
        self.charged = charged
        self.estimated = estimated
        self.occurredAt = occurredAt
    }
}

/// What the ledger knows of one account, for people.
public struct AccountSummary: Sendable, Hashable {
    public var userID: String
    public var balance: LedgerBalance
    public var gate: AccountGate
    /// Newest first.
    public var recentLedger: [LedgerLine]
    /// Newest first.
    public var recentUsage: [UsageLine]

    public init(
        userID: String, balance: LedgerBalance, gate: AccountGate, recentLedger: [LedgerLine],
        recentUsage: [UsageLine]
    ) {
        self.userID = userID
        self.balance = balance
        self.gate = gate
        self.recentLedger = recentLedger
        self.recentUsage = recentUsage
    }
}

/// What the billing API needs of the ledger.
public protocol BillingReading: Sendable {
    /// nil: no such account.
    func summary(of account: AccountID) async throws -> AccountSummary?
    /// Exchanges as they count, newest first, at most `limit` of them.
    func usage(_ query: UsageQuery) async throws -> [UsageLine]
    /// The offers of today, cheapest first.
    func packages() async throws -> [CreditPackage]
}

/// What the billing API needs of the hold store.
public protocol HeldReading: Sendable {
    /// Σ open holds + Σ captured and not yet posted; nil when the store cannot answer.
    func held(of account: AccountID) async -> Millicredits?
}

/// One dependency of this instance, as `/api/ready` reports it.
public struct Readiness: Sendable, Hashable {
    public var name: String
    public var isReady: Bool

    public init(_ name: String, isReady: Bool) {
        self.name = name
        self.isReady = isReady
    }
}
