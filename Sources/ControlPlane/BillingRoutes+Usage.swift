import Foundation
import Hummingbird
import Metering

/// `GET /api/billing/usage?model=&from=&to=&limit=&cursor=`: exchanges as they count, newest first.
extension BillingRoutes {
    static let pageDefault: Int64 = 50
    static let pageMax: Int64 = 500

    func usage(_ request: Request, _ context: ControlContext) async throws -> Response {
        let account = try await self.credentials.account(of: request).account
        let query = try Self.query(request.uri.queryParameters, of: account)
        let lines = try await self.read(context) { try await $0.usage(query) }
        return Self.page(lines, query)
    }

    static func page(_ lines: [UsageLine], _ query: UsageQuery) -> Response {
        // A full page may have been the last one; then the next is empty.
        let next = lines.count == query.limit ? lines.last?.hold.description : nil
        return AdminReplies.page(lines.map(Self.usageLine), next: next)
    }

    static func query(_ parameters: Parameters, of account: AccountID) throws -> UsageQuery {
        var query = UsageQuery(account: account, limit: Self.pageDefault)
        query.model = parameters["model"].map(String.init)
        query.from = try Self.instant(parameters, "from")
        query.to = try Self.instant(parameters, "to")
        query.limit = try Self.limit(parameters)
        if let cursor = parameters["cursor"] {
            guard let hold = HoldID(text: String(cursor)) else {
                throw APIError.badRequest("cursor", "'cursor' must be the 'nextCursor' of a page.")
            }
            query.before = hold
        }
        return query
    }

    /// Rows of a page.
    static func limit(_ parameters: Parameters) throws -> Int64 {
        guard let text = parameters["limit"] else { return Self.pageDefault }
        guard let limit = Int64(text), (1...Self.pageMax).contains(limit) else {
            throw APIError.badRequest("limit", "'limit' must be a whole number from 1 to \(Self.pageMax).")
        }
        return limit
    }

    /// A UTC day (its begin) or an instant, in milliseconds since 1970.
    static func instant(_ parameters: Parameters, _ name: String) throws -> Int64? {
        guard let text = parameters[Substring(name)].map(String.init) else { return nil }
        let whole = text.utf8.count == 10 ? text + "T00:00:00Z" : text
        guard let date = try? Date(whole, strategy: .iso8601),
            (0..<253_402_300_800).contains(date.timeIntervalSince1970)
        else {
            throw APIError.badRequest(
                name, "'\(name)' must be a day such as 2026-11-12 or an instant such as 2026-11-12T08:30:00Z."
            )
        }
        return Int64(date.timeIntervalSince1970 * 1000)
    }

    /// Parts that most exchanges do not have appear when there are any.
    static func usageLine(_ line: UsageLine) -> JSONValue {
        var members: [(String, JSONValue)] = [
            ("holdId", .string(line.hold.description)), ("kind", .string(line.kind)),
            ("model", .string(line.model)),
            ("modelServed", line.modelServed.map { .string($0) } ?? .null),
            ("endpoint", .string(line.endpoint)),
            ("inputTokens", .integer(line.inputTokens)),
            ("cachedInputTokens", .integer(line.cachedInputTokens)),
            ("outputTokens", .integer(line.outputTokens)),
            ("reasoningTokens", .integer(line.reasoningTokens)),
        ]
        if !line.parts.isEmpty {
            members.append(("parts", .object(line.parts.map { ($0.name, .integer($0.count)) })))
        }
        members += [
            ("priceId", .string(line.priceID)), ("chargedMillicredits", line.charged.json),
            ("estimated", .bool(line.estimated)), ("occurredAtMs", .integer(line.occurredAt)),
        ]
        return .object(members)
    }
}
