/// For the checklist before going live: where Stripe sends events, and which.
public struct ListWebhookEndpoints: StripeListing {
    public typealias Item = WebhookEndpoint
    public var pages = PageReader<WebhookEndpoint>(["webhook_endpoints"])

    public init() {}
}

/// For the checklist before going live: the key works, and whose it is.
public struct RetrieveAccount: StripeCall {
    public typealias Output = Account

    public init() {}

    public var request: StripeRequest { StripeRequest(.get, ["account"]) }
}
