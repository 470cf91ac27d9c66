import Billing
import Metering

/// Accounts and keys as the command line and the admin pages use them.
public struct AccountBook: Sendable {
    let pool: PostgresPool
    let hasher: KeyHasher

    public init(pool: PostgresPool, hasher: KeyHasher) {
        self.pool = pool
        self.hasher = hasher
    }

    public enum Failure: Error, Sendable, Hashable {
        /// Empty, longer than 256 bytes, or with control characters.
        case invalidUserID
        case invalidLabel
        /// Blank, longer than 1,000 bytes, or with control characters.
        case invalidReason
        case noSuchAccount
        /// It is closed for good.
        case accountClosed
        case noSuchKey
    }

    // MARK: Accounts

    public typealias Status = AccountStatus

    public struct Account: Sendable, Hashable {
        public var account: AccountID
        public var userID: String
        public var status: Status
        public var balance: LedgerBalance
        public var gate: AccountGate
        /// Milliseconds since 1970.
        public var createdAt: Int64
    }

    /// Finds the account of a user, or creates it with a zero balance.
    public func findOrCreate(userID: String) async throws -> (account: AccountID, created: Bool) {
        guard UserID.isValid(userID) else { throw Failure.invalidUserID }
        return try await self.pool.run { connection in
            let row = try connection.run(
                "SELECT o_account_id, o_created FROM find_or_create_account($1)", [.text(userID)]
            ).one()
            return try (row.int(0), row.bool(1))
        }
    }

    /// nil: no such user.
    public func account(userID: String) async throws -> Account? {
        guard UserID.isValid(userID) else { return nil }
        return try await self.select("WHERE a.user_id = $1", [.text(userID)]).first
    }

    public func account(_ account: AccountID) async throws -> Account? {
        try await self.select("WHERE a.account_id = $1", [.int(account)]).first
    }

    /// A page in the order of account numbers.
    public func list(after: AccountID = 0, limit: Int = 100) async throws -> [Account] {
        try await self.select(
            "WHERE a.account_id > $1 ORDER BY a.account_id LIMIT $2", [.int(after), .int(Int64(limit))])
    }

    /// Changes floor or status (nil: as it is); one gate version up, with NOTIFY in the same transaction (G1,
    /// G2). Anything but `.active` blocks the account in the gate as well.
    @discardableResult
    public func setGate(
        of account: AccountID, floor: Millicredits? = nil, status: Status? = nil
    ) async throws -> AccountGate {
        try await self.row(
            "SELECT o_gate_version, o_floor, o_blocked FROM set_account_gate($1, $2, $3)",
            [.int(account), .int(floor?.value), .text(status?.rawValue)]
        ) { try AccountGate($0, of: account) }
    }

    /// The row of a function that changes one account.
    func row<Value: Sendable>(
        _ sql: String, _ parameters: PostgresParameters,
        _ read: @escaping @Sendable (PostgresRow) throws -> Value
    ) async throws -> Value {
        try await self.pool.run { connection in
            do {
                return try read(connection.retryingConcurrency { try connection.run(sql, parameters).one() })
            } catch let error as PostgresError where error.sqlState == .noSuchAccount {
                throw Failure.noSuchAccount
            } catch let error as PostgresError where error.sqlState == .accountClosed {
                throw Failure.accountClosed
            }
        }
    }

    private func select(_ condition: String, _ parameters: PostgresParameters) async throws -> [Account] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT a.account_id, a.user_id, a.status, b.balance_millicredits, b.version,
                       (SELECT ledger_generation()), b.gate_version, b.floor_millicredits, b.blocked,
                       (extract(epoch FROM a.created_at) * 1000)::bigint
                FROM account a JOIN credit_balance b USING (account_id) \(condition)
                """, parameters
            ).rows.map(Self.account)
        }
    }

    private static func account(_ row: PostgresRow) throws -> Account {
        let account = try row.int(0)
        return Account(
            account: account, userID: try row.text(1), status: try Self.status(row.text(2)),
            balance: LedgerBalance(
                account: account, generation: try row.int(5), version: try row.int(4),
                balance: try row.millicredits(3)),
            gate: AccountGate(
                account: account, version: try row.int(6), floor: try row.millicredits(7),
                blocked: try row.bool(8)),
            createdAt: try row.int(9))
    }
}

extension AccountGate {
    /// Version, floor and whether it is blocked, in this order from the first column on.
    init(_ row: PostgresRow, of account: AccountID) throws {
        try self.init(
            account: account, version: row.int(0), floor: row.millicredits(1), blocked: row.bool(2))
    }
}
