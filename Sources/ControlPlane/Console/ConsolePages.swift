import Billing
import HTTPTypes
import Hummingbird
import Metering

/// `/admin`: what people of the operator's see and do. Everything works without scripts.
struct ConsolePages: Sendable {
    let site: WebSite
    let gate: StaffGate
    let dependencies: ControlPlane.Dependencies
    /// The same for every account.
    let caps: SpendCaps

    var admin: AdminPorts { self.dependencies.admin }

    /// Every page for somebody who is signed in.
    static let routes: [ConsoleRoute] =
        Self.homeRoutes + Self.flagRoutes + Self.accountRoutes + Self.accountActions + Self.keyRoutes
        + Self.moneyRoutes + Self.reviewRoutes + Self.auditRoutes + Self.eventRoutes + Self.cardRoutes
        + Self.booksRoutes + Self.shadowRoutes

    func add(to table: inout RouteTable) {
        self.addEntrance(to: &table)
        for route in Self.routes {
            switch route.kind {
            case .page(let body):
                table.get(route.path, access: .page) { request, context in
                    try await self.show(route, request, context) {
                        try await body(self, $0).response(self.site)
                    }
                }
            case .action(let action):
                table.get(route.path, access: .page) { request, context in
                    try await self.show(route, request, context) { view in
                        let entry = ConsoleEntry(values: view.parameters)
                        return try await self.sheet(action, view, entry).response(self.site)
                    }
                }
                table.post(route.path, access: .page) { request, context in
                    try await self.show(route, request, context) {
                        try await self.post(action, $0, request)
                    }
                }
            }
        }
    }

    // MARK: One request

    private func show(
        _ route: ConsoleRoute, _ request: Request, _ context: ControlContext,
        _ body: (ConsoleView) async throws -> Response
    ) async throws -> Response {
        let staff: Staff?
        do { staff = try await self.gate.visitor(request) } catch let error as APIError {
            return self.message(error, nil)
        }
        guard let staff else {
            let next = request.method == .get ? request.uri.string : nil
            return .seeOther(self.site.link("/admin/sign-in", [("next", next)]))
        }
        var parameters: [String: String] = [:]
        for (name, value) in request.uri.queryParameters {
            let value = String(value).trimmed
            if !value.isEmpty { parameters[String(name)] = value }
        }
        let view = ConsoleView(
            staff: staff, path: request.uri.path, parameters: parameters, context: context)
        do {
            guard staff.role >= route.role else { throw APIError.roleTooLow(route.role) }
            return try await body(view)
        } catch let error as APIError {
            return self.message(error, view)
        }
    }

    private func message(_ error: APIError, _ view: ConsoleView?) -> Response {
        var page = Page.message(PageRoutes.title(error), error.message, on: self.site)
        if let view { page.frame = self.frame(PageRoutes.title(error), view) }
        var response = page.response(self.site, error.status)
        response.headers.append(contentsOf: error.headers)
        return response
    }

    // MARK: What pages share

    /// Pages of the navigation, in order.
    private static let sections: [(path: String, name: String)] = [
        ("/admin", "Overview"), ("/admin/accounts", "Accounts"), ("/admin/purchases", "Purchases"),
        ("/admin/reviews", "Reviews"), ("/admin/flags", "Flags"), ("/admin/rate-cards", "Rate cards"),
        ("/admin/events", "Events"), ("/admin/reconciliation", "Reconciliation"),
        ("/admin/finance", "Finance"), ("/admin/shadow-report", "Shadow billing"),
        ("/admin/operations", "Operations"), ("/admin/audit", "Audit"),
    ]

    private static let roles = Dictionary(
        Self.routes.map { ($0.path, $0.role) }, uniquingKeysWith: { first, _ in first })

    /// - Parameter section: path of the page of the navigation that it belongs to.
    func frame(_ title: String, _ view: ConsoleView, in section: String? = nil) -> PageFrame {
        var frame = PageFrame(title, on: self.site)
        frame.scripts = [self.site.assets.url("console.js")].compactMap { $0 }
        frame.links = Self.sections.filter { Self.roles[$0.path].map { view.staff.role >= $0 } ?? false }.map
        {
            PageLink(name: $0.name, url: self.site.link($0.path), isCurrent: $0.path == section)
        }
        frame.isWide = true
        frame.user = view.staff.actor
        frame.csrf = view.csrf
        frame.signOutURL = self.site.link("/admin/sign-out")
        if let word = view.parameter("done"), let text = Self.done[word] {
            frame.notices.append(PageNotice(.good, text))
        }
        return frame
    }

    func page(
        _ title: String, _ view: ConsoleView, in section: String, lead: String? = nil, _ parts: [ConsolePart]
    ) -> Page {
        var frame = self.frame(title, view, in: section)
        if parts.contains(where: { $0.table?.chartURL != nil }), let chart = self.chartURL {
            frame.scripts.insert(chart, at: 0)
        }
        return Page(frame: frame, template: "console", content: ConsoleContent(title, lead: lead, parts))
    }

    /// Chart.js; nil: it is not installed.
    var chartURL: String? { self.site.assets.url("chart.js") }

    /// What a form that was posted has to say on the page it leads to.
    private static let done: [String: String] = [
        "flag": "The flag is changed; every instance knows within a second.",
        "status": "The status is set.", "limits": "The limits are set.", "policy": "The hold policy is set.",
        "adjusted": "The balance is adjusted.",
        "repeated": "This had been done before; nothing was done twice.",
        "revoked": "The key is revoked; every instance refuses it within a second.",
        "refunded": "The refund is made.",
        "refund-pending":
            "Stripe has not answered yet; the refund is stored and is asked for again by itself.",
        "cleared": "The review is cleared.", "suspended": "The account is suspended.",
        "card": "The card is applied.",
        "card-same": "This card had been applied before, with the same content.",
    ]

    /// The number in a path.
    func id(_ view: ConsoleView, _ name: String, _ missing: APIError) throws -> Int64 {
        try AdminReplies.id(view.context, name, missing)
    }

    func read<Value>(_ view: ConsoleView, _ body: () async throws -> Value) async throws -> Value {
        try await AdminReplies.asking(view.context, body)
    }
}
