import Billing
import Foundation
import Hummingbird
import Metering

/// `GET`, `PUT` and `DELETE /api/billing/auto-recharge`.
struct RechargeRoutes: Sendable {
    let credentials: Credentials
    let desk: any RechargeDesk

    private static let path = "/api/billing/auto-recharge"
    private static let bodyBytesMax = 16 << 10

    func add(to table: inout RouteTable) {
        table.get(Self.path, access: .account, Self.getOperation) { request, _ in
            let account = try await self.credentials.account(of: request).account
            return try await self.answer { () async throws(RechargeRefusal) in
                try await self.desk.recharge(of: account)
            }
        }
        table.put(Self.path, access: .account, Self.putOperation) { request, _ in try await self.put(request)
        }
        table.delete(Self.path, access: .account, Self.deleteOperation) { request, _ in
            let account = try await self.credentials.account(of: request).account
            return try await self.answer { () async throws(RechargeRefusal) in
                try await self.desk.turnOffRecharge(of: account)
            }
        }
    }

    private static let getOperation = Operation(
        .billing, "autoRecharge", "Whether, and how, the account is topped up by itself.",
        reply: .named(.autoRecharge))

    private static let putOperation = Operation(
        .billing, "setAutoRecharge", "Top the account up by itself below a threshold; or `enabled: false`.",
        body: .object([
            .optional("enabled", .boolean), .optional("thresholdMillicredits", .named(.millicredits)),
            .optional("packageCode", .string), .optional("dailyLimitUsdCents", .integer),
        ]),
        reply: .named(.autoRecharge))

    private static let deleteOperation = Operation(
        .billing, "stopAutoRecharge", "Do not top the account up any more.", reply: .named(.autoRecharge))

    private func put(_ request: Request) async throws -> Response {
        let account = try await self.credentials.account(of: request)
        let body = try await request.body.collect(upTo: Self.bodyBytesMax)
        let wish = try RechargeWish(parsing: Array(body.readableBytesView))
        // Whoever is suspended may turn it off.
        guard wish == nil || !account.suspended else { throw APIError.accountSuspended }
        return try await self.answer { () async throws(RechargeRefusal) in
            guard let wish else { return try await self.desk.turnOffRecharge(of: account.account) }
            return try await self.desk.turnOnRecharge(
                of: account.account, threshold: wish.threshold, packageCode: wish.packageCode,
                dailyLimitCents: wish.dailyLimitCents)
        }
    }

    private func answer(
        _ body: () async throws(RechargeRefusal) -> RechargeStatus
    ) async throws -> Response {
        let status: RechargeStatus
        do throws(RechargeRefusal) { status = try await body() } catch { throw Self.error(error) }
        return Self.json(status).response()
    }

    static func error(_ refusal: RechargeRefusal) -> APIError {
        switch refusal {
        case .notEnabled:
            APIError(
                status: .serviceUnavailable,
                message: "Auto-recharge is not offered here: BILLING_AUTO_RECHARGE is off.",
                code: "auto_recharge_disabled", isSwitchedOff: true)
        case .unknownPackage: .badRequest("packageCode", "There is no package of this 'packageCode'.")
        case .settings(.thresholdNegative):
            .badRequest("thresholdMillicredits", "'thresholdMillicredits' must not be negative.")
        case .settings(.limitBelowPrice):
            .badRequest(
                "dailyLimitUsdCents",
                "'dailyLimitUsdCents' is below the price of the package, so nothing would ever be charged.")
        case .settings(.limitAboveMaximum(let cents)):
            .badRequest(
                "dailyLimitUsdCents",
                "'dailyLimitUsdCents' must not be above \(cents), the maximum of this service.")
        case .settings(.thresholdNotBelowCredits):
            .badRequest(
                "thresholdMillicredits",
                "'thresholdMillicredits' must be less than the credits of the package, or one charge would lead to another."
            )
        case .settings(.priceNotPositive):
            .badRequest("packageCode", "This package cannot be charged to a card.")
        case .ledgerUnavailable: .unavailable
        }
    }

    // MARK: What the owner sees

    static func json(_ status: RechargeStatus) -> JSONValue {
        let machine = status.machine
        let settings = machine.settings
        return .object([
            ("enabled", .bool(settings != nil)),
            ("thresholdMillicredits", settings?.threshold.json ?? .null),
            ("packageCode", (settings?.packageCode).map { .string($0) } ?? .null),
            ("priceUsdCents", (settings?.priceUSDCents).map { .integer($0) } ?? .null),
            ("dailyLimitUsdCents", (settings?.dailyLimitCents).map { .integer($0) } ?? .null),
            ("state", .string(Self.state(status))),
            ("disabledReason", Self.disabledReason(status).map { .string($0) } ?? .null),
            ("lastAttempt", status.lastAttempt.map(Self.json) ?? .null),
        ])
    }

    private static func state(_ status: RechargeStatus) -> String {
        switch status.machine.state {
        case .asking, .processing: "charging"
        case .stopped: "disabled"
        case .pausing, .idle:
            if status.machine.settings == nil {
                "off"
            } else if status.isPackageChanged {
                "disabled"
            } else if case .pausing = status.machine.state {
                "paused"
            } else {
                "active"
            }
        }
    }

    private static func disabledReason(_ status: RechargeStatus) -> String? {
        if case .stopped(let reason) = status.machine.state { return reason.rawValue }
        return status.isPackageChanged ? "package_changed" : nil
    }

    private static func json(_ attempt: RechargeStatus.Attempt) -> JSONValue {
        let (status, failure): (String, String?) =
            switch attempt.outcome {
            case .underWay: ("pending", nil)
            case .paid: ("paid", nil)
            case .failed(let failure): ("failed", failure.rawValue)
            case .unknown: ("unknown", nil)
            }
        return .object([
            ("number", .integer(attempt.number)), ("usdCents", .integer(attempt.cents)),
            ("startedAtMs", .integer(attempt.startedAt)), ("status", .string(status)),
            ("failure", failure.map { .string($0) } ?? .null),
            ("purchaseId", attempt.purchase.map { .string($0.description) } ?? .null),
        ])
    }
}

/// The body of a PUT. Members that are not named here are not read.
struct RechargeWish: Equatable {
    var threshold: Millicredits
    var packageCode: String
    var dailyLimitCents: Int64

    private struct Body: Decodable {
        var enabled: Result<Bool?, any Error>
        var threshold: String?
        var packageCode: String?
        var dailyLimitCents: Int64?

        private enum CodingKeys: String, CodingKey {
            case enabled, packageCode
            case threshold = "thresholdMillicredits"
            case dailyLimitCents = "dailyLimitUsdCents"
        }

        /// A member of another type is nil: it is named like one that is missing.
        init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            self.enabled = Result { try values.decodeIfPresent(Bool.self, forKey: .enabled) }
            self.threshold = try? values.decode(String.self, forKey: .threshold)
            self.packageCode = try? values.decode(String.self, forKey: .packageCode)
            self.dailyLimitCents = try? values.decode(Int64.self, forKey: .dailyLimitCents)
        }
    }

    /// nil: turn it off.
    ///
    /// - Throws: `APIError` that says what is wrong with every member; its `param` is the first of them.
    init?(parsing bytes: [UInt8]) throws {
        guard let body = try? JSONDecoder().decode(Body.self, from: Data(bytes)) else {
            throw APIError.badRequest("body", "The body must be a JSON object.")
        }
        var wrong: [(field: String, why: String)] = []
        switch body.enabled {
        case .success(false): return nil
        case .success: break
        case .failure: wrong.append(("enabled", "must be true or false"))
        }
        let threshold = body.threshold.flatMap { Self.amount($0) }
        if threshold == nil {
            wrong.append(("thresholdMillicredits", "must be a string of a whole number, not negative"))
        }
        let code = body.packageCode.flatMap { $0.isEmpty ? nil : $0 }
        if code == nil { wrong.append(("packageCode", "must be the code of a package")) }
        let limit = body.dailyLimitCents.flatMap { $0 > 0 ? $0 : nil }
        if limit == nil { wrong.append(("dailyLimitUsdCents", "must be a whole number above 0")) }
        guard wrong.isEmpty, let threshold, let code, let limit else {
            throw APIError.badRequest(
                wrong[0].field, wrong.map { "'\($0.field)' \($0.why)." }.joined(separator: " "))
        }
        (self.threshold, self.packageCode, self.dailyLimitCents) = (threshold, code, limit)
    }

    private static func amount(_ text: String) -> Millicredits? {
        guard let value = Int64(text), value >= 0, String(value) == text else { return nil }
        return Millicredits(exactly: value)
    }
}
