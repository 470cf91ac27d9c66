import Billing
import Foundation
import HTTPTypes
import Hummingbird
import Metering

/// `/billing`: what the owner of an account sees and does. Everything works without scripts: a form is posted, and leads
/// to a page again.
struct CreditsPages: Sendable {
    let parts: PortalParts
    let credentials: Credentials
    let dependencies: ControlPlane.Dependencies
    let sessions: PortalSessions

    enum Tab: String, CaseIterable {
        case credits, usage, ledger, purchases, statements, estimate, settings

        var name: String { self == .estimate ? "Estimator" : self.rawValue.capitalized }
    }

    init(parts: PortalParts, credentials: Credentials, dependencies: ControlPlane.Dependencies) {
        self.parts = parts
        self.credentials = credentials
        self.dependencies = dependencies
        self.sessions = PortalSessions(
            store: parts.store, hasher: parts.hasher, isSecure: parts.site.isSecure)
    }

    func add(to table: inout RouteTable) {
        PageRoutes(site: self.site).add(to: &table)
        PortalRoutes(parts: self.parts, sessions: self.sessions, credentials: self.credentials).add(
            to: &table)
        table.get(
            "/billing", access: .page,
            PageRoutes.page(on: self.site) { request, context in
                guard let view = try await self.view(request, context) else { return self.signInNeeded }
                return try await self.tab(view).response(self.site)
            })
        table.post(
            "/billing/buy", access: .page,
            PageRoutes.page(on: self.site) { try await self.posted($0, $1, self.buy) })
        table.post(
            "/billing/auto-recharge", access: .page,
            PageRoutes.page(on: self.site) { try await self.posted($0, $1, self.changeRecharge) })
    }

    var site: WebSite { self.parts.site }

    private var signInNeeded: Response {
        Page.message(
            "Open this page from the app",
            "Your credits are shown to you only, so this page opens from within the app. Go back there and choose "
                + "“Credits” or “Billing”.", on: self.site, linkToApp: true
        ).response(self.site, .unauthorized)
    }

    // MARK: One request

    /// Who looks, and at what.
    struct View: Sendable {
        var visit: PortalVisit
        var account: AccountRecord
        var parameters: [String: String]
        var context: ControlContext
    }

    /// nil: nobody is signed in.
    private func view(_ request: Request, _ context: ControlContext) async throws -> View? {
        guard let visit = try await self.sessions.visit(request) else { return nil }
        var parameters: [String: String] = [:]
        for (name, value) in request.uri.queryParameters {
            let value = String(value).trimmed
            if !value.isEmpty { parameters[String(name)] = value }
        }
        return View(
            visit: visit, account: try await self.credentials.account(of: visit), parameters: parameters,
            context: context)
    }

    /// A form of a page of this session.
    private func posted(
        _ request: Request, _ context: ControlContext,
        _ body: (View, PageForm) async throws -> Response
    ) async throws -> Response {
        guard let view = try await self.view(request, context) else { return self.signInNeeded }
        let form = try await PageForm(request)
        try view.visit.checkCSRF(form)
        return try await body(view, form)
    }

    private func tab(_ view: View) async throws -> Page {
        switch Tab(rawValue: view.parameters["tab"] ?? "") ?? .credits {
        case .credits: try await self.creditsTab(view)
        case .usage: try await self.usageTab(view)
        case .ledger: try await self.ledgerTab(view)
        case .purchases: try await self.purchasesTab(view)
        case .statements: try await self.statementsTab(view)
        case .estimate: self.estimateTab(view)
        case .settings: try await self.settingsTab(view)
        }
    }

    // MARK: What tabs share

    func frame(_ tab: Tab, _ view: View) -> PageFrame {
        var frame = PageFrame(tab.name, on: self.site)
        frame.scripts = [self.site.assets.url("credits.js")].compactMap { $0 }
        frame.links = Tab.allCases.map {
            PageLink(name: $0.name, url: self.url($0), isCurrent: $0 == tab)
        }
        frame.user = view.account.userID
        frame.csrf = view.visit.token.csrf
        frame.signOutURL = "\(self.site.base)/billing/sign-out"
        frame.returnURL = view.visit.session.returnURL ?? self.site.appURL
        if view.account.suspended {
            frame.notices.append(
                PageNotice(
                    .bad,
                    "This account is suspended. You can look, but nothing can be bought or used until it is active."
                ))
        }
        if let word = view.parameters["notice"], let notice = Self.notices[word] {
            frame.notices.append(notice)
        }
        return frame
    }

    /// What a form that was posted has to say on the page it leads to.
    private static let notices: [String: PageNotice] = [
        "recharge-on": PageNotice(.good, "Auto-recharge is on."),
        "recharge-off": PageNotice(.good, "Auto-recharge is off."),
        "canceled": PageNotice(.info, "The purchase was cancelled; nothing was charged."),
    ]

    func url(_ tab: Tab, _ parameters: [(String, String?)] = []) -> String {
        self.site.link("/billing", [("tab", tab.rawValue)] + parameters)
    }

    /// Asks the ledger. Whatever it fails with, people are told to try again and nothing more.
    func read<Value: Sendable>(_ view: View, _ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch {
            view.context.logger.warning("ledger not readable", metadata: ["error": "\(type(of: error))"])
            throw APIError.unavailable
        }
    }
}

/// The rest of a list.
struct Pager: Sendable {
    let olderURL: String?
    let newestURL: String?

    var isNeeded: Bool { self.olderURL != nil || self.newestURL != nil }
}
