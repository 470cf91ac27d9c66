import Hummingbird
import Metering

/// `GET /api/billing/summary`, `packages` and `usage`, `POST /api/billing/estimate`.
struct BillingRoutes: Sendable {
    let credentials: Credentials
    let dependencies: ControlPlane.Dependencies

    func add(to table: inout RouteTable) {
        table.get("/api/billing/summary", access: .account, Self.summaryOperation) {
            try await self.summary($0, $1)
        }
        table.get("/api/billing/packages", access: .account, Self.packagesOperation) {
            try await self.packages($0, $1)
        }
        table.get("/api/billing/usage", access: .account, Self.usageOperation) {
            try await self.usage($0, $1)
        }
        table.post("/api/billing/estimate", access: .account, Self.estimateOperation) { request, _ in
            try await self.estimate(request)
        }
    }

    // MARK: Summary

    private func summary(_ request: Request, _ context: ControlContext) async throws -> Response {
        let account = try await self.credentials.account(of: request).account
        async let held = self.dependencies.held.held(of: account)
        async let packages = self.read(context) { try await $0.packages() }
        guard let summary = try await self.read(context, { try await $0.summary(of: account) }) else {
            throw APIError.noSuchAccount
        }
        let balance = summary.balance.balance
        let knownHeld = await held
        let heldAmount = knownHeld ?? .zero
        // Each is below 2^53, so this cannot overflow, though it can leave the range of a balance.
        let available = balance.value - heldAmount.value - summary.gate.floor.value
        return JSONValue.object([
            ("balanceMillicredits", balance.json), ("balanceCredits", balance.creditsJSON),
            ("balanceUsd", balance.usdJSON), ("heldMillicredits", heldAmount.json),
            ("heldKnown", .bool(knownHeld != nil)), ("availableMillicredits", .string(String(available))),
            ("packages", .array(try await packages.map(Self.package))),
            ("activeRates", .array(self.dependencies.prices.current.models.map(BillingRates.json))),
            ("recentLedger", .array(summary.recentLedger.map(Self.ledgerLine))),
            ("recentUsage", .array(summary.recentUsage.map(Self.usageLine))),
        ]).response()
    }

    private func packages(_ request: Request, _ context: ControlContext) async throws -> Response {
        _ = try await self.credentials.account(of: request)
        let packages = try await self.read(context) { try await $0.packages() }
        return JSONValue.object([("entries", .array(packages.map(Self.package))), ("nextCursor", .null)])
            .response()
    }

    /// Asks the ledger. Whatever it fails with, the client is told to try again and nothing more.
    func read<Value: Sendable>(
        _ context: ControlContext, _ query: @Sendable (any BillingReading) async throws -> Value
    ) async throws -> Value {
        do {
            return try await query(self.dependencies.billing)
        } catch {
            context.logger.warning("ledger not readable", metadata: ["error": "\(type(of: error))"])
            throw APIError.unavailable
        }
    }

    private static func package(_ package: CreditPackage) -> JSONValue {
        .object([
            ("code", .string(package.code)), ("name", .string(package.name)),
            ("priceUsdCents", .integer(package.priceUSDCents)), ("credits", .integer(package.credits)),
            ("bonusCredits", .integer(package.bonusCredits)),
        ])
    }

    private static func ledgerLine(_ line: LedgerLine) -> JSONValue { .object(self.members(of: line)) }

    static func members(of line: LedgerLine) -> [(String, JSONValue)] {
        [
            ("version", .integer(line.version)), ("type", .string(line.type)),
            ("amountMillicredits", line.amount.json), ("balanceAfterMillicredits", line.balanceAfter.json),
            ("referenceType", .string(line.referenceType)), ("referenceId", .string(line.referenceID)),
            ("createdAtMs", .integer(line.createdAt)),
        ]
    }

    // MARK: Estimate

    private static let estimateBytesMax = 1 << 20

    private func estimate(_ request: Request) async throws -> Response {
        _ = try await self.credentials.account(of: request)
        let asked = try EstimateRequest(
            parsing: try await request.body.collect(upTo: Self.estimateBytesMax), self.dependencies.encodings)
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
            throw APIError.badRequest(asked.amountField, "The amount is too large to be priced.")
        }
        return JSONValue.object([
            ("model", .string(asked.model)), ("priceId", .string(row.priceID)),
            ("inputTokens", .integer(asked.usage.inputTotal)),
            ("cachedInputTokens", .integer(asked.usage.cachedInput)),
            ("outputTokens", .integer(asked.usage.outputTotal)),
            ("estimated", .bool(asked.isEstimated)), ("millicredits", charge.amount.json),
            ("credits", charge.amount.creditsJSON), ("usd", charge.amount.usdJSON),
        ]).response()
    }
}
