import Billing
import Metering

extension AccountBook {
    /// What becomes of one limit.
    public enum LimitChange: Sendable, Hashable {
        case keep
        /// As configured.
        case usual
        case none
        case limit(Int64)

        /// As the statements below read it.
        fileprivate var parameter: PostgresValue {
            switch self {
            case .keep: .int(-1)
            case .usual: .int(-2)
            case .none: .int(0)
            case .limit(let limit): .int(limit)
            }
        }
    }

    public struct LimitChanges: Sendable, Hashable {
        public var requestsPerMinute = LimitChange.keep
        public var tokensPerMinute = LimitChange.keep
        public var streams = LimitChange.keep

        public init() {}

        public var isEmpty: Bool { self == LimitChanges() }
    }

    /// Changes limits of a key and answers what they are now; every instance knows them within a second.
    @discardableResult
    public func changeLimits(
        ofKey keyID: Int64, _ changes: LimitChanges, note: ChangeNote? = nil
    ) async throws -> RequestLimitOverrides {
        try await self.change { connection in
            guard let (before, _) = try Self.limits("api_key", "key_id", "label", keyID, on: connection)
            else {
                throw Failure.noSuchKey
            }
            let after = try Self.change("api_key", "key_id", keyID, changes, on: connection)
            if let note, after != before {
                try connection.audit(
                    note, "key.limits", "key:\(keyID)", before: before.auditJSON, after: after.auditJSON)
            }
            return after
        }
    }

    /// As for a key.
    @discardableResult
    public func changeLimits(
        of account: AccountID, _ changes: LimitChanges, note: ChangeNote? = nil
    ) async throws -> RequestLimitOverrides {
        try await self.change { connection in
            guard
                let (before, user) = try Self.limits(
                    "account", "account_id", "user_id", account, on: connection)
            else { throw Failure.noSuchAccount }
            let after = try Self.change("account", "account_id", account, changes, on: connection)
            if let note, after != before {
                try connection.audit(
                    note, "account.limits", "account:\(user)", before: before.auditJSON,
                    after: after.auditJSON)
            }
            return after
        }
    }

    /// As they are, with the name of whose they are; nil: there is no such row.
    private static func limits(
        _ table: String, _ column: String, _ name: String, _ id: Int64, on connection: PostgresConnection
    ) throws -> (RequestLimitOverrides, name: String)? {
        let columns = RequestLimitOverrides.columns.joined(separator: ", ")
        let row = try connection.run(
            "SELECT \(columns), \(name) FROM \(table) WHERE \(column) = $1 FOR NO KEY UPDATE", [.int(id)]
        ).first
        return try row.map { (try RequestLimitOverrides($0, at: 0), try $0.text(3)) }
    }

    private static func change(
        _ table: String, _ column: String, _ id: Int64, _ changes: LimitChanges,
        on connection: PostgresConnection
    ) throws -> RequestLimitOverrides {
        let columns = RequestLimitOverrides.columns
        func new(_ name: String, _ parameter: Int) -> String {
            "\(name) = CASE $\(parameter)::bigint WHEN -1 THEN \(name) WHEN -2 THEN NULL ELSE $\(parameter) END"
        }
        // Nothing to change: no trigger tells anybody.
        guard !changes.isEmpty else {
            return try RequestLimitOverrides(
                connection.run(
                    "SELECT \(columns.joined(separator: ", ")) FROM \(table) WHERE \(column) = $1", [.int(id)]
                ).one(), at: 0)
        }
        return try RequestLimitOverrides(
            connection.run(
                """
                UPDATE \(table) SET \(new(columns[0], 2)), \(new(columns[1], 3)), \(new(columns[2], 4))
                WHERE \(column) = $1 RETURNING \(columns.joined(separator: ", "))
                """,
                [
                    .int(id), changes.requestsPerMinute.parameter, changes.tokensPerMinute.parameter,
                    changes.streams.parameter,
                ]
            ).one(), at: 0)
    }
}

extension RequestLimitOverrides {
    /// Of `api_key` and of `account`.
    static let columns = ["requests_per_minute", "tokens_per_minute", "streams_max"]

    /// For the audit log: null is as configured, 0 none.
    var auditJSON: String {
        AuditJSON.object([
            ("requestsPerMinute", AuditJSON.number(self.requestsPerMinute)),
            ("tokensPerMinute", AuditJSON.number(self.tokensPerMinute)),
            ("streams", AuditJSON.number(self.streams)),
        ])
    }

    init(_ row: PostgresRow, at index: Int) throws {
        self.init(
            requestsPerMinute: try row.optionalInt(index), tokensPerMinute: try row.optionalInt(index + 1),
            streams: try row.optionalInt(index + 2))
    }
}
