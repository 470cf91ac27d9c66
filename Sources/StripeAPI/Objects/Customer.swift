/// Who pays, at Stripe; one per account of ours.
public struct Customer: StripeObject, Hashable {
    /// `cus_…`
    public var id: String
    public var livemode: Bool?
}

/// A card, or another means of payment, that a customer has saved.
public struct PaymentMethod: StripeObject, Listed, Hashable {
    public struct Card: Decodable, Sendable, Hashable {
        public var brand: String
        public var last4: String
        public var expiryMonth: Int
        public var expiryYear: Int

        private enum CodingKeys: String, CodingKey {
            case brand, last4
            case expiryMonth = "exp_month"
            case expiryYear = "exp_year"
        }
    }

    /// `pm_…`
    public var id: String
    public var livemode: Bool?
    /// card, link, us_bank_account, …
    public var type: String
    /// nil for other types.
    public var card: Card?
}

/// Where Stripe sends events.
public struct WebhookEndpoint: StripeObject, Listed, Hashable {
    /// `we_…`
    public var id: String
    public var livemode: Bool?
    public var url: String
    /// enabled or disabled
    public var status: String
    /// `*` is all of them.
    public var enabledEvents: [String]
    /// nil: the account's default.
    public var apiVersion: String?

    private enum CodingKeys: String, CodingKey {
        case id, livemode, url, status
        case enabledEvents = "enabled_events"
        case apiVersion = "api_version"
    }
}

/// Whose key it is.
public struct Account: StripeObject, Hashable {
    /// `acct_…`
    public var id: String
    public var country: String?
    public var defaultCurrency: String?
    public var chargesEnabled: Bool?

    private enum CodingKeys: String, CodingKey {
        case id, country
        case defaultCurrency = "default_currency"
        case chargesEnabled = "charges_enabled"
    }
}
