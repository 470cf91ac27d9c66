import Billing
import HTTPTypes
import Hummingbird
import Logging
import Metering

/// A request of a browser that has a session.
struct PortalVisit: Sendable {
    var token: SessionToken
    var session: PortalSession
}

/// Links to the credits page, and the sessions that come of them.
public struct PortalSessions: Sendable {
    static let linkSeconds: Int64 = 300
    static let sessionSeconds: Int64 = 12 * 3600

    private let store: any PortalSessionStore
    private let hasher: KeyHasher
    private let isSecure: Bool

    /// - Parameters:
    ///   - hasher: made of `SESSION_SECRET`.
    ///   - isSecure: the site is reached by https; whoever only makes links need not know.
    public init(store: any PortalSessionStore, hasher: KeyHasher, isSecure: Bool = true) {
        self.store = store
        self.hasher = hasher
        self.isSecure = isSecure
    }

    /// Makes a link that opens the page of `account` once, within five minutes.
    ///
    /// - Parameters:
    ///   - publicURL: of the site, without a slash at its end.
    ///   - returnURL: already known to be on a site of ours.
    ///   - note: of a person who asks for it.
    /// - Returns: the whole URL, and when it ends: milliseconds since 1970.
    public func link(
        to account: AccountID, on publicURL: String, returnURL: String? = nil, note: ChangeNote? = nil
    ) async throws -> (url: String, expiresAt: Int64) {
        let token = SessionToken()
        let expiresAt = try await self.store.keepLink(
            token.digest(self.hasher), to: account, returnURL: returnURL, lifetimeSeconds: Self.linkSeconds,
            note: note)
        return ("\(publicURL)/billing/open?token=\(token.text)", expiresAt)
    }

    /// Whose page the link would open; nil: nobody's.
    func owner(of link: SessionToken) async throws -> LinkOwner? {
        try await Self.asking { try await self.store.linkOwner(link.candidates(self.hasher)) }
    }

    /// nil: the link opens nothing.
    func redeem(_ link: SessionToken) async throws -> PortalVisit? {
        let token = SessionToken()
        let session = try await Self.asking {
            try await self.store.redeemLink(
                link.candidates(self.hasher), opening: token.digest(self.hasher),
                lifetimeSeconds: Self.sessionSeconds)
        }
        return session.map { PortalVisit(token: token, session: $0) }
    }

    /// For whom the app vouches.
    func open(for account: AccountID) async throws -> PortalVisit {
        let token = SessionToken()
        let session = try await Self.asking {
            try await self.store.openSession(
                token.digest(self.hasher), of: account, origin: .jwt, lifetimeSeconds: Self.sessionSeconds)
        }
        return PortalVisit(token: token, session: session)
    }

    /// nil: the request has no session, or one that is over.
    func visit(_ request: Request) async throws -> PortalVisit? {
        guard let token = SessionCookie.portal.token(in: request, isSecure: self.isSecure) else { return nil }
        let session = try await Self.asking {
            try await self.store.portalSession(token.candidates(self.hasher))
        }
        return session.map { PortalVisit(token: token, session: $0) }
    }

    func end(_ token: SessionToken) async throws {
        try await Self.asking { try await self.store.endPortalSession(token.candidates(self.hasher)) }
    }

    private static func asking<Value: Sendable>(
        _ body: () async throws -> Value
    ) async throws(APIError) -> Value {
        do { return try await body() } catch { throw .unavailable }
    }
}

extension PortalVisit {
    /// Whether a page of ours asks for a change: `x-csrf-token`.
    func checkCSRF(_ request: Request) throws(APIError) {
        let safe: Set<HTTPRequest.Method> = [.get, .head, .options]
        guard !safe.contains(request.method) else { return }
        let values = request.headers[values: .csrfToken]
        guard values.count == 1, self.token.acceptsCSRF(values[0]) else { throw .notOurPage }
    }

    func checkCSRF(_ form: PageForm) throws(APIError) {
        guard let value = form["csrf"], self.token.acceptsCSRF(value) else { throw .notOurPage }
    }
}

extension APIError {
    /// A change that no page of this session asked for.
    static let notOurPage = APIError(
        status: .forbidden,
        message: "This did not come from a page of this session. Open the page again, and try once more.",
        code: "csrf_token_invalid", param: "x-csrf-token")
}

extension HTTPField.Name {
    static var fetchSite: HTTPField.Name {
        guard let name = HTTPField.Name("sec-fetch-site") else { preconditionFailure("it is a token") }
        return name
    }
}
