import Hummingbird
import Metering

/// `GET /api/billing/summary`, `GET /api/billing/packages`, `POST /api/billing/estimate`.
struct BillingRoutes: Sendable {
    let credentials: Credentials
    let dependencies: ControlPlane.Dependencies

    func add(to router: some RouterMethods<ControlContext>) {
        router.get("/api/billing/summary") { request, _ in try await self.summary(request) }
        router.get("/api/billing/packages") { request, _ in try await self.packages(request) }
        router.post("/api/billing/estimate") { request, _ in try await self.estimate(request) }
        for path in ["/api/billing/summary", "/api/billing/packages", "/api/health", "/api/ready"] {
            router.on(RouterPath(path), method: .post) { _, _ in Self.wrongMethod("GET") }
        }
        router.on("/api/billing/estimate", method: .get) { _, _ in Self.wrongMethod("POST") }
    }

    private static func wrongMethod(_ allowed: String) -> Response {
        var response = APIError(
            status: .methodNotAllowed, message: "Use \(allowed).", code: "method_not_allowed"
        ).response
        response.headers[.allow] = allowed
        return response
    }

    // MARK: Summary

    private func summary(_ request: Request) async throws -> Response {
        let account = try await self.credentials.account(of: request)
        async let held = self.dependencies.held.held(of: account.account)
        async let packages = self.dependencies.billing.packages()
        guard let summary = try await self.dependencies.billing.summary(of: account.account) else {
            throw APIError.unauthorized
        }
        let balance = summary.balance.balance
        let knownHeld = await held
        let heldAmount = knownHeld ?? .zero
        let available = balance.subtracting(heldAmount)?.subtracting(summary.gate.floor) ?? balance
        return JSONValue.object([
            ("balanceMillicredits", balance.json), ("balanceCredits", balance.creditsJSON),
            ("balanceUsd", balance.usdJSON), ("heldMillicredits", heldAmount.json),
            ("heldKnown", .bool(knownHeld != nil)), ("availableMillicredits", available.json),
            ("packages", .array(try await packages.map(Self.package))),
            ("activeRates", .array(self.dependencies.prices.current.models.map(Self.rate))),
            ("recentLedger", .array(summary.recentLedger.map(Self.ledgerLine))),
            ("recentUsage", .array(summary.recentUsage.map(Self.usageLine))),
        ]).response()
    }

    private func packages(_ request: Request) async throws -> Response {
        _ = try await self.credentials.account(of: request)
        let packages = try await self.dependencies.billing.packages()
        return JSONValue.object([("entries", .array(packages.map(Self.package))), ("nextCursor", .null)])
            .response()
    }

    private static func package(_ package: CreditPackage) -> JSONValue {
        .object([
            ("code", .string(package.code)), ("name", .string(package.name)),
            ("priceUsdCents", .integer(package.priceUSDCents)), ("credits", .integer(package.credits)),
            ("bonusCredits", .integer(package.bonusCredits)),
        ])
    }

    /// Rates in credits per 1K tokens: 1 credit per 1K tokens is 10^12 atto-USD per token.
    private static func rate(_ row: ModelPrice) -> JSONValue {
        guard let rates = row.tiers[.default]?.price else {
            preconditionFailure("ModelPrice.init guarantees a default tier")
        }
        func credits(_ rate: Int128) -> JSONValue {
            .string(ExactDecimal(coefficient: rate, scale: 12).description)
        }
        return .object([
            ("model", .string(row.model)), ("priceId", .string(row.priceID)),
            ("inputCreditsPer1k", credits(rates.input)),
            ("cachedInputCreditsPer1k", credits(rates.cachedInput)),
            ("cacheWriteCreditsPer1k", credits(rates.cacheWrite)),
            ("outputCreditsPer1k", credits(rates.output)),
        ])
    }

    private static func ledgerLine(_ line: LedgerLine) -> JSONValue {
        .object([
            ("version", .integer(line.version)), ("type", .string(line.type)),
            ("amountMillicredits", line.amount.json), ("balanceAfterMillicredits", line.balanceAfter.json),
            ("referenceType", .string(line.referenceType)), ("referenceId", .string(line.referenceID)),
            ("createdAtMs", .integer(line.createdAt)),
        ])
    }

    private static func usageLine(_ line: UsageLine) -> JSONValue {
        .object([
            ("holdId", .string(line.hold.description)), ("kind", .string(line.kind)),
            ("model", .string(line.model)),
            ("modelServed", line.modelServed.map { .string($0) } ?? .null),
            ("endpoint", .string(line.endpoint)),
            ("inputTokens", .integer(line.inputTokens)),
            ("cachedInputTokens", .integer(line.cachedInputTokens)),
            ("outputTokens", .integer(line.outputTokens)),
            ("reasoningTokens", .integer(line.reasoningTokens)),
            ("priceId", .string(line.priceID)), ("chargedMillicredits", line.charged.json),
            ("estimated", .bool(line.estimated)), ("occurredAtMs", .integer(line.occurredAt)),
        ])
    }

    // MARK: Estimate

    private func estimate(_ request: Request) async throws -> Response {
        _ = try await self.credentials.account(of: request)
        let body = try await request.body.collect(upTo: 1 << 20)
        let asked = try EstimateRequest(parsing: body)
        let prices = self.dependencies.prices.current
        guard let row = prices.row(for: asked.model) else {
            throw APIError(
                status: .notFound,
                message: "The model '\(asked.model)' has no price on the active rate card.",
                code: "model_not_priced", param: "model")
        }
        let charge: Charge
        do {
            charge = try row.charge(for: asked.usage, served: .default, mode: prices.mode)
        } catch {
            throw APIError.badRequest("inputTokens", "The amount is too large to be priced.")
        }
        return JSONValue.object([
            ("model", .string(asked.model)), ("priceId", .string(row.priceID)),
            ("inputTokens", .integer(asked.usage.inputTotal)),
            ("outputTokens", .integer(asked.usage.outputTotal)),
            ("estimated", .bool(asked.isEstimated)), ("millicredits", charge.amount.json),
            ("credits", charge.amount.creditsJSON), ("usd", charge.amount.usdJSON),
        ]).response()
    }
}
