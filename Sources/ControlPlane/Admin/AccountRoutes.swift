import Billing
import Hummingbird
import Metering

/// `/api/admin/accounts`: who pays, what they may do, and what was set aside for them.
struct AccountRoutes: Sendable {
    let accounts: any AccountAdministering
    let held: any HeldReading
    let holds: any HoldReading
    let billing: any BillingReading
    let history: any HistoryReading

    private static let path = "/api/admin/accounts"
    private static let one = path + "/:account"

    func add(to table: inout RouteTable) {
        table.get(Self.path, staff: .viewer, Self.listOperation) { request, context, _ in
            try await self.list(request, context)
        }
        table.post(Self.path, staff: .support, Self.createOperation) { try await self.create($0, $1, $2) }
        table.get(Self.one, staff: .viewer, Self.showOperation) { _, context, _ in
            try await self.show(context)
        }
        table.put(Self.one + "/status", staff: .support, Self.statusOperation) {
            try await self.setStatus($0, $1, $2)
        }
        table.put(Self.one + "/limits", staff: .support, Self.limitsOperation) {
            try await self.setLimits($0, $1, $2)
        }
        table.put(Self.one + "/hold-policy", staff: .support, Self.policyOperation) {
            try await self.setPolicy($0, $1, $2)
        }
        table.post(Self.one + "/adjustments", staff: .finance, Self.adjustOperation) {
            try await self.adjust($0, $1, $2)
        }
        table.get(Self.one + "/holds", staff: .viewer, Self.holdsOperation) { _, context, _ in
            try await self.liveHolds(context)
        }
        table.get(Self.one + "/ledger", staff: .viewer, Self.ledgerOperation) { request, context, _ in
            try await self.ledger(request, context)
        }
        table.get(Self.one + "/usage", staff: .viewer, Self.usageOperation) { request, context, _ in
            try await self.usage(request, context)
        }
    }

    // MARK: Reading

    private func list(_ request: Request, _ context: ControlContext) async throws -> Response {
        let parameters = request.uri.queryParameters
        let query = AccountQuery(
            prefix: try AdminReplies.text(parameters, "prefix", bytesMax: 256) ?? "",
            keyPrefix: try AdminReplies.text(parameters, "keyPrefix", bytesMax: AdministeredKey.prefixBytes),
            account: try AdminReplies.number(parameters, "accountId"),
            after: try AdminReplies.number(parameters) ?? 0, limit: try BillingRoutes.limit(parameters))
        let accounts = try await AdminReplies.asking(context) { try await self.accounts.accounts(query) }
        let next = accounts.count == query.limit ? accounts.last.map { String($0.account) } : nil
        return AdminReplies.page(accounts.map { .object(Self.members($0)) }, next: next)
    }

    private func show(_ context: ControlContext) async throws -> Response {
        let id = try Self.id(context)
        let (account, standing) = try await AdminReplies.asking(context) {
            guard let account = try await self.accounts.administered(id) else { throw APIError.noSuchAccount }
            return (account, try await self.accounts.accountStanding(id))
        }
        let held = await self.held.held(of: id)
        let live = await self.holds.liveHolds(of: id)
        return JSONValue.object(
            Self.members(account) + [
                ("heldMillicredits", held?.json ?? .null),
                ("liveHolds", live.map { .integer(Int64($0.count)) } ?? .null),
                ("standing", Self.json(standing)),
                ("capSpend", await self.holds.capSpend(of: id).map(Self.json) ?? .null),
            ]
        ).response()
    }

    private func liveHolds(_ context: ControlContext) async throws -> Response {
        let id = try Self.id(context)
        _ = try await self.account(id, context)
        guard let live = await self.holds.liveHolds(of: id) else { throw APIError.holdsUnavailable }
        return AdminReplies.page(live.map(Self.json), next: nil)
    }

    private func ledger(_ request: Request, _ context: ControlContext) async throws -> Response {
        let query = try HistoryRoutes.query(request.uri.queryParameters, of: try Self.id(context))
        _ = try await self.account(query.account, context)
        return HistoryRoutes.page(
            try await AdminReplies.asking(context) { try await self.history.ledger(query) }, query)
    }

    private func usage(_ request: Request, _ context: ControlContext) async throws -> Response {
        let query = try BillingRoutes.query(request.uri.queryParameters, of: try Self.id(context))
        _ = try await self.account(query.account, context)
        return BillingRoutes.page(
            try await AdminReplies.asking(context) { try await self.billing.usage(query) }, query)
    }

    // MARK: Changing

    private func create(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["userId", "reason"])
        let (user, reason) = (try body.text("userId", 1...256), try body.reason())
        let account = try await AdminReplies.asking(context) {
            try await self.accounts.create(userID: user, note: staff.note(reason, context))
        }
        return JSONValue.object(Self.members(account)).response()
    }

    private func setStatus(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["status", "reason"])
        let (status, reason) = (try body.word("status", AccountStatus.self), try body.reason())
        guard status != .closed else {
            throw APIError.badRequest("status", "'status' must be one of: active, suspended.")
        }
        return try await self.changed(context) { id in
            try await self.accounts.set(status, of: id, note: staff.note(reason, context))
        }
    }

    private func setLimits(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let names = ["requestsPerMinute", "tokensPerMinute", "streams"]
        let body = try await JSONBody(request, Set(names + ["reason"]))
        // It replaces all three, so none is forgotten by accident.
        for name in names where !body.has(name) {
            throw APIError.badRequest(
                name, "'\(name)' is missing: a number, 0 for none, or null for what is configured.")
        }
        let limits = RequestLimitOverrides(
            requestsPerMinute: try body.optionalInteger(names[0], 0...RequestLimits.range.upperBound),
            tokensPerMinute: try body.optionalInteger(names[1], 0...RequestLimits.range.upperBound),
            streams: try body.optionalInteger(names[2], 0...RequestLimits.range.upperBound))
        let reason = try body.reason()
        return try await self.changed(context) { id in
            try await self.accounts.set(limits, of: id, note: staff.note(reason, context))
        }
    }

    private func setPolicy(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["policy", "reason"])
        guard body.has("policy") else {
            throw APIError.badRequest("policy", "'policy' is missing: full, rolling, or null as configured.")
        }
        let policy = try body.optionalText("policy") == nil ? nil : body.word("policy", HoldPolicy.self)
        let reason = try body.reason()
        return try await self.changed(context) { id in
            try await self.accounts.set(policy, of: id, note: staff.note(reason, context))
        }
    }

    private func adjust(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["amountMillicredits", "idempotencyKey", "reason"])
        let amount = try body.millicredits("amountMillicredits")
        guard amount != .zero else {
            throw APIError.badRequest("amountMillicredits", "'amountMillicredits' must not be 0.")
        }
        let (key, reason) = (try body.text("idempotencyKey", 1...200), try body.reason())
        let id = try Self.id(context)
        let done = try await AdminReplies.asking(context) {
            try await self.accounts.adjust(id, by: amount, key: key, note: staff.note(reason, context))
        }
        return JSONValue.object([
            ("accountId", .integer(id)), ("idempotencyKey", .string(key)),
            ("amountMillicredits", amount.json),
            ("balanceMillicredits", done.balance.json), ("repeated", .bool(done.isRepeated)),
        ]).response()
    }

    /// Answers the account as it is after the change.
    private func changed(
        _ context: ControlContext, _ change: (AccountID) async throws -> Void
    ) async throws -> Response {
        let id = try Self.id(context)
        try await AdminReplies.asking(context) { try await change(id) }
        return JSONValue.object(Self.members(try await self.account(id, context))).response()
    }

    private func account(_ id: AccountID, _ context: ControlContext) async throws -> AdministeredAccount {
        try await AdminReplies.asking(context) {
            guard let account = try await self.accounts.administered(id) else { throw APIError.noSuchAccount }
            return account
        }
    }

    // MARK: Shapes

    private static func id(_ context: ControlContext) throws -> AccountID {
        try AdminReplies.id(context, "account", .noSuchAccount)
    }

    private static func members(_ account: AdministeredAccount) -> [(String, JSONValue)] {
        [
            ("accountId", .integer(account.account)), ("userId", .string(account.userID)),
            ("status", .string(account.status.rawValue)), ("balanceMillicredits", account.balance.json),
            ("floorMillicredits", account.floor.json), ("blocked", .bool(account.isBlocked)),
            ("limits", Self.json(account.limits)), ("holdPolicy", .text(account.holds?.rawValue)),
            ("createdAtMs", .integer(account.createdAt)),
        ]
    }

    static func json(_ limits: RequestLimitOverrides) -> JSONValue {
        .object([
            ("requestsPerMinute", limits.requestsPerMinute.json),
            ("tokensPerMinute", limits.tokensPerMinute.json), ("streams", limits.streams.json),
        ])
    }

    private static func json(_ standing: AccountStanding) -> JSONValue {
        .object([
            ("actor", .text(standing.actor)), ("reason", .text(standing.reason)),
            ("changedAtMs", standing.changedAt.json), ("disputes", .array(standing.disputes.map(Self.json))),
        ])
    }

    private static func json(_ spend: CapSpend) -> JSONValue {
        .object([("sessionMillicredits", spend.session.json), ("dayMillicredits", spend.day.json)])
    }

    private static func json(_ dispute: AccountStanding.Dispute) -> JSONValue {
        .object([
            ("purchaseId", .string(dispute.purchase.description)), ("disputeId", .string(dispute.dispute)),
            ("state", .string(dispute.state)), ("sinceMs", .integer(dispute.since)),
            ("lifted", .bool(dispute.isLifted)),
        ])
    }

    private static func json(_ hold: OpenHold) -> JSONValue {
        .object([
            ("holdId", .string(hold.hold.description)), ("amountMillicredits", hold.amount.json),
            ("state", .string(hold.isCaptured ? "captured" : "held")),
        ])
    }
}
