import Billing
import Hummingbird
import Metering

/// `/api/admin/keys`.
struct KeyRoutes: Sendable {
    let accounts: any AccountAdministering

    private static let path = "/api/admin/keys"

    func add(to table: inout RouteTable) {
        table.get(Self.path, staff: .viewer, Self.listOperation) { request, context, _ in
            try await self.list(request, context)
        }
        table.post(Self.path, staff: .support, Self.createOperation) { try await self.create($0, $1, $2) }
        table.post(Self.path + "/:key/revocation", staff: .support, Self.revokeOperation) {
            try await self.revoke($0, $1, $2)
        }
    }

    private func list(_ request: Request, _ context: ControlContext) async throws -> Response {
        let parameters = request.uri.queryParameters
        let account = try AdminReplies.number(parameters, "accountId")
        let (before, limit) = (try AdminReplies.number(parameters), try BillingRoutes.limit(parameters))
        let keys = try await AdminReplies.asking(context) {
            try await self.accounts.keys(of: account, before: before, limit: limit)
        }
        let next = keys.count == limit ? keys.last.map { String($0.keyID) } : nil
        return AdminReplies.page(keys.map { .object(Self.members($0)) }, next: next)
    }

    private func create(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["accountId", "serviceName", "reason"])
        let account = try body.optionalInteger("accountId", 1...Int64.max)
        let service = try body.optionalText("serviceName", 1...256)
        guard (account == nil) != (service == nil) else {
            throw APIError.badRequest(
                "accountId", "Give 'accountId', or 'serviceName' for a service key; one of them.")
        }
        // Whoever has a service key acts for every account.
        guard service == nil || staff.role >= .owner else { throw APIError.roleTooLow(.owner) }
        if let service, !UserID.isValid(service) {
            throw APIError.badRequest("serviceName", "'serviceName' must not have control characters.")
        }
        let reason = try body.reason()
        let made = try await AdminReplies.asking(context) {
            try await self.accounts.createKey(
                for: account, label: service ?? "", note: staff.note(reason, context))
        }
        return JSONValue.object(Self.members(made.key) + [("secret", .string(made.secret))]).response()
    }

    private func revoke(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["reason"])
        let reason = try body.reason()
        let id = try AdminReplies.id(context, "key", .noSuchKey)
        let key = try await AdminReplies.asking(context) { try await self.accounts.key(id) }
        try staff.mayRevoke(key)
        try await AdminReplies.asking(context) {
            try await self.accounts.revoke(id, note: staff.note(reason, context))
        }
        return JSONValue.object([("keyId", .integer(id)), ("state", .string("revoked"))]).response()
    }

    private static func members(_ key: AdministeredKey) -> [(String, JSONValue)] {
        [
            ("keyId", .integer(key.keyID)), ("accountId", key.account.json),
            ("label", .string(key.label)), ("prefix", .string(key.prefix)),
            ("limits", AccountRoutes.json(key.limits)), ("createdAtMs", .integer(key.createdAt)),
            ("revokedAtMs", key.revokedAt.json),
        ]
    }

    // MARK: Document

    private static let shape: [Property] = [
        .init("keyId", .integer), .init("accountId", .integer.orNull), .init("label", .string),
        .init("prefix", .string), .init("limits", AccountRoutes.limits), .init("createdAtMs", .integer),
        .init("revokedAtMs", .integer.orNull),
    ]

    private static let listOperation = Operation(
        .admin, "adminKeys", "Keys without their secrets, newest first.",
        [.query("accountId", .integer(1...Int64.max), "Of this account only.")] + .page,
        reply: .page(.object(Self.shape)))

    private static let createOperation = Operation(
        .admin, "adminCreateKey", "A key; its secret is in this reply only. A service key needs an owner.",
        body: Operation.Body(
            schema: .object(
                [
                    .optional("accountId", .integer(1...Int64.max).orNull),
                    .optional("serviceName", .string(1...256).orNull), AccountRoutes.reason,
                ], isClosed: true)),
        replies: [.json(.object(Self.shape + [.init("secret", .string)]))], errors: [.notFound],
        audits: true)

    private static let revokeOperation = Operation(
        .admin, "adminRevokeKey",
        "Every instance refuses the key within a second. A service key needs an owner.",
        [.path("key", .integer(1...Int64.max), "Number of the key.")],
        body: Operation.Body(schema: .object([AccountRoutes.reason], isClosed: true)),
        replies: [.json(.object([.init("keyId", .integer), .init("state", .words("revoked"))]))],
        errors: [.notFound], audits: true)
}
