/// A page at Stripe on which one purchase is paid.
public struct CheckoutSession: StripeObject, Listed, Hashable {
    public enum Status: String, Sendable, Hashable { case open, complete, expired }
    public enum PaymentStatus: String, Sendable, Hashable {
        case paid, unpaid
        case noPaymentRequired = "no_payment_required"
    }

    /// `cs_…`
    public var id: String
    public var livemode: Bool?
    /// nil: Stripe says something this version does not know.
    public var status: Status?
    /// A complete session may still be unpaid: a bank debit takes days.
    public var paymentStatus: PaymentStatus?
    /// Where the customer pays; nil when the session is not open any more.
    public var url: String?
    /// nil until the customer pays.
    public var paymentIntent: String?
    public var customer: String?
    public var clientReferenceID: String?
    public var metadata: [String: String]
    public var amountTotalCents: Int64?
    public var currency: String?
    /// Seconds since 1970.
    public var expiresAt: Int64?

    private enum CodingKeys: String, CodingKey {
        case id, livemode, status, url, customer, metadata, currency
        case paymentStatus = "payment_status"
        case paymentIntent = "payment_intent"
        case clientReferenceID = "client_reference_id"
        case amountTotalCents = "amount_total"
        case expiresAt = "expires_at"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.id = try values.decode(String.self, forKey: .id)
        self.livemode = try values.decode(Bool.self, forKey: .livemode)
        self.status = try values.decodeIfPresent(String.self, forKey: .status).flatMap {
            Status(rawValue: $0)
        }
        self.paymentStatus = PaymentStatus(rawValue: try values.decode(String.self, forKey: .paymentStatus))
        self.url = try values.decodeIfPresent(String.self, forKey: .url)
        self.paymentIntent = try values.id(.paymentIntent)
        self.customer = try values.id(.customer)
        self.clientReferenceID = try values.decodeIfPresent(String.self, forKey: .clientReferenceID)
        self.metadata = try values.texts(.metadata)
        self.amountTotalCents = try values.decodeIfPresent(Int64.self, forKey: .amountTotalCents)
        self.currency = try values.decodeIfPresent(String.self, forKey: .currency)
        self.expiresAt = try values.decodeIfPresent(Int64.self, forKey: .expiresAt)
    }
}
