/// One attempt to get money from one customer, successful or not.
public struct PaymentIntent: StripeObject, Listed, Hashable {
    /// `pi_…`
    public var id: String
    public var livemode: Bool?
    /// As Stripe says it; `PaymentSnapshot.Status` has the ones that are known.
    public var status: String
    public var currency: String
    public var amountCents: Int64
    public var amountReceivedCents: Int64
    public var customer: String?
    public var metadata: [String: String]
    /// Seconds since 1970.
    public var createdAt: Int64
    /// Only where the request expands it.
    public var latestCharge: Charge?
    /// Why the last try brought nothing: the bank's decline code, else Stripe's code. A word.
    public var failureCode: String?

    private struct LastError: Decodable {
        var code: String?
        var declineCode: String?

        enum CodingKeys: String, CodingKey {
            case code
            case declineCode = "decline_code"
        }
    }

    private enum CodingKeys: String, CodingKey {
        case id, livemode, status, currency, customer, metadata, created
        case amountCents = "amount"
        case amountReceivedCents = "amount_received"
        case latestCharge = "latest_charge"
        case lastError = "last_payment_error"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.id = try values.decode(String.self, forKey: .id)
        self.livemode = try values.decode(Bool.self, forKey: .livemode)
        self.status = try values.decode(String.self, forKey: .status)
        self.currency = try values.decode(String.self, forKey: .currency)
        self.amountCents = try values.decode(Int64.self, forKey: .amountCents)
        self.amountReceivedCents = try values.decodeIfPresent(Int64.self, forKey: .amountReceivedCents) ?? 0
        self.customer = try values.id(.customer)
        self.metadata = try values.texts(.metadata)
        self.createdAt = try values.decode(Int64.self, forKey: .created)
        self.latestCharge = try values.decodeIfPresent(Expanded<Charge>.self, forKey: .latestCharge)?.object
        let error = try values.decodeIfPresent(LastError.self, forKey: .lastError)
        // `authentication_required` can stand in either; every other pair means that the card was declined.
        let code =
            error?.code == "authentication_required" ? error?.code : error?.declineCode ?? error?.code
        self.failureCode = error == nil ? nil : StripeErrorReply.word(code ?? "unknown")
    }
}

/// Money that was taken, or was not.
public struct Charge: StripeObject, Listed, Hashable {
    /// `ch_…` or `py_…`
    public var id: String
    public var livemode: Bool?
    public var isPaid: Bool
    /// As Stripe says it.
    public var status: String
    public var currency: String
    public var amountCents: Int64
    public var amountRefundedCents: Int64
    public var isDisputed: Bool
    public var paymentIntent: String?
    public var receiptURL: String?
    /// Seconds since 1970.
    public var createdAt: Int64
    /// Only where the request expands it, and once Stripe has settled the charge.
    public var balanceTransaction: BalanceTransaction?

    private enum CodingKeys: String, CodingKey {
        case id, livemode, paid, status, currency, disputed, created
        case amountCents = "amount"
        case amountRefundedCents = "amount_refunded"
        case paymentIntent = "payment_intent"
        case receiptURL = "receipt_url"
        case balanceTransaction = "balance_transaction"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.id = try values.decode(String.self, forKey: .id)
        self.livemode = try values.decode(Bool.self, forKey: .livemode)
        self.isPaid = try values.decode(Bool.self, forKey: .paid)
        self.status = try values.decode(String.self, forKey: .status)
        self.currency = try values.decode(String.self, forKey: .currency)
        self.amountCents = try values.decode(Int64.self, forKey: .amountCents)
        self.amountRefundedCents = try values.decodeIfPresent(Int64.self, forKey: .amountRefundedCents) ?? 0
        self.isDisputed = try values.decodeIfPresent(Bool.self, forKey: .disputed) ?? false
        self.paymentIntent = try values.id(.paymentIntent)
        self.receiptURL = try values.decodeIfPresent(String.self, forKey: .receiptURL)
        self.createdAt = try values.decode(Int64.self, forKey: .created)
        self.balanceTransaction = try values.decodeIfPresent(
            Expanded<BalanceTransaction>.self, forKey: .balanceTransaction)?.object
    }
}
