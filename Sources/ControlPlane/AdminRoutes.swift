import Billing
import Hummingbird
import Metering

/// `/api/admin/*`: purchases, events of Stripe, refunds.
struct AdminRoutes: Sendable {
    let refunds: any Refunding
    let records: any PaymentRecords

    func add(to table: inout RouteTable) {
        table.get("/api/admin/purchases", staff: .viewer, Self.purchasesOperation) { request, context, _ in
            try await self.purchases(request, context)
        }
        table.get("/api/admin/webhook-events", staff: .viewer, Self.eventsOperation) { request, context, _ in
            try await self.events(request, context)
        }
        table.post("/api/admin/refunds", staff: .finance, Self.refundOperation) { request, context, staff in
            try await self.refund(request, context, staff)
        }
    }

    // MARK: Purchases

    private func purchases(_ request: Request, _ context: ControlContext) async throws -> Response {
        let parameters = request.uri.queryParameters
        var query = PurchaseQuery(limit: try BillingRoutes.limit(parameters))
        if let user = parameters["userId"].map(String.init) {
            guard UserID.isValid(user) else {
                throw APIError.badRequest(
                    "userId", "'userId' must be 1 to 256 bytes of UTF-8 without control characters.")
            }
            query.userID = user
        }
        if let status = parameters["status"] {
            query.statuses = [try Self.choice(String(status), "status")]
        }
        query.from = try BillingRoutes.instant(parameters, "from")
        query.to = try BillingRoutes.instant(parameters, "to")
        if let cursor = parameters["cursor"] {
            guard let before = PurchaseID(text: String(cursor)) else { throw AdminReplies.badCursor }
            query.before = before
        }
        let lines = try await AdminReplies.asking(context) { [query] in
            try await self.records.purchases(query)
        }
        let next = lines.count == query.limit ? lines.last?.purchase.id.description : nil
        return AdminReplies.page(lines.map(Self.json), next: next)
    }

    private static func json(_ line: PurchaseLine) -> JSONValue {
        let purchase = line.purchase
        return .object([
            ("purchaseId", .string(purchase.id.description)), ("userId", .string(line.userID)),
            ("kind", .string(purchase.kind.rawValue)), ("packageCode", .string(purchase.packageCode)),
            ("packageVersion", .integer(purchase.packageVersion)),
            ("priceUsdCents", .integer(purchase.priceUSDCents)),
            ("creditsMillicredits", purchase.credits.json), ("status", .string(purchase.status.rawValue)),
            ("livemode", .bool(purchase.livemode)), ("sessionId", .text(purchase.session)),
            ("paymentIntentId", .text(purchase.paymentIntent)), ("customerId", .text(purchase.customer)),
            ("receiptUrl", .text(line.receiptURL)), ("createdAtMs", .integer(purchase.createdAt)),
            ("paidAtMs", line.paidAt.map { .integer($0) } ?? .null),
            ("paidCents", .integer(line.posted.paidCents)),
            ("refundedCents", .integer(line.posted.refundedCents)),
            ("lostCents", .integer(line.posted.lostCents)),
            ("clawedMillicredits", line.posted.clawed.json),
            ("frozenMillicredits", line.posted.frozen.json), ("disputed", .bool(line.posted.isDisputed)),
            ("doubt", .text(line.doubt)),
        ])
    }

    // MARK: Events

    private func events(_ request: Request, _ context: ControlContext) async throws -> Response {
        let parameters = request.uri.queryParameters
        var query = StoredEventQuery(limit: try BillingRoutes.limit(parameters))
        if let outcome = parameters["outcome"] {
            query.outcomes = [try Self.choice(String(outcome), "outcome")]
        }
        if let type = parameters["type"].map(String.init) {
            guard Self.isWord(type) else {
                throw APIError.badRequest("type", "'type' must be a type of event, such as charge.refunded.")
            }
            query.type = type
        }
        query.from = try BillingRoutes.instant(parameters, "from").map { $0 / 1000 }
        query.to = try BillingRoutes.instant(parameters, "to").map { $0 / 1000 }
        if let cursor = parameters["cursor"] {
            guard let before = StoredEventQuery.Cursor(text: String(cursor)) else {
                throw AdminReplies.badCursor
            }
            query.before = before
        }
        let events = try await AdminReplies.asking(context) { [query] in try await self.records.events(query)
        }
        let next = events.count == query.limit ? events.last?.cursor.text : nil
        return AdminReplies.page(events.map(Self.json), next: next)
    }

    private static func json(_ event: StoredEvent) -> JSONValue {
        .object([
            ("eventId", .string(event.record.id)), ("type", .string(event.record.type)),
            ("livemode", .bool(event.record.livemode)), ("outcome", .string(event.outcome.rawValue)),
            ("reason", .text(event.reason)), ("source", .string(event.record.source.rawValue)),
            ("attempts", .integer(event.attempts)), ("sessionId", .text(event.hint?.session)),
            ("paymentIntentId", .text(event.hint?.paymentIntent)),
            ("purchaseId", .text(event.hint?.purchase?.description)),
            ("happenedAtMs", .integer(event.record.createdAt * 1000)),
            ("receivedAtMs", .integer(event.cursor.receivedAt / 1000)),
        ])
    }

    // MARK: Lists

    /// As Stripe's ids and types are: visible ASCII.
    static func isWord(_ text: some StringProtocol) -> Bool {
        1...255 ~= text.utf8.count && text.utf8.allSatisfy { 0x21...0x7e ~= $0 }
    }

    private static func choice<Value: RawRepresentable & CaseIterable>(
        _ text: String, _ name: String
    ) throws -> Value where Value.RawValue == String {
        if let value = Value(rawValue: text) { return value }
        let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
        throw APIError.badRequest(name, "'\(name)' must be one of: \(known).")
    }
}

extension JSONValue {
    static func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
}

extension StoredEventQuery.Cursor {
    /// `1768000000000000.evt_…`
    var text: String { "\(self.receivedAt).\(self.id)" }

    init?(text: String) {
        let parts = text.split(separator: ".", maxSplits: 1)
        guard parts.count == 2, let time = Int64(parts[0]), time >= 0, AdminRoutes.isWord(parts[1]) else {
            return nil
        }
        self.init(receivedAt: time, id: String(parts[1]))
    }
}
