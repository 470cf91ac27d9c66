import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

/// What a browser's session may do, and what it may not.
@Suite struct PortalSessionTests {
    private static let summary = "/api/billing/summary"
    private static let estimate = #"{"model":"gpt-4o-mini","inputTokens":1,"outputTokens":1}"#

    @Test func aSessionReadsTheBillingAPIOfItsAccount() async throws {
        let rig = PortalRig()
        let cookie = rig.portal.signIn(2).cookie
        let reply = try await rig.get(Self.summary, cookie: cookie)
        #expect(try reply.status == 200 && reply.string("balanceMillicredits") == "9990000")
        #expect(try await rig.get(Self.summary + "?userId=ada", cookie: cookie).status == 403)
        #expect(try await rig.get("/api/admin/purchases", cookie: cookie).status == 401)
    }

    @Test(arguments: [
        nil, "__Host-tollgate_portal=", "__Host-tollgate_portal=" + String(repeating: "0", count: 64),
    ])
    func whoeverHasNoneSeesNothing(_ cookie: String?) async throws {
        let rig = PortalRig()
        #expect(try await rig.get(Self.summary, cookie: cookie).status == 401)
        let page = try await rig.get("/billing?tab=credits", cookie: cookie)
        #expect(page.status == 401)
        #expect(page.text.contains(#"href="https://app.example/home""#), "it says where to go")
    }

    @Test func aSessionEnds() async throws {
        let rig = PortalRig()
        let cookie = rig.portal.signIn(1).cookie
        rig.portal.state.withLock { $0.now += 1000 }
        #expect(try await rig.get(Self.summary, cookie: cookie).status == 401)
    }

    /// A key in the request is what it is about; a cookie that comes along does not widen it.
    @Test func aKeyGoesBeforeACookie() async throws {
        let rig = PortalRig()
        let fields: HTTPFields = [.cookie: rig.portal.signIn(2).cookie]
        let reply = try await rig.rig.send(.get, Self.summary, FakeLedger.adaKey, fields: fields)
        #expect(try reply.string("balanceMillicredits") == "3720")
        #expect(try await rig.rig.send(.get, Self.summary, "tg_wrong", fields: fields).status == 401)
    }

    @Test(arguments: [nil, "", "x", String(repeating: "0", count: 64)])
    func nothingChangesWithoutTheTokenOfThePage(_ csrf: String?) async throws {
        let desk = FakeDesk()
        let rig = PortalRig(desk: desk)
        let session = rig.portal.signIn(1)
        var fields: HTTPFields = [.cookie: session.cookie]
        fields[.csrfToken] = csrf
        let order = #"{"packageCode":"starter","successUrl":"https://a/","cancelUrl":"https://a/"}"#
        for (path, body) in [
            ("/api/billing/estimate", Self.estimate), ("/api/stripe/create-checkout-session", order),
        ] {
            let reply = try await rig.rig.send(.post, path, fields: fields, body: body)
            #expect(try reply.status == 403 && reply.string("code") == "csrf_token_invalid", "\(path)")
        }
        #expect(try await rig.rig.send(.delete, "/api/billing/auto-recharge", fields: fields).status == 403)
        let form = "package=starter" + (csrf.map { "&csrf=\($0)" } ?? "")
        #expect(try await rig.post("/billing/buy", form, cookie: session.cookie).status == 403)
        #expect(try await rig.post("/billing/sign-out", form, cookie: session.cookie).status == 403)
        #expect(try await rig.post("/billing/auto-recharge", form, cookie: session.cookie).status == 403)
        let orders = desk.orders.withLock { $0 }
        #expect(orders.isEmpty)
        #expect(
            try await rig.get(Self.summary, cookie: session.cookie).status == 200, "it is still signed in")
    }

    @Test func theTokenOfAnotherSessionIsNoneOfThis() async throws {
        let rig = PortalRig()
        let (mine, other) = (rig.portal.signIn(1), rig.portal.signIn(1))
        var fields: HTTPFields = [.cookie: mine.cookie, .csrfToken: other.token.csrf]
        let path = "/api/billing/estimate"
        #expect(try await rig.rig.send(.post, path, fields: fields, body: Self.estimate).status == 403)
        fields[.csrfToken] = mine.token.csrf
        #expect(try await rig.rig.send(.post, path, fields: fields, body: Self.estimate).status == 200)
    }

    /// A sibling domain can plant a cookie of any name but this one.
    @Test func aSessionWithoutThePrefixIsNoneByHTTPS() async throws {
        let rig = PortalRig()
        let cookie = rig.portal.signIn(1).cookie
        #expect(try await rig.get(Self.summary, cookie: cookie).status == 200)
        let planted = String(cookie.dropFirst("__Host-".count))
        #expect(try await rig.get(Self.summary, cookie: planted).status == 401)
        #expect(try await rig.get(Self.summary, cookie: planted + "; " + cookie).status == 200)
    }

    @Test func enteringAgainEndsTheSessionOfBefore() async throws {
        let rig = PortalRig()
        let (old, other) = (rig.portal.signIn(1).cookie, rig.portal.signIn(1).cookie)
        let token = try #require(try await rig.link("ada").split(separator: "=").last)
        let opened = try await rig.post("/billing/open", "token=\(token)", cookie: old)
        #expect(try await rig.get(Self.summary, cookie: opened.cookie).status == 200)
        #expect(try await rig.get(Self.summary, cookie: old).status == 401)
        #expect(try await rig.get(Self.summary, cookie: other).status == 200, "of another browser")
    }

    @Test func signingOutEndsTheSession() async throws {
        let rig = PortalRig()
        let (token, cookie) = rig.portal.signIn(1)
        let reply = try await rig.post("/billing/sign-out", "csrf=\(token.csrf)", cookie: cookie)
        #expect(reply.status == 303 && reply.headers[.location] == "/billing/signed-out")
        #expect(reply.headers[.setCookie]?.contains("Max-Age=0") == true)
        #expect(try await rig.get(Self.summary, cookie: cookie).status == 401)
        #expect(try await rig.get("/billing/signed-out").status == 200)
        let again = try await rig.post("/billing/sign-out", "csrf=\(token.csrf)", cookie: cookie)
        #expect(again.status == 303, "twice is harmless")
    }
}
