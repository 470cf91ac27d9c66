import Billing
import HTTPTypes
import Hummingbird

/// How a change goes: a form, a question, and the change.
extension ConsolePages {
    /// A rate card, with every byte of it written as `%XX`, and the other fields.
    private static let bytesMax = 3 * CardReview.cardBytesMax + (64 << 10)

    func post(_ action: ConsoleAction, _ view: ConsoleView, _ request: Request) async throws -> Response {
        let form = try await PageForm(request, bytesMax: Self.bytesMax)
        guard let csrf = form["csrf"], let token = view.staff.session?.token, token.acceptsCSRF(csrf) else {
            throw APIError.notOurPage
        }
        var entry = ConsoleEntry(values: form.fields)
        let step = entry["step"]
        entry.isConfirmed = step == "do"
        for name in ["csrf", "step"] { entry.values[name] = nil }
        if step == "edit" { return try await self.sheet(action, view, entry).response(self.site) }
        do {
            let plan = try await action.plan(self, view, entry)
            guard entry.isConfirmed else {
                return self.question(action, plan, view, entry).response(self.site)
            }
            do {
                switch try await plan.run() {
                case .go(let location): return .seeOther(location)
                case .show(let once): return self.page(once, view).response(self.site)
                }
            } catch let error as APIError where error.status == .serviceUnavailable {
                return self.unknown(action, plan, view, entry, error)
            }
        } catch let error as APIError where Self.isTypist(error) {
            return try await self.again(action, view, entry, error)
        }
    }

    /// Asked once more with the same key: a form that is opened anew has another, by which the change would count again.
    private func unknown(
        _ action: ConsoleAction, _ plan: ConsolePlan, _ view: ConsoleView, _ entry: ConsoleEntry,
        _ error: APIError
    ) -> Response {
        var page = self.question(action, plan, view, entry)
        let advice =
            entry["idempotencyKey"] == nil
            ? "Look whether it is there before you press again."
            : "Press again here, which does nothing twice; a form opened anew would."
        page.frame.notices.append(
            PageNotice(.bad, "\(error.message) It is not known whether this was done. \(advice)"))
        var response = page.response(self.site, error.status)
        response.headers.append(contentsOf: error.headers)
        return response
    }

    /// Whoever typed it can do something about it.
    private static func isTypist(_ error: APIError) -> Bool {
        [.badRequest, .conflict, .contentTooLarge, .unprocessableContent, .badGateway].contains(error.status)
            || error.param != nil && error.status == .notFound
    }

    /// The form with what was typed, and what is wrong with it.
    private func again(
        _ action: ConsoleAction, _ view: ConsoleView, _ entry: ConsoleEntry, _ error: APIError
    ) async throws -> Response {
        var (entry, error) = (entry, error)
        if error.code == "idempotency_conflict" {
            // It keeps its key: under a fresh one, the change as it was edited since would be made beside the first.
            error.message =
                "The change that this form first asked for was made. Open the form anew to make another."
        } else if error.status == .conflict {
            // What was sent along is of a state that is past.
            for (name, _) in try await action.sheet(self, view, entry).hidden { entry.values[name] = nil }
        }
        return try await self.sheet(action, view, entry, error).response(self.site, error.status)
    }

    func sheet(
        _ action: ConsoleAction, _ view: ConsoleView, _ entry: ConsoleEntry, _ error: APIError? = nil
    ) async throws -> Page {
        let sheet = try await action.sheet(self, view, entry)
        var part = ConsolePart(action.title, note: sheet.note)
        part.isTitleSaid = true
        part.facts = sheet.facts
        var inputs = sheet.inputs
        var isShown = false
        if let error, let index = inputs.firstIndex(where: { $0.inputName == error.param }) {
            inputs[index].problem = error.message
            isShown = true
        }
        part.form = ConsoleForm(
            action: self.own(view), csrf: view.csrf, inputs, [ConsoleButton("Continue")])
        for (name, value) in sheet.hidden { part.form?.hide(name, value) }
        var page = self.page(action.title, view, in: self.section(view), [part] + sheet.more)
        if let error, !isShown { page.frame.notices.append(PageNotice(.bad, error.message)) }
        return page
    }

    private func question(
        _ action: ConsoleAction, _ plan: ConsolePlan, _ view: ConsoleView, _ entry: ConsoleEntry
    ) -> Page {
        var part = ConsolePart("Please confirm", note: plan.consequence)
        part.table = ConsoleTable(
            "What changes", [.text("What"), .text("Now"), .text("Then")],
            plan.changes.map { [.text($0.name), .long($0.before), .long($0.after)] })
        var go = ConsoleButton(action.verb, look: action.isDangerous ? "danger" : nil)
        (go.buttonName, go.buttonValue) = ("step", "do")
        var form = ConsoleForm(action: self.own(view), csrf: view.csrf, [], [go, .edit])
        for (name, value) in entry.values.sorted(by: { $0.key < $1.key }) { form.hide(name, value) }
        part.form = form
        part.facts = entry["reason"].map { [ConsoleFact("Reason", .text($0))] } ?? []
        var page = self.page(action.title, view, in: self.section(view), [part] + plan.more)
        if let warning = plan.warning { page.frame.notices.append(PageNotice(.warning, warning)) }
        return page
    }

    private func page(_ once: ConsoleOnce, _ view: ConsoleView) -> Page {
        var part = ConsolePart(once.title, note: once.note)
        part.isTitleSaid = true
        part.codeWords = once.words
        part.links = [ConsoleLink(linkText: once.next.text, linkURL: once.next.path)]
        return self.page(once.title, view, in: self.section(view), [part])
    }

    /// The page itself, to be posted to.
    private func own(_ view: ConsoleView) -> String { self.site.base + view.path }

    /// `/admin/accounts` of `/admin/accounts/7/status`, and of what is done about accounts elsewhere.
    private func section(_ view: ConsoleView) -> String {
        let begin = "/" + view.path.split(separator: "/").prefix(2).joined(separator: "/")
        switch begin {
        case "/admin/new-account", "/admin/keys": return "/admin/accounts"
        case "/admin/rate-card-editor": return "/admin/rate-cards"
        default: return begin
        }
    }
}
