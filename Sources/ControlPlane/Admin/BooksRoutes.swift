import Billing
import Hummingbird

/// `/api/admin/finance`, `/api/admin/trial-balance` and `/api/admin/reconciliation`.
struct BooksRoutes: Sendable {
    let books: any BooksReading

    private static let runs = "/api/admin/reconciliation"

    func add(to table: inout RouteTable) {
        table.get("/api/admin/finance", staff: .finance, Self.financeOperation) { _, context, _ in
            try await self.finance(context)
        }
        table.get("/api/admin/trial-balance", staff: .finance, Self.trialOperation) { _, context, _ in
            try await self.trial(context)
        }
        table.get(Self.runs, staff: .viewer, Self.runsOperation) { request, context, _ in
            try await self.list(request, context)
        }
        table.get(Self.runs + "/:run/findings", staff: .viewer, Self.findingsOperation) { _, context, _ in
            try await self.findings(context)
        }
    }

    private func finance(_ context: ControlContext) async throws -> Response {
        let figures = try await AdminReplies.asking(context) { try await self.books.figures() }
        return JSONValue.object([
            ("deferredRevenueMicroUsd", figures?.deferredRevenue.json ?? .null),
            ("liabilityMicroUsd", figures?.liability.json ?? .null),
            ("marginYesterdayMicroUsd", figures?.marginYesterday.json ?? .null),
            ("lagLines", (figures?.lagLines).json), ("readAtMs", (figures.map { $0.readAt * 1000 }).json),
        ]).response()
    }

    private func trial(_ context: ControlContext) async throws -> Response {
        let trial = try await AdminReplies.asking(context) { try await self.books.balanceOfBooks() }
        let accounts = trial.rows.map { row -> JSONValue in
            .object([("account", .string(row.account.rawValue)), ("debitMicroUsd", row.microUSD.json)])
        }
        return JSONValue.object([
            ("accounts", .array(accounts)), ("differenceMicroUsd", trial.difference.json),
            ("balanced", .bool(trial.isBalanced)),
        ]).response()
    }

    private func list(_ request: Request, _ context: ControlContext) async throws -> Response {
        let parameters = request.uri.queryParameters
        let (before, limit) = (try AdminReplies.number(parameters), try BillingRoutes.limit(parameters))
        let runs = try await AdminReplies.asking(context) {
            try await self.books.reconciliationRuns(before: before, limit: limit)
        }
        let next = runs.count == limit ? runs.last.map { String($0.run) } : nil
        return AdminReplies.page(runs.map(Self.json), next: next)
    }

    private func findings(_ context: ControlContext) async throws -> Response {
        let run = try AdminReplies.id(context, "run", .noSuchRun)
        let found = try await AdminReplies.asking(context) { try await self.books.findings(of: run) }
        guard let found else { throw APIError.noSuchRun }
        return AdminReplies.page(found.map(Self.json), next: nil)
    }

    private static func json(_ stored: StoredFinding) -> JSONValue {
        let amounts = stored.finding.amounts
        return .object([
            ("check", .string(stored.check)), ("subject", .string(stored.finding.subject)),
            ("unit", .text(amounts?.unit.rawValue)), ("expected", (amounts?.expected).json),
            ("found", (amounts?.found).json), ("detail", .string(stored.finding.detail)),
        ])
    }

    private static func json(_ run: ReconciliationRun) -> JSONValue {
        .object([
            ("run", .integer(run.run)), ("day", .string(run.day)), ("source", .string(run.source)),
            ("finishedAtMs", .integer(run.finishedAt)), ("clean", .bool(run.isClean)),
            ("complete", .bool(run.isComplete)), ("mismatchMillicredits", .string(run.mismatch)),
            ("results", .array(run.results.map(Self.json))),
        ])
    }

    private static func json(_ result: ReconciliationRun.Result) -> JSONValue {
        .object([
            ("check", .string(result.check)), ("outcome", .string(result.outcome)),
            ("findings", .integer(result.findings)), ("mismatchMillicredits", .string(result.mismatch)),
        ])
    }

    // MARK: Document

    private static let financeOperation = Operation(
        .admin, "adminFinance",
        "What is owed and earned, as the gauges tell it; null before the first reading.",
        reply: .object([
            .init("deferredRevenueMicroUsd", .string.orNull), .init("liabilityMicroUsd", .string.orNull),
            .init("marginYesterdayMicroUsd", .string.orNull), .init("lagLines", .integer.orNull),
            .init("readAtMs", .integer.orNull),
        ]))

    private static let trialOperation = Operation(
        .admin, "adminTrialBalance", "Sums of the accounts of the books; debit positive.",
        reply: .object([
            .init(
                "accounts",
                .array(.object([.init("account", .word(BookAccount.self)), .init("debitMicroUsd", .string)]))
            ), .init("differenceMicroUsd", .string), .init("balanced", .boolean),
        ]))

    private static let runsOperation = Operation(
        .admin, "adminReconciliation", "Runs of the reconciliation, newest first.", .page,
        reply: .page(
            .object([
                .init("run", .integer), .init("day", .string(format: "date")),
                .init("source", .words("daily", "command")), .init("finishedAtMs", .integer),
                .init("clean", .boolean), .init("complete", .boolean),
                .init("mismatchMillicredits", .named(.millicredits)),
                .init(
                    "results",
                    .array(
                        .object([
                            .init("check", .string),
                            .init("outcome", .word(ReconciliationResult.Outcome.self)),
                            .init("findings", .integer), .init("mismatchMillicredits", .named(.millicredits)),
                        ]))),
            ])))

    private static let findingsOperation = Operation(
        .admin, "adminFindings", "The differences of a run, the first thousand of each check.",
        [.path("run", .integer(1...Int64.max), "Number of the run.")],
        reply: .page(
            .object([
                .init("check", .string), .init("subject", .string),
                .init("unit", .word(ReconciliationFinding.Unit.self).orNull),
                .init("expected", .integer.orNull),
                .init("found", .integer.orNull), .init("detail", .string),
            ])), errors: [.notFound])
}
