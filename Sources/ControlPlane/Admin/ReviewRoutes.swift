import Billing
import Hummingbird
import Metering

/// `/api/admin/reviews`.
struct ReviewRoutes: Sendable {
    let desk: any ReviewDesk

    private static let path = "/api/admin/reviews"

    private enum Decision: String, CaseIterable { case clear, suspend }

    func add(to table: inout RouteTable) {
        table.get(Self.path, staff: .viewer, Self.listOperation) { request, _, _ in
            try await self.list(request)
        }
        table.post(Self.path + "/decision", staff: .support, Self.decideOperation) {
            try await self.decide($0, $1, $2)
        }
    }

    private func list(_ request: Request) async throws -> Response {
        let parameters = request.uri.queryParameters
        let state = try AdminReplies.text(parameters, "state").map { text in
            guard let state = AccountReview.State(rawValue: text) else {
                throw APIError.badRequest("state", "'state' must be open, cleared or suspended.")
            }
            return state
        }
        let limit = try BillingRoutes.limit(parameters)
        do throws(ReviewRefusal) {
            return JSONValue.object([
                ("entries", .array(try await self.desk.reviews(state, limit: limit).map(Self.json)))
            ]).response()
        } catch {
            throw Self.error(error)
        }
    }

    private func decide(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await JSONBody(request, ["userId", "reviewId", "decision", "reason"])
        let user = try body.text("userId", 1...256)
        let seen = try body.optionalInteger("reviewId", 1...Int64.max)
        guard let decision = Decision(rawValue: try body.text("decision", 1...16)) else {
            throw APIError.badRequest("decision", "'decision' must be clear or suspend.")
        }
        let note = staff.note(try body.reason(), context)
        do throws(ReviewRefusal) {
            switch decision {
            case .clear:
                return Self.json(try await self.desk.clearReview(of: user, seen: seen, note)).response()
            case .suspend:
                return Self.json(try await self.desk.suspendReviewed(user, seen: seen, note)).response()
            }
        } catch {
            throw Self.error(error)
        }
    }

    static func error(_ refusal: ReviewRefusal) -> APIError {
        switch refusal {
        case .noOpenReview:
            APIError(
                status: .conflict, message: "Nothing of this user is open; somebody decided it meanwhile.",
                code: "no_open_review")
        case .anotherIsOpen:
            APIError(
                status: .conflict,
                message:
                    "The review that is given is not the one of this user that is open; look at that one.",
                code: "another_review_open", param: "reviewId")
        case .invalidReason: .badRequest("reason", "The reason must not have control characters.")
        case .ledgerUnavailable: .unavailable
        }
    }

    private static func json(_ review: AccountReview) -> JSONValue {
        .object([
            ("reviewId", .integer(review.id)), ("accountId", .integer(review.account)),
            ("userId", .string(review.user)), ("day", .string("\(review.day)")),
            ("spentMillicredits", .string("\(review.spent.value)")),
            ("meanMillicredits", .string("\(review.mean.value)")),
            ("multiplier", .integer(review.multiplier)), ("state", .string(review.state.rawValue)),
            ("openedAtMs", .integer(review.openedAt)),
            (
                "decision",
                review.decision.map {
                    .object([
                        ("actor", .string($0.actor)), ("reason", .string($0.reason)),
                        ("atMs", .integer($0.at)),
                    ])
                } ?? .null
            ),
        ])
    }

    // MARK: Document

    private static let shape = Schema.object([
        .init("reviewId", .integer), .init("accountId", .integer), .init("userId", .string),
        .init("day", .string), .init("spentMillicredits", .string), .init("meanMillicredits", .string),
        .init("multiplier", .integer), .init("state", .word(AccountReview.State.self)),
        .init("openedAtMs", .integer),
        .init(
            "decision",
            Schema.object([.init("actor", .string), .init("reason", .string), .init("atMs", .integer)]).orNull
        ),
    ])

    private static let listOperation = Operation(
        .admin, "adminReviews", "Accounts that spent many times their mean, newest first. They are served.",
        [
            .query("state", .word(AccountReview.State.self), "Of this state only."),
            .query("limit", .integer(1...500), "How many; 50 when it is not given."),
        ], reply: .object([.init("entries", .array(Self.shape))]))

    private static let decideOperation = Operation(
        .admin, "adminDecideReview",
        "It was in order, or it was not: then the account is suspended in the same transaction. Give the reviewId that "
            + "was seen, and no other review is decided.",
        body: Operation.Body(
            schema: .object(
                [
                    .init("userId", .string(1...256)), .optional("reviewId", .integer(1...Int64.max).orNull),
                    .init("decision", .word(Decision.self)),
                    AccountRoutes.reason,
                ], isClosed: true)), replies: [.json(Self.shape)], errors: [.conflict], audits: true)
}
