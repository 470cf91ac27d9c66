import Billing
import Hummingbird

/// `POST /api/admin/webhook-events/replay` and `…/dismiss`.
struct ReplayRoutes: Sendable {
    let desk: any EventReplaying

    func add(to table: inout RouteTable) {
        table.post("/api/admin/webhook-events/replay", staff: .support, Self.operation) {
            try await self.replay($0, $1, $2)
        }
        table.post("/api/admin/webhook-events/dismiss", staff: .finance, Self.dismissOperation) {
            try await self.dismiss($0, $1, $2)
        }
    }

    private func dismiss(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["eventId", "reason"])
        let event = try Self.id(try body.text("eventId", 1...255))
        let note = staff.note(try body.reason(), context)
        do throws(ReplayRefusal) {
            try await self.desk.dismiss(event, note: note)
        } catch {
            throw Self.dismissalError(error)
        }
        return JSONValue.object([
            ("eventId", .string(event)), ("outcome", .string(EventOutcome.dismissed.rawValue)),
        ]).response()
    }

    /// - Throws: `APIError` that names the field.
    static func id(_ text: String?) throws(APIError) -> String {
        guard let text, StripeEventKind.isID(text, prefix: "evt_") else {
            throw APIError.badRequest("eventId", "'eventId' must be an id of an event, evt_….")
        }
        return text
    }

    private func replay(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["eventId", "dead", "reason"])
        let event = try body.optionalText("eventId", 1...255)
        let isDead = try body.optionalFlag("dead") ?? false
        guard (event != nil) != isDead else {
            throw APIError.badRequest(
                "eventId", "Give 'eventId', or 'dead': true for all that wait; one of them.")
        }
        if let event { _ = try Self.id(event) }
        let note = staff.note(try body.reason(), context)
        do throws(ReplayRefusal) {
            let done = try await self.desk.replay(event.map { .event($0) } ?? .dead, note: note)
            return JSONValue.object([
                ("events", .integer(done.events)), ("posted", .integer(done.posted)),
                ("open", .integer(done.open)),
            ]).response()
        } catch {
            throw Self.error(error)
        }
    }

    static func dismissalError(_ refusal: ReplayRefusal) -> APIError {
        guard case .unknownEvent = refusal else { return self.error(refusal) }
        return APIError(
            status: .notFound, message: "The ledger has no such event.", code: "event_not_found",
            param: "eventId")
    }

    static func error(_ refusal: ReplayRefusal) -> APIError {
        switch refusal {
        case .notConfigured:
            APIError(
                status: .serviceUnavailable, message: "STRIPE_SECRET_KEY is not set here.",
                code: "purchases_not_configured")
        case .unknownEvent:
            APIError(
                status: .notFound, message: "Neither Stripe nor the ledger knows this event.",
                code: "event_not_found", param: "eventId")
        case .notDead:
            APIError(
                status: .conflict, message: "This event was applied, or is of no interest: it needs nobody.",
                code: "event_not_dead", param: "eventId")
        case .stripeUnavailable:
            APIError(
                status: .serviceUnavailable, message: "Stripe does not answer right now; try again.",
                code: "stripe_unavailable", headers: [.retryAfter: "5"])
        case .ledgerUnavailable: .unavailable
        }
    }

    private static let operation = Operation(
        .admin, "adminReplayEvents",
        "Apply one event, or all that wait for a person, again; nothing counts twice.",
        body: Operation.Body(
            schema: .object(
                [
                    .optional("eventId", .string(1...255).orNull), .optional("dead", .boolean.orNull),
                    AccountRoutes.reason,
                ], isClosed: true)),
        replies: [
            .json(.object([.init("events", .integer), .init("posted", .integer), .init("open", .integer)]))
        ], errors: [.notFound], audits: true)

    private static let dismissOperation = Operation(
        .admin, "adminDismissEvent", "Decide that a dead event leads to nothing: it needs nobody any more.",
        body: Operation.Body(
            schema: .object([.init("eventId", .string(1...255)), AccountRoutes.reason], isClosed: true)),
        replies: [
            .json(.object([.init("eventId", .string), .init("outcome", .word(EventOutcome.self))]))
        ], errors: [.notFound, .conflict], audits: true)
}
