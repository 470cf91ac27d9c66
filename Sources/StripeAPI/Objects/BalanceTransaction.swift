/// One movement of the balance that Stripe keeps for us, in the currency in which the account is settled.
public struct BalanceTransaction: StripeObject, Listed, Hashable {
    /// `txn_…`
    public var id: String
    /// charge, payment, refund, payment_refund, adjustment, stripe_fee, payout, …
    public var type: String
    public var currency: String
    /// Before fees: positive is in, negative is out.
    public var amountCents: Int64
    public var feeCents: Int64
    /// `amountCents - feeCents`
    public var netCents: Int64
    /// What moved it: `ch_…`, `re_…`, `dp_…`; nil for some fees and payouts.
    public var source: String?
    /// Seconds since 1970.
    public var createdAt: Int64

    private enum CodingKeys: String, CodingKey {
        case id, type, currency, source, created
        case amountCents = "amount"
        case feeCents = "fee"
        case netCents = "net"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.id = try values.decode(String.self, forKey: .id)
        self.type = try values.decode(String.self, forKey: .type)
        self.currency = try values.decode(String.self, forKey: .currency)
        self.amountCents = try values.decode(Int64.self, forKey: .amountCents)
        self.feeCents = try values.decode(Int64.self, forKey: .feeCents)
        self.netCents = try values.decode(Int64.self, forKey: .netCents)
        self.source = try values.id(.source)
        self.createdAt = try values.decode(Int64.self, forKey: .created)
    }
}
