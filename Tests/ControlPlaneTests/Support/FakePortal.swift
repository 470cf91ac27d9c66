import Billing
import HTTPTypes
import Metering
import Synchronization

@testable import ControlPlane

/// Links and sessions in memory, on a clock that only tests move.
final class FakePortal: PortalSessionStore, PortalReading, CheckoutStanding, ControlSource {
    struct Link {
        var account: AccountID
        var returnURL: String?
        var expiresAt: Int64
        var isUsed = false
    }

    struct State {
        var now: Int64 = 1_790_000_000_000
        var links: [KeyDigest: Link] = [:]
        var sessions: [KeyDigest: PortalSession] = [:]
        var days: [AccountID: [UsageDay]] = [:]
        var refusal: CheckoutRefusal?
        var isDown = false
        var controls = Controls()
    }

    struct Down: Error {}

    static let hasher = KeyHasher(peppers: [Array("session secret of 32 bytes or so!".utf8)])
    static let publicURL = "https://pay.example"

    let state = Mutex(State())

    var current: Controls { self.state.withLock { $0.controls } }

    func parts(
        _ tokens: AppTokens? = nil, publicURL: String = FakePortal.publicURL, hasChart: Bool = true
    ) -> PortalParts {
        PortalParts(
            site: WebSite(
                name: "Example", publicURL: publicURL, checkoutOrigins: ["https://checkout.stripe.com"],
                appURL: "https://app.example/home", chartScript: hasChart ? Array("/* chart */".utf8) : nil),
            store: self, hasher: Self.hasher, reading: self, standing: self, controls: self,
            returnOrigins: Set([WebOrigin("https://app.example")].compactMap { $0 }), appTokens: tokens)
    }

    /// A session of `account`, and the cookie of the browser that has it.
    func signIn(_ account: AccountID) -> (token: SessionToken, cookie: String) {
        let token = SessionToken()
        self.state.withLock {
            $0.sessions[token.digest(Self.hasher)] = PortalSession(
                account: account, expiresAt: $0.now + 1000)
        }
        return (token, "__Host-tollgate_portal=\(token.text)")
    }

    private func asked<Value>(_ body: (inout sending State) throws -> sending Value) throws -> sending Value {
        try self.state.withLock { state in
            guard !state.isDown else { throw Down() }
            return try body(&state)
        }
    }

    var refusalOfAll: CheckoutRefusal? { self.state.withLock { $0.refusal } }

    func keepLink(
        _ digest: KeyDigest, to account: AccountID, returnURL: String?, lifetimeSeconds: Int64,
        note: ChangeNote?
    ) async throws -> Int64 {
        try self.asked { state in
            let expiresAt = state.now + lifetimeSeconds * 1000
            state.links[digest] = Link(account: account, returnURL: returnURL, expiresAt: expiresAt)
            return expiresAt
        }
    }

    func linkOwner(_ digests: [KeyDigest]) async throws -> LinkOwner? {
        try self.asked { state in
            digests.compactMap { state.links[$0] }.first { !$0.isUsed && $0.expiresAt > state.now }
        }.map { LinkOwner(account: $0.account, userID: $0.account == 1 ? "ada" : "somebody else") }
    }

    func redeemLink(
        _ digests: [KeyDigest], opening session: KeyDigest, lifetimeSeconds: Int64
    ) async throws -> PortalSession? {
        try self.asked { state in
            for digest in digests {
                guard let link = state.links[digest], !link.isUsed, link.expiresAt > state.now else {
                    continue
                }
                state.links[digest]?.isUsed = true
                let opened = PortalSession(
                    account: link.account, expiresAt: state.now + lifetimeSeconds * 1000,
                    returnURL: link.returnURL)
                state.sessions[session] = opened
                return opened
            }
            return nil
        }
    }

    func openSession(
        _ session: KeyDigest, of account: AccountID, origin: PortalSession.Origin, lifetimeSeconds: Int64
    ) async throws -> PortalSession {
        try self.asked { state in
            let opened = PortalSession(account: account, expiresAt: state.now + lifetimeSeconds * 1000)
            state.sessions[session] = opened
            return opened
        }
    }

    func portalSession(_ digests: [KeyDigest]) async throws -> PortalSession? {
        try self.asked { state in
            digests.compactMap { state.sessions[$0] }.first { $0.expiresAt > state.now }
        }
    }

    func endPortalSession(_ digests: [KeyDigest]) async throws {
        try self.asked { state in for digest in digests { state.sessions[digest] = nil } }
    }

    func forgetExpired() async throws {}

    func usageByDay(of account: AccountID, from: UTCDay, through: UTCDay) async throws -> [UsageDay] {
        try self.asked { state in
            (state.days[account] ?? []).filter { from <= $0.day && $0.day <= through }
        }
    }

    func firstMonth(of account: AccountID) async throws -> UTCMonth? { UTCMonth(year: 2026, month: 9) }
}
