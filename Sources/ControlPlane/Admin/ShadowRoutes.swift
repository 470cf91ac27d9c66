import Billing
import Hummingbird
import Metering

/// `/api/admin/shadow-report`: what was served and not charged beside what charging would have brought.
struct ShadowRoutes: Sendable {
    let dashboards: any DashboardReading

    func add(to table: inout RouteTable) {
        table.get("/api/admin/shadow-report", staff: .viewer, Self.operation) { request, context, _ in
            try await self.report(request, context)
        }
    }

    private func report(_ request: Request, _ context: ControlContext) async throws -> Response {
        let parameters = request.uri.queryParameters
        let from = try BillingRoutes.instant(parameters, "from")
        let to = try BillingRoutes.instant(parameters, "to")
        let report = try await AdminReplies.asking(context) {
            do { return try await self.dashboards.shadowReport(from: from, to: to) } catch let slow
                as DashboardTooSlow
            {
                throw APIError.tooSlow(slow)
            }
        }
        return JSONValue.object([
            ("total", .object(Self.members(report.total))),
            (
                "days",
                .array(
                    report.byDay.sorted { $0.key < $1.key }.map {
                        .object([("day", .string($0.key.description))] + Self.members($0.value))
                    })
            ),
            (
                "models",
                .array(
                    report.byModel.sorted { $0.key < $1.key }.map {
                        .object([("model", .string($0.key))] + Self.members($0.value))
                    })
            ),
            (
                "accounts",
                .array(
                    report.byAccount.sorted { $0.key < $1.key }.map {
                        .object(
                            [
                                ("accountId", .integer($0.key)),
                                ("userId", .string(report.users[$0.key] ?? "")),
                            ] + Self.members($0.value))
                    })
            ),
        ]).response()
    }

    private static func members(_ sums: ShadowReport.Sums) -> [(String, JSONValue)] {
        [
            ("requests", .integer(sums.requests)), ("withoutCover", .integer(sums.refused)),
            ("shadowMillicredits", sums.shadow.json), ("payableMillicredits", sums.payable.json),
            ("costPicousd", sums.cost.json),
        ]
    }

    // MARK: Document

    private static let sums: [Property] = [
        .init("requests", .integer), .init("withoutCover", .integer),
        .init("shadowMillicredits", .named(.millicredits)),
        .init("payableMillicredits", .named(.millicredits)), .init("costPicousd", .string),
    ]

    private static func lines(_ names: [Property]) -> Schema { .array(.object(names + Self.sums)) }

    private static let operation = Operation(
        .admin, "adminShadowReport",
        "What was served and not charged, what balances could have paid of it, how many requests no balance covered, "
            + "and the cost; by day, model and account.",
        .span,
        reply: .object([
            .init("total", .object(Self.sums)),
            .init("days", Self.lines([.init("day", .string(format: "date"))])),
            .init("models", Self.lines([.init("model", .string)])),
            .init("accounts", Self.lines([.init("accountId", .integer), .init("userId", .string)])),
        ]), errors: [.gatewayTimeout])
}
