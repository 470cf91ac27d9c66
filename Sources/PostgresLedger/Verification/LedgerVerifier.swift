import Metering

/// An invariant that does not hold, or something a person should look at.
public struct LedgerFinding: Sendable, Hashable {
    public enum Severity: String, Sendable, Hashable, CaseIterable {
        /// Money or history is wrong.
        case violation
        case warning
    }

    public var check: String
    public var severity: Severity
    /// The first offenders, at most `LedgerVerifier.rowsMax`.
    public var rows: [String]
    /// How many there are.
    public var total: Int64
}

/// Runs the invariants of DESIGN §9 that the ledger alone can answer. Tolerance is zero.
public struct LedgerVerifier: Sendable {
    public static let rowsMax = 20
    let pool: PostgresPool

    public init(pool: PostgresPool) { self.pool = pool }

    /// Every check, all on one snapshot, so settlement may go on meanwhile. Empty: all is well.
    public func verify() async throws -> [LedgerFinding] {
        try await self.run(LedgerCheck.all + LedgerCheck.runbook)
    }

    /// The runbook's two daily queries only.
    public func reconcile() async throws -> [LedgerFinding] { try await self.run(LedgerCheck.runbook) }

    /// Balances for the comparison with the hold store (R3); unknown accounts are left out.
    public func balances(of accounts: [AccountID]) async throws -> [LedgerBalance] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT account_id, (SELECT ledger_generation()), version, balance_millicredits FROM
                    credit_balance
                WHERE account_id = ANY ($1::bigint[]) ORDER BY account_id
                """, [.array(PostgresArray(accounts))]
            ).rows.map { row in
                try LedgerBalance(
                    account: row.int(0), generation: row.int(1), version: row.int(2),
                    balance: row.millicredits(3))
            }
        }
    }

    private func run(_ checks: [LedgerCheck]) async throws -> [LedgerFinding] {
        try await self.pool.run(timeout: .seconds(1800)) { connection in
            try connection.transaction(.readSnapshot) { connection in
                try connection.run("SELECT set_config('statement_timeout', '900s', true)")
                return try checks.compactMap { try Self.finding($0, on: connection) }
            }
        }
    }

    static func finding(_ check: LedgerCheck, on connection: PostgresConnection) throws -> LedgerFinding? {
        let rows = try connection.run(
            """
            SELECT offender, count(*) OVER ()
            FROM (\(check.sql)) AS offenders(offender) ORDER BY 1 LIMIT $1
            """,
            [.int(Int64(self.rowsMax))], timeout: .seconds(900)
        ).rows
        guard let first = rows.first else { return nil }
        return LedgerFinding(
            check: check.name, severity: check.severity, rows: try rows.map { try $0.text(0) },
            total: try first.int(1))
    }
}
