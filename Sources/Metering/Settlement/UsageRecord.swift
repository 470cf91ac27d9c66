/// One exchange as the ledger keeps it, with the outcome that counts: what it consumed, and what was posted for it.
public struct UsageRecord: Sendable, Hashable {
    public var account: AccountID
    /// The account's external name.
    public var user: String
    public var hold: HoldID
    public var kind: Settlement.Kind
    /// The usage was not reported but estimated.
    public var isEstimated: Bool
    /// nil: a newer release named it.
    public var endpoint: Endpoint?
    /// As requested and priced.
    public var model: String
    /// As the response named it; nil when it named none.
    public var servedTier: String?
    public var priceID: String
    /// nil: the columns contradict each other, or a newer release wrote parts that this one does not know.
    public var usage: Usage?
    /// A newer release wrote parts that this one does not know.
    public var hasUnknownParts: Bool
    public var charged: Millicredits
    /// What would have been charged; differs from `charged` only for `.waived`.
    public var shadow: Millicredits
    public var cost: PicoUSD

    public init(
        account: AccountID, user: String, hold: HoldID, kind: Settlement.Kind, isEstimated: Bool = false,
        endpoint: Endpoint?, model: String, servedTier: String?, priceID: String, usage: Usage?,
        hasUnknownParts: Bool = false, charged: Millicredits, shadow: Millicredits, cost: PicoUSD
    ) {
        self.account = account
        self.user = user
        self.hold = hold
        self.kind = kind
        self.isEstimated = isEstimated
        self.endpoint = endpoint
        self.model = model
        self.servedTier = servedTier
        self.priceID = priceID
        self.usage = usage
        self.hasUnknownParts = hasUnknownParts
        self.charged = charged
        self.shadow = shadow
        self.cost = cost
    }

    /// The tier whose rates apply: `.default` when the response named none. nil: it named one without rates of its
    /// own.
    public var tier: ServiceTier? {
        guard let servedTier else { return .default }
        return ServiceTier(apiLiteral: servedTier)
    }
}
