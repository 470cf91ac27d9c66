import Billing
import Metering

/// Accounts and keys, as the operator's routes change them.
public struct AccountDesk: AccountAdministering {
    let pool: PostgresPool
    private let book: AccountBook
    private let ledger: PostgresLedger

    public init(book: AccountBook, ledger: PostgresLedger) {
        self.pool = book.pool
        self.book = book
        self.ledger = ledger
    }

    // MARK: Reading

    public func accounts(_ query: AccountQuery) async throws -> [AdministeredAccount] {
        try await self.select(
            """
            WHERE starts_with(a.user_id, $1) AND a.account_id > $2 AND ($4::bigint IS NULL OR a.account_id = $4)
              AND ($5::text IS NULL
                   OR a.account_id IN (SELECT k.account_id FROM api_key k WHERE starts_with(k.prefix, $5)))
            ORDER BY a.account_id LIMIT $3
            """,
            [
                .text(query.prefix), .int(query.after), .int(query.limit), .int(query.account),
                .text(query.keyPrefix),
            ])
    }

    public func administered(_ account: AccountID) async throws -> AdministeredAccount? {
        try await self.select("WHERE a.account_id = $1", [.int(account)]).first
    }

    private func select(
        _ condition: String, _ parameters: PostgresParameters
    ) async throws -> [AdministeredAccount] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT a.account_id, a.user_id, a.status, b.balance_millicredits, b.floor_millicredits, b.blocked,
                       a.hold_policy, (extract(epoch FROM a.created_at) * 1000)::bigint,
                       a.requests_per_minute, a.tokens_per_minute, a.streams_max
                FROM account a JOIN credit_balance b USING (account_id) \(condition)
                """, parameters
            ).rows.map { row in
                AdministeredAccount(
                    account: try row.int(0), userID: try row.text(1),
                    status: try AccountBook.status(row.text(2)), balance: try row.millicredits(3),
                    floor: try row.millicredits(4), isBlocked: try row.bool(5),
                    limits: try RequestLimitOverrides(row, at: 8),
                    holds: try row.optionalText(6).flatMap { HoldPolicy(rawValue: $0) },
                    createdAt: try row.int(7))
            }
        }
    }

    public func accountStanding(_ account: AccountID) async throws -> AccountStanding {
        let standing = try await self.book.standing(of: account)
        return AccountStanding(
            actor: standing.word?.actor, reason: standing.word?.reason, changedAt: standing.word?.at,
            disputes: standing.disputes.map {
                AccountStanding.Dispute(
                    purchase: $0.purchase, dispute: $0.dispute, state: $0.hold.rawValue,
                    since: $0.since,
                    isLifted: $0.isLifted)
            })
    }

    // MARK: Changing

    public func create(userID: String, note: ChangeNote) async throws -> AdministeredAccount {
        try await self.refusing {
            let made = try await self.book.create(userID: userID, credits: .zero, note: note)
            guard let account = try await self.administered(made.account) else {
                throw AdministrationRefusal.noSuchAccount
            }
            return account
        }
    }

    public func set(_ status: AccountStatus, of account: AccountID, note: ChangeNote) async throws {
        try await self.refusing {
            try await self.book.setStatus(
                of: account, to: status, actor: note.actor, reason: note.reason, request: note.request)
        }
    }

    public func adjust(
        _ account: AccountID, by amount: Millicredits, key: String, note: ChangeNote
    ) async throws -> (balance: Millicredits, isRepeated: Bool) {
        try await self.refusing {
            let receipt = try await self.ledger.grant(
                Grant(
                    account: account, amount: amount, kind: .adjustment, sourceRef: "adjust:" + key,
                    reason: note.reason), note: note)
            return (receipt.balance.balance, receipt.repeated)
        }
    }

    public func set(_ limits: RequestLimitOverrides, of account: AccountID, note: ChangeNote) async throws {
        var changes = AccountBook.LimitChanges()
        changes.requestsPerMinute = AccountBook.LimitChange(limits.requestsPerMinute)
        changes.tokensPerMinute = AccountBook.LimitChange(limits.tokensPerMinute)
        changes.streams = AccountBook.LimitChange(limits.streams)
        try await self.refusing { [changes] in
            try await self.book.changeLimits(of: account, changes, note: note)
        }
    }

    public func set(_ holds: HoldPolicy?, of account: AccountID, note: ChangeNote) async throws {
        try await self.refusing { try await self.book.setHolds(holds, of: account, note: note) }
    }

    // MARK: Keys

    public func keys(of account: AccountID?, before: Int64?, limit: Int64) async throws -> [AdministeredKey] {
        try await self.keys(
            """
            WHERE ($1::bigint IS NULL OR k.account_id = $1) AND ($2::bigint IS NULL OR k.key_id < $2)
            ORDER BY k.key_id DESC LIMIT $3
            """, [.int(account), .int(before), .int(limit)])
    }

    private func keys(_ condition: String, _ parameters: PostgresParameters) async throws -> [AdministeredKey]
    {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT k.key_id, k.account_id, k.label, k.prefix, (extract(epoch FROM k.created_at) * 1000)::bigint,
                       (extract(epoch FROM k.revoked_at) * 1000)::bigint,
                       k.requests_per_minute, k.tokens_per_minute, k.streams_max
                FROM api_key k \(condition)
                """, parameters
            ).rows.map { row in
                try AdministeredKey(
                    keyID: row.int(0), account: row.optionalInt(1), label: row.text(2), prefix: row.text(3),
                    createdAt: row.int(4), revokedAt: row.optionalInt(5),
                    limits: RequestLimitOverrides(row, at: 6))
            }
        }
    }

    public func key(_ keyID: Int64) async throws -> AdministeredKey? {
        try await self.keys("WHERE k.key_id = $1", [.int(keyID)]).first
    }

    public func createKey(
        for account: AccountID?, label: String, note: ChangeNote
    ) async throws -> (key: AdministeredKey, secret: String) {
        try await self.refusing {
            let made: (keyID: Int64, secret: KeySecret)
            if let account {
                guard let owner = try await self.book.account(account) else {
                    throw AccountBook.Failure.noSuchAccount
                }
                made = try await self.book.createKey(userID: owner.userID, note: note)
            } else {
                made = try await self.book.createServiceKey(label: label, note: note)
            }
            guard let key = try await self.key(made.keyID) else {
                throw AdministrationRefusal.noSuchKey
            }
            return (key, made.secret.text)
        }
    }

    public func revoke(_ keyID: Int64, note: ChangeNote) async throws {
        try await self.refusing { try await self.book.revokeKey(keyID, note: note) }
    }

    // MARK: Failures

    @discardableResult
    private func refusing<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let failure as AccountBook.Failure {
            switch failure {
            case .invalidUserID, .invalidLabel: throw AdministrationRefusal.invalidUserID
            case .noSuchAccount: throw AdministrationRefusal.noSuchAccount
            case .accountClosed: throw AdministrationRefusal.accountClosed
            case .noSuchKey: throw AdministrationRefusal.noSuchKey
            case .invalidReason: throw failure
            }
        } catch let failure as Grant.Failure {
            switch failure {
            case .noSuchAccount: throw AdministrationRefusal.noSuchAccount
            case .idempotencyConflict: throw AdministrationRefusal.idempotencyConflict
            case .balanceOutOfRange: throw AdministrationRefusal.balanceOutOfRange
            case .zeroAmount, .negativeAmount, .invalidPayment, .invalidSourceRef: throw failure
            }
        }
    }
}

extension AccountBook.LimitChange {
    /// As an override is stored: nil is the configured one, 0 none.
    init(_ override: Int64?) {
        switch override {
        case nil: self = .usual
        case 0?: self = .none
        case let limit?: self = .limit(limit)
        }
    }
}
