import Billing
import Hummingbird

/// `POST /api/admin/webhook-events/replay`.
struct ReplayRoutes: Sendable {
    let desk: any EventReplaying

    func add(to table: inout RouteTable) {
        table.post("/api/admin/webhook-events/replay", staff: .support, Self.operation) {
            try await self.replay($0, $1, $2)
        }
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
        if let event, !StripeEventKind.isID(event, prefix: "evt_") {
            throw APIError.badRequest("eventId", "'eventId' must be an id of an event, evt_….")
        }
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
}
