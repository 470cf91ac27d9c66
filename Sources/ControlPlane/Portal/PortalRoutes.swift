import Billing
import Foundation
import HTTPTypes
import Hummingbird
import Metering

/// How people get to the credits page, and how they leave it: links of `POST /api/billing/portal-session`, tokens of
/// the app at `POST /billing/session`.
struct PortalRoutes: Sendable {
    let parts: PortalParts
    let sessions: PortalSessions
    let credentials: Credentials

    private static let bodyBytesMax = 16 << 10
    /// What the ledger keeps of one.
    private static let returnURLBytesMax = 2048
    static let home = "/billing?tab=credits"

    func add(to table: inout RouteTable) {
        table.post("/api/billing/portal-session", access: .service, Self.linkOperation) { request, _ in
            try await self.makeLink(request)
        }
        table.get(
            "/billing/open", access: .page,
            PageRoutes.page(on: self.site) { request, _ in try await self.showLink(request) })
        table.post(
            "/billing/open", access: .page,
            PageRoutes.page(on: self.site) { request, _ in try await self.redeem(request) })
        table.post("/billing/session", access: .page) { request, context in
            try await self.openWithToken(request, context)
        }
        table.post(
            "/billing/sign-out", access: .page,
            PageRoutes.page(on: self.site) { request, _ in try await self.leave(request) })
        table.get("/billing/signed-out", access: .page) { _, _ in
            Page.message(
                "You are signed out", "Open the page again from the app.", on: self.site, linkToApp: true
            )
            .response(self.site)
        }
    }

    private static let linkOperation = Operation(
        .billing, "createPortalSession", "A single-use link that opens the credits page for the user.",
        body: .object([.optional("returnUrl", .string(format: "uri"))]),
        reply: .object([.init("url", .string(format: "uri")), .init("expiresAt", .string)]))

    private var site: WebSite { self.parts.site }

    // MARK: Links

    private struct LinkOrder: Decodable {
        var returnUrl: String?
    }

    private func makeLink(_ request: Request) async throws -> Response {
        let account = try await self.credentials.serviceAccount(of: request)
        let body = try await request.body.collect(upTo: Self.bodyBytesMax)
        var returnURL: String?
        if body.readableBytes > 0 {
            guard let order = try? JSONDecoder().decode(LinkOrder.self, from: Data(body.readableBytesView))
            else {
                throw APIError.badRequest(
                    "body", "The body must be a JSON object whose 'returnUrl' is a string.")
            }
            returnURL = try order.returnUrl.map(self.checkedReturnURL)
        }
        let link: (url: String, expiresAt: Int64)
        do {
            link = try await self.sessions.link(
                to: account.account, on: self.site.publicURL, returnURL: returnURL)
        } catch {
            throw APIError.unavailable
        }
        return JSONValue.object([
            ("url", .string(link.url)), ("expiresAt", .string(Moment(link.expiresAt).machine)),
        ]).response()
    }

    private func checkedReturnURL(_ text: String) throws -> String {
        let tooLong = APIError.badRequest(
            "returnUrl", "'returnUrl' must not be longer than \(Self.returnURLBytesMax) bytes.")
        guard text.utf8.count <= Self.returnURLBytesMax else { throw tooLong }
        let url: String
        do throws(ReturnURLs.Refusal) {
            url = try ReturnURLs(
                success: self.site.publicURL, cancel: text, allowed: self.ownOrigins
            ).cancel
        } catch {
            throw APIError.badRequest(
                "returnUrl", "'returnUrl' must be an https URL on PUBLIC_URL or one of CORS_ORIGINS.")
        }
        // As it is stored, it can be a slash longer.
        guard url.utf8.count <= Self.returnURLBytesMax else { throw tooLong }
        return url
    }

    /// Of the site and of the app.
    private var ownOrigins: Set<WebOrigin> {
        self.parts.returnOrigins.union([WebOrigin(self.site.origin)].compactMap { $0 })
    }

    private struct OpenContent {
        let action: String
        let token: String
        let user: String
        /// The browser has a session of another account, which nobody must leave unasked.
        let isOther: Bool
    }

    /// Uses nothing up: programs that look at links before people do get here too.
    private func showLink(_ request: Request) async throws -> Response {
        guard let text = request.uri.queryParameters["token"], let token = SessionToken(text),
            let owner = try await self.sessions.owner(of: token)
        else { return self.deadLink }
        let visit = try await self.sessions.visit(request)
        let isOther = visit.map { $0.session.account != owner.account } ?? false
        var frame = PageFrame("Open your credits page", on: self.site)
        if !isOther { frame.scripts = [self.site.assets.url("open.js")].compactMap { $0 } }
        let content = OpenContent(
            action: "\(self.site.base)/billing/open", token: token.text, user: owner.userID, isOther: isOther)
        var response = Page(frame: frame, template: "open", content: content).response(self.site)
        // The address has the secret in it.
        response.headers[.referrerPolicy] = "no-referrer"
        return response
    }

    private var deadLink: Response {
        Page.message(
            "This link does not work any more",
            "A link opens the credits page once, within five minutes. Open it again from the app.",
            on: self.site,
            linkToApp: true
        ).response(self.site, .gone)
    }

    private func redeem(_ request: Request) async throws -> Response {
        guard self.site.isHome(of: request) else { throw APIError.notOurPage }
        let form = try await PageForm(request)
        guard let link = form["token"].flatMap({ SessionToken($0) }),
            let visit = try await self.sessions.redeem(link)
        else { return self.deadLink }
        return await self.entering(visit, from: request)
    }

    private func entering(_ visit: PortalVisit, from request: Request) async -> Response {
        await self.leaveBehind(request)
        var response = Response.seeOther(self.site.base + Self.home)
        response.headers[.setCookie] = self.cookie(visit)
        return response
    }

    /// Ends the session that the browser had: nobody is left who could end it. What the ledger does not hear now ends by
    /// itself within its hours.
    private func leaveBehind(_ request: Request) async {
        guard let old = SessionCookie.portal.token(in: request, isSecure: self.site.isSecure) else { return }
        try? await self.sessions.end(old)
    }

    private func cookie(_ visit: PortalVisit) -> String {
        SessionCookie.portal.setting(
            visit.token.text, maxAgeSeconds: Int(PortalSessions.sessionSeconds), isSecure: self.site.isSecure
        ).value
    }

    // MARK: Tokens

    private struct TokenOrder: Decodable {
        var token: String?
    }

    /// A page of another site could post a token of its owner's, and whoever looks at it would go on, and pay, for an
    /// account that is not theirs. Every browser names the page's origin; a program names none, and keeps no cookie.
    private func checkOrigin(_ request: Request) throws(APIError) {
        let origins = request.headers[values: .origin]
        let isOurs = { (text: String) in WebOrigin(text).map { self.ownOrigins.contains($0) } ?? false }
        guard origins.allSatisfy(isOurs) else { throw .foreignOrigin }
    }

    /// A form of the app, or JSON; what it answers is a page or JSON.
    private func openWithToken(_ request: Request, _ context: ControlContext) async throws -> Response {
        let isJSON = request.headers[.contentType]?.lowercased().hasPrefix("application/json") == true
        if isJSON {
            try self.checkOrigin(request)
            let body = try await request.body.collect(upTo: Self.bodyBytesMax)
            let order = try? JSONDecoder().decode(TokenOrder.self, from: Data(body.readableBytesView))
            let visit = try await self.visit(withToken: order?.token)
            await self.leaveBehind(request)
            var response = JSONValue.object([
                ("url", .string(self.site.url(Self.home))),
                ("expiresAt", .string(Moment(visit.session.expiresAt).machine)),
            ]).response()
            response.headers[.setCookie] = self.cookie(visit)
            return response
        }
        return try await PageRoutes.page(on: self.site) { request, _ in
            try self.checkOrigin(request)
            let visit = try await self.visit(withToken: try await PageForm(request)["token"])
            return await self.entering(visit, from: request)
        }(request, context)
    }

    private func visit(withToken token: String?) async throws -> PortalVisit {
        guard self.parts.appTokens != nil else {
            throw APIError(
                status: .notFound, message: "Sign-in by token is not set up here.", code: "jwt_not_configured"
            )
        }
        guard let token else { throw APIError.badRequest("token", "'token' is missing.") }
        let account = try await self.credentials.account(vouchedForBy: token)
        return try await self.sessions.open(for: account.account)
    }

    // MARK: Leaving

    private func leave(_ request: Request) async throws -> Response {
        if let visit = try await self.sessions.visit(request) {
            try visit.checkCSRF(try await PageForm(request))
            try await self.sessions.end(visit.token)
        }
        var response = Response.seeOther(self.site.base + "/billing/signed-out")
        response.headers[.setCookie] = SessionCookie.portal.clearing(isSecure: self.site.isSecure).value
        return response
    }
}
