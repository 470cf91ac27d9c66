import Billing
import Metering

/// What the credits page is made of, besides what the billing API has.
public struct PortalParts: Sendable {
    public var site: WebSite
    public var store: any PortalSessionStore
    /// Made of `SESSION_SECRET`.
    public var hasher: KeyHasher
    public var reading: any PortalReading
    public var standing: any CheckoutStanding
    public var controls: any ControlSource
    /// Where links may lead back to: `PUBLIC_URL` and `CORS_ORIGINS`.
    public var returnOrigins: Set<WebOrigin>
    /// nil: the app signs no tokens.
    public var appTokens: AppTokens?

    public init(
        site: WebSite, store: any PortalSessionStore, hasher: KeyHasher, reading: any PortalReading,
        standing: any CheckoutStanding, controls: any ControlSource, returnOrigins: Set<WebOrigin>,
        appTokens: AppTokens?
    ) {
        self.site = site
        self.store = store
        self.hasher = hasher
        self.reading = reading
        self.standing = standing
        self.controls = controls
        self.returnOrigins = returnOrigins
        self.appTokens = appTokens
    }
}
