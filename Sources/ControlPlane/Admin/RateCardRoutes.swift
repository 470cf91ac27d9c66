import Billing
import Hummingbird

/// `/api/admin/rate-cards`.
struct RateCardRoutes: Sendable {
    let desk: any RateCardDesk

    private static let path = "/api/admin/rate-cards"
    /// A card, with some bytes of it escaped.
    private static let bytesMax = 2 * CardReview.cardBytesMax

    func add(to table: inout RouteTable) {
        table.get(Self.path, staff: .viewer, Self.listOperation) { _, context, _ in
            try await self.list(context)
        }
        table.get(Self.path + "/:card/:version", staff: .viewer, Self.showOperation) { _, context, _ in
            try await self.show(context)
        }
        table.post(Self.path + "/review", staff: .viewer, Self.reviewOperation) { request, context, _ in
            let yaml = try await Self.yaml(JSONBody(request, ["yaml"], bytesMax: Self.bytesMax))
            let review = try await AdminReplies.asking(context) { try await self.desk.review(yaml) }
            return Self.json(review).response()
        }
        table.post(Self.path + "/simulation", staff: .finance, Self.simulateOperation) {
            request, context, _ in
            try await self.simulate(request, context)
        }
        table.post(Self.path, staff: .finance, Self.applyOperation) { try await self.apply($0, $1, $2) }
    }

    private func list(_ context: ControlContext) async throws -> Response {
        let cards = try await AdminReplies.asking(context) { try await self.desk.appliedCards() }
        return AdminReplies.page(cards.map(Self.json), next: nil)
    }

    private func show(_ context: ControlContext) async throws -> Response {
        let (card, version) = (context.parameters.get("card") ?? "", context.parameters.get("version") ?? "")
        guard !card.unicodeScalars.contains("\0"), !version.unicodeScalars.contains("\0") else {
            throw APIError.noSuchCard
        }
        let text = try await AdminReplies.asking(context) {
            try await self.desk.text(ofCard: card, version: version)
        }
        guard let text else { throw APIError.noSuchCard }
        return Response(
            status: .ok, headers: [.contentType: "application/yaml"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    private func simulate(_ request: Request, _ context: ControlContext) async throws -> Response {
        let body = try await JSONBody(request, ["yaml", "days"], bytesMax: Self.bytesMax)
        let (yaml, days) = (try Self.yaml(body), try body.integer("days", 1...366))
        let history = try await Self.asking(context) { try await self.desk.simulate(yaml, days: days) }
        return JSONValue.object([
            ("days", .integer(days)), ("total", Self.json(history.total)),
            ("models", .array(history.models.map(Self.json))),
        ]).response()
    }

    private func apply(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["yaml", "reason"], bytesMax: Self.bytesMax)
        let (yaml, reason) = (try Self.yaml(body), try body.reason())
        let done = try await Self.asking(context) {
            try await self.desk.apply(yaml, note: staff.note(reason, context))
        }
        return JSONValue.object(Self.members(done.review) + [("applied", .bool(done.isNew))]).response()
    }

    private static func yaml(_ body: JSONBody) throws -> String {
        let yaml = try body.text("yaml", 1...Self.bytesMax)
        guard yaml.utf8.count <= CardReview.cardBytesMax else { throw Self.tooLarge }
        return yaml
    }

    static let tooLarge = APIError(
        status: .contentTooLarge, message: "A card has at most \(CardReview.cardBytesMax) bytes.",
        code: "body_too_large", param: "yaml")

    static func asking<Value>(
        _ context: ControlContext, _ body: () async throws -> Value
    ) async throws -> Value {
        try await AdminReplies.asking(context) {
            do { return try await body() } catch let refusal as RateCardRefusal { throw Self.error(refusal) }
        }
    }

    static func error(_ refusal: RateCardRefusal) -> APIError {
        switch refusal {
        case .versionTaken:
            return APIError(
                status: .conflict, message: "This version was applied with other content.",
                code: "version_taken", param: "yaml")
        case .busy:
            return APIError(
                status: .serviceUnavailable, message: "Another simulation runs; try again.",
                code: "busy", headers: [.retryAfter: "10"])
        case .invalid(let review):
            let first = review.problems.first { $0.severity == "error" }
            return APIError(
                status: .unprocessableContent,
                message:
                    "The card cannot be applied: \(first.map(Self.text) ?? "no card").",
                code: "invalid_rate_card", param: "yaml")
        }
    }

    /// As the command line says it.
    private static func text(_ problem: CardReview.Problem) -> String {
        (problem.line.map { "line \($0): " } ?? "") + "\(problem.path): \(problem.message)"
    }

    // MARK: Shapes

    private static func json(_ review: CardReview) -> JSONValue {
        .object(self.members(review))
    }

    private static func members(_ review: CardReview) -> [(String, JSONValue)] {
        [
            ("active", .text(review.active)), ("card", .text(review.card)),
            ("refused", .bool(review.isRefused)),
            ("problems", .array(review.problems.map(Self.json))),
            ("changes", .array(review.changes.map(Self.json))),
        ]
    }

    private static func json(_ card: AppliedRateCard) -> JSONValue {
        .object([
            ("card", .string(card.card)), ("version", .string(card.version)),
            ("effectiveFromMs", .integer(card.effectiveFrom)), ("appliedAtMs", .integer(card.appliedAt)),
            ("appliedBy", .string(card.appliedBy)), ("sha256", .string(card.sha256)),
            ("active", .bool(card.isActive)),
        ])
    }

    private static func json(_ problem: CardReview.Problem) -> JSONValue {
        .object([
            ("severity", .string(problem.severity)), ("path", .string(problem.path)),
            ("message", .string(problem.message)), ("line", problem.line.json),
        ])
    }

    private static func json(_ change: CardReview.Change) -> JSONValue {
        .object([
            ("model", .string(change.model)), ("change", .string(change.change)),
            ("path", .text(change.path)),
            ("from", .text(change.from)), ("to", .text(change.to)),
        ])
    }

    private static func json(_ line: CardHistory.Line) -> JSONValue {
        .object([
            ("name", .string(line.name)), ("events", .integer(line.events)),
            ("revenueMillicreditsNow", line.now.json), ("revenueMillicreditsThen", line.then.json),
        ])
    }
}

extension RateCardRoutes {
    private static let yamlMember = Property(
        "yaml", .string(1...Int64(CardReview.cardBytesMax)).described("The file."))

    private static let listOperation = Operation(
        .admin, "adminRateCards", "Applied cards; the one that takes effect last comes first.",
        reply: .page(
            .object([
                .init("card", .string), .init("version", .string), .init("effectiveFromMs", .integer),
                .init("appliedAtMs", .integer), .init("appliedBy", .string), .init("sha256", .string),
                .init("active", .boolean),
            ])))

    private static let showOperation = Operation(
        .admin, "adminRateCard", "The YAML of a card as it was applied.",
        [.path("card", .string(1...64), "Its name."), .path("version", .string(1...64), "Its version.")],
        replies: [
            Operation.Reply(status: .ok, text: "The file.", contents: [("application/yaml", .string)])
        ], errors: [.notFound])

    private static let reviewMembers: [Property] = [
        .init("active", .string.orNull), .init("card", .string.orNull), .init("refused", .boolean),
        .init(
            "problems",
            .array(
                .object([
                    .init("severity", .words("error", "warning", "notice")), .init("path", .string),
                    .init("message", .string), .init("line", .integer.orNull),
                ]))),
        .init(
            "changes",
            .array(
                .object([
                    .init("model", .string), .init("change", .words("added", "removed", "changed")),
                    .init("path", .string.orNull), .init("from", .string.orNull), .init("to", .string.orNull),
                ]))),
    ]

    private static let reviewOperation = Operation(
        .admin, "adminReviewRateCard", "What a card would change of the active one; changes nothing.",
        body: Operation.Body(schema: .object([Self.yamlMember], isClosed: true)),
        replies: [.json(.object(Self.reviewMembers))])

    private static let line = Schema.object([
        .init("name", .string), .init("events", .integer),
        .init("revenueMillicreditsNow", .named(.millicredits)),
        .init("revenueMillicreditsThen", .named(.millicredits)),
    ])

    private static let simulateOperation = Operation(
        .admin, "adminSimulateRateCard", "What the last days would have cost under a card; changes nothing.",
        body: Operation.Body(
            schema: .object([Self.yamlMember, .init("days", .integer(1...366))], isClosed: true)),
        replies: [
            .json(
                .object([
                    .init("days", .integer), .init("total", Self.line), .init("models", .array(Self.line)),
                ]))
        ], errors: [.unprocessableContent])

    private static let applyOperation = Operation(
        .admin, "adminApplyRateCard", "Put a card in force from its effective_from; immutable from then on.",
        body: Operation.Body(schema: .object([Self.yamlMember, AccountRoutes.reason], isClosed: true)),
        replies: [.json(.object(Self.reviewMembers + [.init("applied", .boolean)]))],
        errors: [.conflict, .unprocessableContent], audits: true)
}
