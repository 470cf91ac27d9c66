import Billing
import HTTPTypes
import Hummingbird

/// Signing in and out.
extension ConsolePages {

    func addEntrance(to table: inout RouteTable) {
        table.get(
            "/admin/sign-in", access: .page,
            PageRoutes.page(on: self.site) { request, _ in
                let parameters = request.uri.queryParameters
                if try await self.gate.visitor(request) != nil { return .seeOther(self.site.link("/admin")) }
                let notice = parameters["enrolled"].map { _ in
                    PageNotice(.good, "You are enrolled. Sign in with your password and a code.")
                }
                return self.entrance(next: parameters["next"].map(String.init), notice: notice).response(
                    self.site)
            })
        table.post(
            "/admin/sign-in", access: .page,
            PageRoutes.page(on: self.site) { try await self.signIn($0, $1) })
        table.post(
            "/admin/sign-out", access: .page,
            PageRoutes.page(on: self.site) { request, _ in try await self.signOut(request) })
        self.addEnrolment(to: &table)
    }

    // MARK: In

    private func entrance(next: String?, email: String? = nil, notice: PageNotice? = nil) -> Page {
        var part = ConsolePart("For people of the operator")
        var address = ConsoleInput.text("email", "Email", email)
        (address.inputType, address.autocomplete) = ("email", "username")
        var code = ConsoleInput.text(
            "code", "Code", nil,
            hint:
                "Six digits of your authenticator. Without it, use a recovery code: each lets you in once.")
        code.autocomplete = "one-time-code"
        var form = ConsoleForm(
            action: self.site.link("/admin/sign-in"), csrf: nil,
            [address, .password("password", "Password", "current-password"), code],
            [ConsoleButton("Sign in")])
        if let next { form.hide("next", next) }
        part.form = form
        part.links = [
            ConsoleLink(linkText: "I was invited", linkURL: self.site.link("/admin/enrol"))
        ]
        return self.openPage("Sign in", [part], notice: notice)
    }

    /// A page for people without a session.
    func openPage(_ title: String, lead: String? = nil, _ parts: [ConsolePart], notice: PageNotice? = nil)
        -> Page
    {
        var frame = PageFrame(title, on: self.site)
        frame.scripts = [self.site.assets.url("console.js")].compactMap { $0 }
        frame.notices = [notice].compactMap { $0 }
        return Page(frame: frame, template: "console", content: ConsoleContent(title, lead: lead, parts))
    }

    private func signIn(_ request: Request, _ context: ControlContext) async throws -> Response {
        guard self.site.isHome(of: request) else { throw APIError.notOurPage }
        let entry = ConsoleEntry(values: try await PageForm(request).fields)
        // Passwords may begin or end with a blank.
        let password = entry.values["password"] ?? ""
        do {
            let email = try entry.text("email", "The email", 1...254)
            guard 1...1024 ~= password.utf8.count else {
                throw APIError.badRequest("password", "The password is missing.")
            }
            let code = try entry.text("code", "The code", 1...64)
            let known = SessionCookie.known.value(in: request, isSecure: self.site.isSecure)
            let entered = try await self.signedIn(email, password, code, known, context)
            context.logger.notice("signed in", metadata: ["actor": "\(entered.session.member.actor)"])
            var response = Response.seeOther(self.site.base + Self.next(entry["next"]))
            response.headers.append(contentsOf: entered.cookies(isSecure: self.site.isSecure))
            return response
        } catch let error as APIError {
            let notice = PageNotice(.bad, error.message)
            var response = self.entrance(next: entry["next"], email: entry["email"], notice: notice)
                .response(self.site, error.status)
            response.headers.append(contentsOf: error.headers)
            return response
        }
    }

    private func signedIn(
        _ email: String, _ password: String, _ code: String, _ known: String?, _ context: ControlContext
    ) async throws -> StaffDesk.SignedIn {
        do throws(StaffDesk.Refusal) {
            return try await self.gate.desk.signIn(
                email: email, password: password, code: code, from: context.address, known: known)
        } catch {
            context.logger.warning(
                "not signed in", metadata: ["why": "\(error)", "from": "\(context.address)"])
            if error == .wrong {
                throw APIError(
                    status: .unauthorized,
                    message: "Email, password or code are not right. A code works once: wait for the next.",
                    code: "not_signed_in")
            }
            throw SessionRoutes.error(error)
        }
    }

    /// A page of the console, and nothing else that a link could name.
    static func next(_ text: String?) -> String {
        let home = "/admin"
        guard let text, text.utf8.allSatisfy({ 0x21...0x7e ~= $0 && $0 != 0x5c }) else { return home }
        guard text.hasPrefix(home), ["", "/", "?"].contains(text.dropFirst(home.utf8.count).prefix(1)) else {
            return home
        }
        return text
    }

    // MARK: Out

    private func signOut(_ request: Request) async throws -> Response {
        if let token = SessionCookie.staff.token(in: request, isSecure: self.site.isSecure) {
            guard let csrf = try await PageForm(request)["csrf"], token.acceptsCSRF(csrf) else {
                throw APIError.notOurPage
            }
            do throws(StaffDesk.Refusal) { try await self.gate.desk.signOut(token) } catch {
                throw SessionRoutes.error(error)
            }
        }
        var response = Response.seeOther(self.site.link("/admin/sign-in"))
        response.headers.append(SessionCookie.staff.clearing(isSecure: self.site.isSecure))
        return response
    }
}
