import Metering

/// A page on which a purchase can be paid.
public struct StartedCheckout: Sendable, Hashable {
    /// `cs_…`
    public var session: String
    public var url: String
    public var purchase: PurchaseID

    public init(session: String, url: String, purchase: PurchaseID) {
        self.session = session
        self.url = url
        self.purchase = purchase
    }
}

/// Why there is no page.
public enum CheckoutRefusal: Error, Sendable, Hashable {
    /// The kill switch.
    case purchasesDisabled
    /// No key of Stripe's is set.
    case notConfigured
    case unknownPackage
    /// Too many unpaid pages of this account in the last hour.
    case tooMany
    case returnURL(ReturnURLs.Refusal)
    /// Stripe said no, for good: a mistake of the set-up.
    case refusedByStripe
    /// Nobody knows; asking again is safe.
    case stripeUnavailable
    case ledgerUnavailable
}

/// Sells packages. What a client says of price or credits never gets here.
public protocol CheckoutDesk: Sendable {
    func checkOut(
        _ packageCode: String, for account: AccountID, successURL: String, cancelURL: String
    ) async throws(CheckoutRefusal) -> StartedCheckout
}

/// What Stripe is answered.
public enum WebhookAnswer: Sendable, Hashable {
    /// 2xx: it is committed, or it was before.
    case accepted
    /// 400: it is not Stripe's, or not readable.
    case refused(WebhookRefusal)
    /// 503: Stripe delivers it again.
    case tryAgain
    /// 503: no secret is set.
    case notConfigured
}

/// A metric label.
public enum WebhookRefusal: String, Sendable, Hashable, CaseIterable {
    case noSignature = "no_signature"
    case malformedSignature = "malformed_signature"
    case wrongSignature = "wrong_signature"
    /// Signed, but not now, and Stripe knows nothing of it.
    case badlyTimed = "badly_timed"
    case unreadable
}

/// Takes what Stripe delivers.
public protocol WebhookDesk: Sendable {
    /// - Parameters:
    ///   - body: as it came over the wire.
    ///   - signature: of the header `Stripe-Signature`.
    func receive(_ body: [UInt8], signature: String?) async -> WebhookAnswer
}
