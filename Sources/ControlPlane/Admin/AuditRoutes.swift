import Billing
import Hummingbird
import Metering

/// `/api/admin/audit`.
struct AuditRoutes: Sendable {
    let audit: any AuditReading

    func add(to table: inout RouteTable) {
        table.get("/api/admin/audit", staff: .viewer, Self.listOperation) { request, context, _ in
            try await self.list(request, context)
        }
        table.get("/api/admin/audit/verification", staff: .viewer, Self.verifyOperation) { _, context, _ in
            let verdict = try await AdminReplies.asking(context) {
                try await self.audit.verifyAudit(heads: [], progress: { _ in })
            }
            return JSONValue.object([
                ("entries", .integer(verdict.entries)), ("headHash", .string(verdict.head)),
                ("whole", .bool(verdict.isWhole)),
                ("problems", .array(verdict.problems.map { .string("\($0)") })),
            ]).response()
        }
    }

    private func list(_ request: Request, _ context: ControlContext) async throws -> Response {
        let parameters = request.uri.queryParameters
        let query = AuditQuery(
            actor: try AdminReplies.text(parameters, "actor"),
            action: try AdminReplies.text(parameters, "action"),
            subject: try AdminReplies.text(parameters, "subject"),
            before: try AdminReplies.number(parameters),
            limit: try BillingRoutes.limit(parameters))
        let entries = try await AdminReplies.asking(context) { try await self.audit.auditEntries(query) }
        let next = entries.count == query.limit ? entries.last.map { String($0.number) } : nil
        return AdminReplies.page(entries.map(Self.json), next: next)
    }

    /// `before` and `after` as the texts that were hashed: whoever verifies the chain needs every byte of them.
    private static func json(_ entry: AuditEntry) -> JSONValue {
        .object([
            ("number", .integer(entry.number)), ("atMicroseconds", .integer(entry.at)),
            ("actor", .string(entry.actor)),
            ("action", .string(entry.action)), ("subject", .string(entry.subject)),
            ("before", .string(entry.before)), ("after", .string(entry.after)),
            ("reason", .string(entry.reason)),
            ("requestId", .text(entry.request)),
            ("previousHash", .string(Hexadecimal.text(entry.previousHash))),
            ("hash", .string(Hexadecimal.text(entry.hash))),
        ])
    }

    private static let listOperation = Operation(
        .admin, "adminAudit", "What people changed, newest first.",
        [
            .query("actor", .string(1...320), "By this actor only."),
            .query("action", .string(1...320), "This action only, such as account.adjust."),
            .query("subject", .string(1...320), "Of this subject only, such as account:USER."),
        ] + .page,
        reply: .page(
            .object([
                .init("number", .integer), .init("atMicroseconds", .integer), .init("actor", .string),
                .init("action", .string), .init("subject", .string),
                .init("before", .string.described("JSON, every byte as it was hashed.")),
                .init("after", .string), .init("reason", .string), .init("requestId", .string.orNull),
                .init("previousHash", .string), .init("hash", .string),
            ])))

    private static let verifyOperation = Operation(
        .admin, "adminVerifyAudit", "Computes every hash of the log again.",
        reply: .object([
            .init("entries", .integer), .init("headHash", .string), .init("whole", .boolean),
            .init("problems", .array(.string)),
        ]))
}
