/// Money given back.
public struct Refund: StripeObject, Listed, Hashable {
    /// `re_…`
    public var id: String
    public var amountCents: Int64
    public var currency: String
    /// As Stripe says it; nil for some very old ones.
    public var status: String?
    public var paymentIntent: String?
    public var metadata: [String: String]
    /// Seconds since 1970.
    public var createdAt: Int64

    private enum CodingKeys: String, CodingKey {
        case id, currency, status, metadata, created
        case amountCents = "amount"
        case paymentIntent = "payment_intent"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.id = try values.decode(String.self, forKey: .id)
        self.amountCents = try values.decode(Int64.self, forKey: .amountCents)
        self.currency = try values.decode(String.self, forKey: .currency)
        self.status = try values.decodeIfPresent(String.self, forKey: .status)
        self.paymentIntent = try values.id(.paymentIntent)
        self.metadata = try values.texts(.metadata)
        self.createdAt = try values.decode(Int64.self, forKey: .created)
    }
}

/// A bank takes money back, or asks about it.
public struct Dispute: StripeObject, Listed, Hashable {
    /// `dp_…` or `du_…`
    public var id: String
    public var livemode: Bool?
    public var amountCents: Int64
    public var currency: String
    /// As Stripe says it.
    public var status: String
    public var paymentIntent: String?
    /// None (an inquiry), one (withdrawn) or two (and given back).
    public var balanceTransactions: [BalanceTransaction]

    private enum CodingKeys: String, CodingKey {
        case id, livemode, currency, status
        case amountCents = "amount"
        case paymentIntent = "payment_intent"
        case balanceTransactions = "balance_transactions"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.id = try values.decode(String.self, forKey: .id)
        self.livemode = try values.decode(Bool.self, forKey: .livemode)
        self.amountCents = try values.decode(Int64.self, forKey: .amountCents)
        self.currency = try values.decode(String.self, forKey: .currency)
        self.status = try values.decode(String.self, forKey: .status)
        self.paymentIntent = try values.id(.paymentIntent)
        self.balanceTransactions =
            try values.decodeIfPresent(
                [BalanceTransaction].self, forKey: .balanceTransactions) ?? []
    }
}
