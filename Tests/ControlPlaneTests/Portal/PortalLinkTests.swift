import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

/// A link opens the page of one user, once.
@Suite struct PortalLinkTests {
    private static let home = "/billing?tab=credits"

    private func token(_ link: String) throws -> String {
        String(try #require(link.split(separator: "=").last))
    }

    /// Programs that look at links before people do must not use them up.
    @Test func lookingAtALinkUsesNothingUp() async throws {
        let rig = PortalRig()
        let link = try await rig.link("ada")
        for _ in 0..<3 {
            let page = try await rig.get(link)
            #expect(page.status == 200 && page.headers[.setCookie] == nil)
            #expect(page.text.contains(">ada<"), "whoever opens it sees whose page it is")
            #expect(page.headers[HTTPField.Name("referrer-policy")!] == "no-referrer")
        }
        let opened = try await rig.post("/billing/open", "token=\(try self.token(link))")
        #expect(opened.status == 303 && opened.headers[.location] == Self.home)
    }

    @Test func aLinkOpensThePageOfItsUserOnce() async throws {
        let rig = PortalRig()
        let form = "token=\(try self.token(try await rig.link("ada")))"
        let opened = try await rig.post("/billing/open", form)
        let field = try #require(opened.headers[.setCookie])
        for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=43200"] {
            #expect(field.contains("; \(part)"), "\(part)")
        }
        let page = try await rig.get(Self.home, cookie: opened.cookie)
        #expect(page.status == 200 && page.text.contains("ada"))
        let again = try await rig.post("/billing/open", form)
        #expect(again.status == 410 && again.headers[.setCookie] == nil)
        #expect(try await rig.get("/billing/open?\(form)").status == 410)
    }

    /// Else a link that somebody sent would have a person pay for an account that is not theirs.
    @Test func aLinkOfAnotherAccountDoesNotOpenByItself() async throws {
        let rig = PortalRig()
        let link = try await rig.link("ada")
        let own = try await rig.get(link, cookie: rig.portal.signIn(1).cookie)
        #expect(own.text.contains("data-submit-at-once") && own.text.contains("/assets/open."))
        let other = try await rig.get(link, cookie: rig.portal.signIn(2).cookie)
        #expect(other.status == 200 && other.text.contains(">ada<"))
        #expect(!other.text.contains("data-submit-at-once") && !other.text.contains("/assets/open."))
        #expect(other.text.contains("another account is open"))
    }

    @Test func ofManyAtOnceOneGetsTheSession() async throws {
        let rig = PortalRig()
        let form = "token=\(try self.token(try await rig.link("ada")))"
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<20 { group.addTask { try await rig.post("/billing/open", form).status } }
            return try await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(statuses == [303: 1, 410: 19])
    }

    @Test func aLinkEndsAfterFiveMinutes() async throws {
        let rig = PortalRig()
        let form = "token=\(try self.token(try await rig.link("ada")))"
        rig.portal.state.withLock { $0.now += 300_000 }
        #expect(try await rig.post("/billing/open", form).status == 410)
    }

    @Test(arguments: ["", "token=", "token=abc", "token=" + String(repeating: "0", count: 64), "other=1"])
    func nothingElseOpensAnything(_ form: String) async throws {
        let reply = try await PortalRig().post("/billing/open", form)
        #expect(reply.status == 410 && reply.headers[.setCookie] == nil)
    }

    /// Somebody else's form must not sign a person in as another user, who then pays for them.
    @Test(arguments: [
        ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example"),
    ])
    func aFormOnAnotherSiteIsRefused(name: String, value: String) async throws {
        let rig = PortalRig()
        let form = "token=\(try self.token(try await rig.link("ada")))"
        let fields: HTTPFields = [HTTPField.Name(name)!: value]
        #expect(try await rig.post("/billing/open", form, fields: fields).status == 403)
        let own: HTTPFields = [.origin: FakePortal.publicURL]
        #expect(try await rig.post("/billing/open", form, fields: own).status == 303, "it was not used up")
    }

    // MARK: Who makes links

    @Test func onlyAServiceKeyMakesLinks() async throws {
        let rig = PortalRig()
        func status(_ token: String?, user: String? = nil) async throws -> Int {
            try await rig.rig.send(.post, "/api/billing/portal-session", token, user: user).status
        }
        #expect(try await status(nil) == 401)
        #expect(try await status("tg_unknown") == 401)
        #expect(try await status(FakeLedger.adaKey) == 403)
        #expect(try await status(FakeLedger.serviceKey) == 400, "it names no user")
        #expect(try await status(FakeLedger.serviceKey, user: "ada") == 200)
    }

    @Test func aLinkLeadsBackToSitesOfOursOnly() async throws {
        let rig = PortalRig()
        let link = try await rig.link("ada", #"{"returnUrl":"https://app.example/settings?x=1"}"#)
        let opened = try await rig.post("/billing/open", "token=\(try self.token(link))")
        let page = try await rig.get(Self.home, cookie: opened.cookie)
        #expect(page.text.contains(#"href="https://app.example/settings?x=1""#))
        for url in ["https://evil.example/", "javascript:alert(1)", "https://app.example@evil.example/", ""] {
            let reply = try await rig.rig.send(
                .post, "/api/billing/portal-session", FakeLedger.serviceKey, user: "ada",
                body: #"{"returnUrl":"\#(url)"}"#)
            #expect(try reply.status == 400 && reply.string("param") == "returnUrl", "\(url)")
        }
    }

    @Test(arguments: [
        ("https://app.example/", 2048, 200), ("https://app.example/", 2049, 400),
        ("https://app.example?", 2048, 400),
    ])
    func aReturnURLHasALimit(start: String, bytes: Int, status: Int) async throws {
        let url = start + String(repeating: "x", count: bytes - start.utf8.count)
        let reply = try await PortalRig().rig.send(
            .post, "/api/billing/portal-session", FakeLedger.serviceKey, user: "ada",
            body: #"{"returnUrl":"\#(url)"}"#)
        #expect(reply.status == status)
        if status == 400 {
            #expect(
                try reply.string("param") == "returnUrl" && reply.string("error")?.contains("2048") == true)
        }
    }

    @Test func aLedgerThatIsAwayIsTold() async throws {
        let rig = PortalRig()
        let link = try await rig.link("ada")
        rig.portal.state.withLock { $0.isDown = true }
        #expect(try await rig.post("/billing/open", "token=\(try self.token(link))").status == 503)
        let cookie = rig.portal.signIn(1).cookie
        let page = try await rig.get(Self.home, cookie: cookie)
        #expect(page.status == 503 && page.headers[.contentType] == "text/html; charset=utf-8")
    }
}
