import Billing
import HTTPTypes
import Hummingbird

/// From an invitation to a password and an authenticator.
extension ConsolePages {
    func addEnrolment(to table: inout RouteTable) {
        table.get(
            "/admin/enrol", access: .page,
            PageRoutes.page(on: self.site) { _, _ in self.invitation().response(self.site) })
        table.post(
            "/admin/enrol", access: .page,
            PageRoutes.page(on: self.site) { try await self.begin($0, $1) })
        table.post(
            "/admin/enrol/password", access: .page,
            PageRoutes.page(on: self.site) { try await self.enrol($0, $1) })
    }

    /// A browser does not send what is behind the `#` of an invitation's link; a script puts it into the field.
    private func invitation(_ notice: PageNotice? = nil) -> Page {
        var part = ConsolePart("Your invitation")
        var token = ConsoleInput.text(
            "token", "Invitation", nil, hint: "What stands behind the # in the link that you were sent.")
        token.fromFragment = true
        part.form = ConsoleForm(
            action: self.site.link("/admin/enrol"), csrf: nil, [token], [ConsoleButton("Begin")])
        return self.openPage("Enrol", [part], notice: notice)
    }

    private func begin(_ request: Request, _ context: ControlContext) async throws -> Response {
        guard self.site.isHome(of: request) else { throw APIError.notOurPage }
        let entry = ConsoleEntry(values: try await PageForm(request).fields)
        do {
            let token = try entry.text("token", "The invitation", 1...128)
            return try await self.setUp(token, context).response(self.site)
        } catch let error as APIError {
            return self.refused(error)
        }
    }

    /// Shows the secret, and asks for the password. Asked again, the secret is the same.
    private func setUp(
        _ token: String, _ context: ControlContext, _ error: APIError? = nil
    ) async throws -> Page {
        let (member, secret): (StaffMember, [UInt8])
        do throws(StaffDesk.Refusal) {
            (member, secret) = try await self.gate.desk.beginEnrolment(token, from: context.address)
        } catch {
            throw SessionRoutes.error(error)
        }
        var first = ConsolePart(
            "1. Your authenticator",
            note: "Add this account to an authenticator app: by the link, or by hand.")
        first.facts = [
            ConsoleFact("Name", .text(member.name)), ConsoleFact("Email", .text(member.email.text)),
            ConsoleFact("Role", .text(member.role.rawValue)),
            ConsoleFact("Key", .text(Self.grouped(Base32.text(secret)), fine: "time-based, 6 digits")),
            ConsoleFact(
                "Link",
                .link("Add to an authenticator on this device", TOTP.url(secret, email: member.email.text))
            ),
        ]
        var second = ConsolePart("2. Your password")
        var code = ConsoleInput.text("code", "Code", nil, hint: "What the authenticator shows now.")
        code.autocomplete = "one-time-code"
        var inputs = [
            ConsoleInput.password(
                "password", "Password", "new-password", hint: "At least 12 characters; a sentence is best."),
            code,
        ]
        if let error, let index = inputs.firstIndex(where: { $0.inputName == error.param }) {
            inputs[index].problem = error.message
        }
        var form = ConsoleForm(
            action: self.site.link("/admin/enrol/password"), csrf: nil, inputs, [ConsoleButton("Enrol")])
        form.hide("token", token)
        second.form = form
        return self.openPage("Enrol", [first, second])
    }

    private func enrol(_ request: Request, _ context: ControlContext) async throws -> Response {
        guard self.site.isHome(of: request) else { throw APIError.notOurPage }
        let entry = ConsoleEntry(values: try await PageForm(request).fields)
        do {
            let token = try entry.text("token", "The invitation", 1...128)
            do {
                let password = entry.values["password"] ?? ""
                guard 1...4096 ~= password.utf8.count else {
                    throw APIError.badRequest("password", "The password is missing.")
                }
                let code = try entry.text("code", "The code", 1...64)
                return try await self.enrolled(token, password, code, context).response(self.site)
            } catch let error as APIError where error.status == .badRequest {
                return try await self.setUp(token, context, error).response(self.site, error.status)
            }
        } catch let error as APIError {
            return self.refused(error)
        }
    }

    private func enrolled(
        _ token: String, _ password: String, _ code: String, _ context: ControlContext
    ) async throws -> Page {
        let (member, codes) = try await SessionRoutes.enrol(
            self.gate.desk, token, password: password, code: code, context)
        var part = ConsolePart(
            "3. Your recovery codes",
            note: "Each of them lets you in once, when your authenticator is lost. They are shown this once: "
                + "print them, or keep them in a password manager.")
        part.codeWords = codes.map(\.text)
        var form = ConsoleForm(
            action: self.site.link("/admin/sign-in"), csrf: nil, [.tick("enrolled", "I have kept them")],
            [ConsoleButton("Go on to sign in")])
        form.method = "get"
        part.form = form
        return self.openPage("You are enrolled", lead: "Welcome, \(member.name).", [part])
    }

    private func refused(_ error: APIError) -> Response {
        let text =
            error.status == .unauthorized
            ? "This invitation is not known, was used, or has expired. Ask for a new one." : error.message
        var response = self.invitation(PageNotice(.bad, text)).response(self.site, error.status)
        response.headers.append(contentsOf: error.headers)
        return response
    }

    /// As people copy it: `ABCD EFGH …`
    static func grouped(_ text: String) -> String {
        var (rest, groups) = (text[...], [Substring]())
        while !rest.isEmpty {
            groups.append(rest.prefix(4))
            rest = rest.dropFirst(4)
        }
        return groups.joined(separator: " ")
    }
}
