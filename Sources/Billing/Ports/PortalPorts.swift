import Metering

/// One browser that sees the credits page of one account.
public struct PortalSession: Sendable, Hashable {
    /// How it came to be.
    public enum Origin: String, Sendable, Hashable, CaseIterable {
        /// A link that the app's server asked for.
        case link
        /// A token that the app signed.
        case jwt
    }

    public var account: AccountID
    /// Milliseconds since 1970, by the ledger's clock.
    public var expiresAt: Int64
    /// Where the page leads back to, on a site of ours.
    public var returnURL: String?

    public init(account: AccountID, expiresAt: Int64, returnURL: String? = nil) {
        self.account = account
        self.expiresAt = expiresAt
        self.returnURL = returnURL
    }
}

/// Whose page a link opens.
public struct LinkOwner: Sendable, Hashable {
    public var account: AccountID
    public var userID: String

    public init(account: AccountID, userID: String) {
        self.account = account
        self.userID = userID
    }
}

/// Keeps links and sessions of the credits page. Only keyed digests of their secrets get here, and time is the
/// ledger's, so that instances agree on what has expired.
public protocol PortalSessionStore: Sendable {
    /// Makes a link that works once.
    ///
    /// - Parameter note: of a person who asks for it, for the audit log; nil: an app's server asks.
    /// - Returns: when it ends, milliseconds since 1970.
    func keepLink(
        _ digest: KeyDigest, to account: AccountID, returnURL: String?, lifetimeSeconds: Int64,
        note: ChangeNote?
    ) async throws -> Int64
    /// Uses nothing up. nil: the link opens nothing, or nothing any more.
    ///
    /// - Parameter digests: of one secret, while keys are rotated.
    func linkOwner(_ digests: [KeyDigest]) async throws -> LinkOwner?
    /// Uses a link up and opens a session. nil: there is no such link, it was used, or it has expired; of any number of
    /// callers at once, one gets the session.
    ///
    /// - Parameter digests: of one secret, while keys are rotated.
    func redeemLink(
        _ digests: [KeyDigest], opening session: KeyDigest, lifetimeSeconds: Int64
    ) async throws -> PortalSession?
    func openSession(
        _ session: KeyDigest, of account: AccountID, origin: PortalSession.Origin, lifetimeSeconds: Int64
    ) async throws -> PortalSession
    /// nil: there is none, or not any more.
    func portalSession(_ digests: [KeyDigest]) async throws -> PortalSession?
    func endPortalSession(_ digests: [KeyDigest]) async throws
    /// What nobody can use any more goes.
    func forgetExpired() async throws
}

/// What one model cost one account on one day.
public struct UsageDay: Sendable, Hashable {
    /// UTC, of admission.
    public var day: UTCDay
    public var model: String
    public var exchanges: Int64
    public var inputTokens: Int64
    public var outputTokens: Int64
    public var charged: Millicredits

    public init(
        day: UTCDay, model: String, exchanges: Int64, inputTokens: Int64, outputTokens: Int64,
        charged: Millicredits
    ) {
        self.day = day
        self.model = model
        self.exchanges = exchanges
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.charged = charged
    }
}

/// What only the credits page asks of the ledger.
public protocol PortalReading: Sendable {
    /// Oldest day first, then by model. Every exchange that counts is in exactly one of them.
    ///
    /// - Precondition: the caller bounds the days to `usageDaysMax`.
    func usageByDay(of account: AccountID, from: UTCDay, through: UTCDay) async throws -> [UsageDay]
    /// The month in which the account came to be, from which on there are statements; nil: there is no such account.
    func firstMonth(of account: AccountID) async throws -> UTCMonth?
}

/// Days that one chart shows at most.
public let usageDaysMax: Int32 = 92

/// Whether anything can be bought now, before anybody tries.
public protocol CheckoutStanding: Sendable {
    /// nil: checkouts are open.
    var refusalOfAll: CheckoutRefusal? { get }
}
