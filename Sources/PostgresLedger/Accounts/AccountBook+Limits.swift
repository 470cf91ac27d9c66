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
    public func changeLimits(ofKey keyID: Int64, _ changes: LimitChanges) async throws
        -> RequestLimitOverrides
    {
        guard let limits = try await self.changeLimits("api_key", "key_id", keyID, changes) else {
            throw Failure.noSuchKey
        }
        return limits
    }

    /// As for a key.
    @discardableResult
    public func changeLimits(
        of account: AccountID, _ changes: LimitChanges
    ) async throws -> RequestLimitOverrides {
        guard let limits = try await self.changeLimits("account", "account_id", account, changes) else {
            throw Failure.noSuchAccount
        }
        return limits
    }

    private func changeLimits(
        _ table: String, _ column: String, _ id: Int64, _ changes: LimitChanges
    ) async throws -> RequestLimitOverrides? {
        let columns = RequestLimitOverrides.columns
        func new(_ name: String, _ parameter: Int) -> String {
            "\(name) = CASE $\(parameter)::bigint WHEN -1 THEN \(name) WHEN -2 THEN NULL ELSE $\(parameter) END"
        }
        let update = """
            UPDATE \(table) SET \(new(columns[0], 2)), \(new(columns[1], 3)), \(new(columns[2], 4))
            WHERE \(column) = $1 RETURNING \(columns.joined(separator: ", "))
            """
        let read = "SELECT \(columns.joined(separator: ", ")) FROM \(table) WHERE \(column) = $1"
        return try await self.pool.run { connection in
            let rows =
                changes.isEmpty
                ? try connection.run(read, [.int(id)]).rows
                : try connection.run(
                    update,
                    [
                        .int(id), changes.requestsPerMinute.parameter, changes.tokensPerMinute.parameter,
                        changes.streams.parameter,
                    ]
                ).rows
            return try rows.first.map { try RequestLimitOverrides($0, at: 0) }
        }
    }
}

extension RequestLimitOverrides {
    /// Of `api_key` and of `account`.
    static let columns = ["requests_per_minute", "tokens_per_minute", "streams_max"]

    init(_ row: PostgresRow, at index: Int) throws {
        self.init(
            requestsPerMinute: try row.optionalInt(index), tokensPerMinute: try row.optionalInt(index + 1),
            streams: try row.optionalInt(index + 2))
    }
}
