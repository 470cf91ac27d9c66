import Billing
import Metering

/// Flags as operators change them.
public struct FlagBook: FlagDesk {
    private let pool: PostgresPool
    private let start: Controls

    /// - Parameter start: what this process' environment says.
    public init(pool: PostgresPool, start: Controls) {
        self.pool = pool
        self.start = start
    }

    public func flags() async throws(FlagRefusal) -> [FlagState] {
        let start = self.start
        return try await self.run { connection in
            let rows = try Self.rows(connection)
            return ControlName.allCases.map { FlagState($0, rows[$0.rawValue], start) }
        }
    }

    public func setFlag(
        _ name: ControlName, to value: String, expecting: Int64?, _ note: ChangeNote
    ) async throws(FlagRefusal) -> FlagReceipt {
        let canonical: String
        do throws(ControlProblem) {
            canonical = try Controls.canonical(name, value)
        } catch {
            throw .badValue(error)
        }
        return try await self.change(name, canonical, expecting, note)
    }

    public func clearFlag(
        _ name: ControlName, expecting: Int64?, _ note: ChangeNote
    ) async throws(FlagRefusal) -> FlagReceipt {
        try await self.change(name, nil, expecting, note)
    }

    private func change(
        _ name: ControlName, _ value: String?, _ expecting: Int64?, _ note: ChangeNote
    ) async throws(FlagRefusal) -> FlagReceipt {
        guard Reason.isValid(note.reason) else { throw .invalidReason }
        let start = self.start
        return try await self.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    // What is shown as before is what the change finds.
                    try connection.run("LOCK TABLE feature_flag IN SHARE ROW EXCLUSIVE MODE")
                    let before = FlagState(name, try Self.rows(connection)[name.rawValue], start)
                    do {
                        try connection.run(
                            "SELECT change_flag($1, $2, $3, $4, $5, $6, $7)",
                            [
                                .text(name.rawValue), .text(value), .int(expecting), .text(start.text(name)),
                                .text(note.actor), .text(note.reason), .text(note.request),
                            ])
                    } catch let error as PostgresError where error.sqlState == .changedMeanwhile {
                        throw FlagRefusal.changedMeanwhile(version: before.version)
                    }
                    return FlagReceipt(
                        before: before,
                        after: FlagState(name, try Self.rows(connection)[name.rawValue], start))
                }
            }
        }
    }

    private func run<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws(FlagRefusal) -> Value {
        do {
            return try await self.pool.run(timeout: .seconds(10), body)
        } catch let refusal as FlagRefusal {
            throw refusal
        } catch {
            throw .ledgerUnavailable
        }
    }

    fileprivate struct Row: Sendable {
        var value: String?
        var change: FlagChange
        var version: Int64
    }

    private static func rows(_ connection: PostgresConnection) throws -> [String: Row] {
        try connection.run(
            """
            SELECT name, value, actor, reason, (extract(epoch FROM changed_at) * 1000)::bigint, version
            FROM feature_flag
            """
        ).rows.reduce(into: [:]) { rows, row in
            rows[try row.text(0)] = Row(
                value: try row.optionalText(1),
                change: FlagChange(actor: try row.text(2), reason: try row.text(3), at: try row.int(4)),
                version: try row.int(5))
        }
    }
}

extension FlagState {
    /// A value that this release cannot read is not in force.
    fileprivate init(_ name: ControlName, _ row: FlagBook.Row?, _ start: Controls) {
        let set = row?.value.flatMap { try? Controls.canonical(name, $0) }
        self.init(
            name: name, value: set ?? start.text(name), environmentValue: start.text(name),
            source: set == nil ? .environment : .flag, change: row?.change, version: row?.version ?? 0)
    }
}
