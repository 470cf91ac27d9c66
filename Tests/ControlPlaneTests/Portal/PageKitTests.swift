import Billing
import HTTPTypes
import Hummingbird
import Metering
import NIOCore
import Testing

@testable import ControlPlane

/// What every page relies on.
@Suite struct PageKitTests {
    // MARK: Escaping

    /// Templates have no way around escaping.
    @Test(arguments: PageTemplates.sources.keys.sorted()) func noTemplateShowsRawText(_ name: String) throws {
        let text = try #require(PageTemplates.sources[name])
        for way in ["{{{", "{{&", "{{%", "onclick", "style=", "javascript:"] {
            #expect(!text.contains(way), "\(way)")
        }
        #expect(!text.contains("<script>") && !text.contains("<style"))
    }

    /// An accent makes another character of a quotation mark to Swift, but not to a browser.
    @Test(arguments: ["<", ">", "&", "\"", "'"]) func markupIsEscapedWhateverFollowsIt(_ mark: String) {
        for text in [mark, mark + "\u{301}", "a" + mark + "\u{200d}\u{301}"] {
            let escaped = EscapedHTML().escapeText(text)
            let marks: Set<Unicode.Scalar> = ["<", ">", "\"", "'"]
            #expect(!escaped.unicodeScalars.contains { marks.contains($0) }, "\(escaped)")
            #expect(escaped.unicodeScalars.contains("&") && escaped.unicodeScalars.contains(";"))
        }
    }

    @Test func textStaysTextInAPage() {
        let site = WebSite(
            name: "A", publicURL: "https://a.example", checkoutOrigins: [], appURL: nil, chartScript: nil)
        let evil = "\"\u{301} autofocus onfocus=alert(1) x='<script>alert(2)</script>"
        let page = Page.message(evil, evil, on: site)
        let text = PageTemplates.render(
            ["frame": page.frame, "content": page.content] as [String: Any], with: "message")
        let raw = text.unicodeScalars.split(separator: "\"").map { String(String.UnicodeScalarView($0)) }
        #expect(!raw.contains { $0.hasPrefix("\u{301}") })
        #expect(!text.contains("<script>alert"))
    }

    // MARK: Headers and files

    @Test func everyPageIsGuarded() async throws {
        let rig = PortalRig()
        let cookie = rig.portal.signIn(1).cookie
        for path in ["/billing", "/billing?tab=settings", "/billing/open?token=x", "/billing/signed-out"] {
            let page = try await rig.get(path, cookie: cookie)
            let policy = try #require(page.headers[.contentSecurityPolicy])
            #expect(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"))
            #expect(policy.contains("form-action 'self' https://checkout.stripe.com;"))
            #expect(!policy.contains("unsafe") && !policy.contains("*"))
            #expect(page.headers[.cacheControl] == "no-store" && page.headers[.frameOptions] == "DENY")
            #expect(page.headers[.strictTransportSecurity] == "max-age=31536000")
            #expect(page.headers[HTTPField.Name("x-content-type-options")!] == "nosniff")
        }
    }

    /// On plain http it would lock people out of a service that has no certificate.
    @Test func httpsIsDemandedWhereItIs() async throws {
        let rig = PortalRig(publicURL: "http://127.0.0.1:8080")
        #expect(try await rig.get("/billing").headers[.strictTransportSecurity] == nil)
    }

    @Test func filesAreKeptForEverUnderTheirDigest() async throws {
        let rig = PortalRig()
        let page = try await rig.get("/billing?tab=estimate", cookie: rig.portal.signIn(1).cookie)
        let paths = page.text.matches(of: #/(?:href|src)="(\/assets\/[^"]+)"/#).map { String($0.1) }
        #expect(Set(paths).count == 3, "sheet, icon, script")
        for path in paths {
            let file = try await rig.get(path)
            #expect(file.status == 200 && !file.text.isEmpty)
            #expect(file.headers[.cacheControl] == "public, max-age=31536000, immutable")
        }
        #expect(try await rig.get("/assets/site.0000000000000000.css").status == 404)
        #expect(try await rig.get("/assets/site.css").status == 404)
    }

    /// A reverse proxy may put the whole service below a path.
    @Test func aPathOfTheSiteIsInEveryAddress() async throws {
        let rig = PortalRig(publicURL: "https://a.example/pay")
        let session = rig.portal.signIn(1)
        let page = try await rig.get("/billing", cookie: session.cookie)
        for address in page.text.matches(of: #/(?:href|src|action)="(\/[^"]*)"/#).map({ String($0.1) }) {
            #expect(address.hasPrefix("/pay/"), "\(address)")
        }
        let out = try await rig.post(
            "/billing/sign-out", "csrf=\(session.token.csrf)", cookie: session.cookie)
        #expect(out.headers[.location] == "/pay/billing/signed-out")
    }

    @Test func onlyFormsAreForms() async throws {
        let rig = PortalRig()
        let session = rig.portal.signIn(1)
        let fields: HTTPFields = [.cookie: session.cookie, .contentType: "text/plain"]
        let reply = try await rig.rig.send(
            .post, "/billing/buy", fields: fields, body: "csrf=\(session.token.csrf)&package=starter")
        #expect(reply.status == 415)
        #expect(try await rig.post("/billing/buy", "csrf=%zz", cookie: session.cookie).status == 400)
    }

    // MARK: Figures

    @Test(arguments: [
        (0, "0", "$0.00"), (1, "0.001", "$0.000001"), (3_720, "3.72", "$0.00372"),
        (9_990_000, "9,990", "$9.99"), (1_234_567_890, "1,234,567.89", "$1,234.56789"),
        (-500, "−0.5", "−$0.0005"), (999_999, "999.999", "$0.999999"), (100_000, "100", "$0.10"),
    ])
    func amountsAreExact(millicredits: Int, credits: String, dollars: String) {
        #expect(Figures.credits(Int64(millicredits)) == credits)
        #expect(Figures.dollars(Int64(millicredits)) == dollars)
    }

    @Test func changesHaveTheirSign() {
        #expect(Figures.change(Millicredits(5_000)) == "+5")
        #expect(Figures.change(Millicredits(-5_250)) == "−5.25")
        #expect(Figures.change(.zero) == "0")
        #expect(Figures.share(7, of: 8) == "7 of 8 (87.5 %)")
        #expect(Figures.share(9_999, of: 10_000) == "9,999 of 10,000 (99.9 %)")
        #expect(Figures.share(3, of: 3) == "3 of 3 (100.0 %)" && Figures.share(0, of: 0) == "none yet")
    }

    @Test(
        arguments: [
            ("1000", 1_000_000), ("1,000.5", 1_000_500), ("1,234,567", 1_234_567_000), ("0", 0),
            ("15,5", nil),
            ("1,5", nil), ("1,0000", nil), (",100", nil), ("1000,000", nil), ("0.001", 1), ("0.0001", nil),
            ("-1", nil),
            ("", nil), ("ten", nil), ("1e3", nil), ("99999999999999999999", nil),
        ] as [(String, Int64?)])
    func whatPeopleTypeIsReadExactly(text: String, millicredits: Int64?) {
        #expect(Figures.parse(text, digits: 3) == millicredits)
    }

    @Test func momentsAreForMachinesAndPeople() {
        let moment = Moment(1_795_801_205_999)
        #expect(moment.machine == "2026-11-27T17:40:05Z")
        #expect(moment.text == "27\u{a0}Nov\u{a0}2026, 17:40\u{a0}UTC")
        #expect(Moment(-1).machine == "1969-12-31T23:59:59Z")
    }
}
