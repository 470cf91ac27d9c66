import Logging
import Metering
import Synchronization

/// Keys and accounts of the ledger in memory. `run()` polls for changes every 500 ms; `nudge()` (from NOTIFY)
/// only makes it sooner. Reads take a lock for one dictionary look-up.
public final class LedgerDirectory: AccountDirectory, Sendable {
    private let pool: PostgresPool
    private let logger: Logger
    private let interval: Duration
    private let accountsMax: Int
    private let clock = ContinuousClock()
    private let index: Mutex<DirectoryIndex>
    private let recent = Mutex(RecentAnswers())
    private let keyFlights = Mutex(SingleFlight<KeyDigest, KeyRecord?>(flightsMax: 256))
    private let accountFlights = Mutex(SingleFlight<AccountID, AccountRecord?>(flightsMax: 256))
    private let userFlights = Mutex(SingleFlight<UserIDBytes, AccountRecord>(flightsMax: 256))
    private let nudges: AsyncStream<Void>
    private let nudger: AsyncStream<Void>.Continuation

    /// - Parameter accountsMax: accounts kept in memory; more are looked up again when needed.
    public init(
        pool: PostgresPool, logger: Logger, interval: Duration = .milliseconds(500),
        accountsMax: Int = 500_000
    ) {
        self.pool = pool
        self.logger = logger
        self.interval = interval
        self.accountsMax = accountsMax
        self.index = Mutex(DirectoryIndex(accountsMax: accountsMax))
        (self.nudges, self.nudger) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: Snapshot

    public func cachedKey(_ digest: KeyDigest) -> KeyRecord? { self.index.withLock { $0.key(digest) } }

    public func cachedAccount(_ account: AccountID) -> AccountRecord? {
        self.index.withLock { $0.account(account) }
    }

    public func cachedAccount(userID: String) -> AccountRecord? {
        self.index.withLock { $0.account(userID: userID) }
    }

    // MARK: Look-ups

    public func resolveKey(
        _ digest: KeyDigest, reply: @escaping @Sendable (Result<KeyRecord?, DirectoryFailure>) -> Void
    ) {
        let asked = self.clock.now
        if let known = self.recent.withLock({ $0.answer(digest, now: asked) }) {
            return reply(.success(known))
        }
        switch self.keyFlights.withLock({ $0.join(digest, reply) }) {
        case .wait: return
        case .refuse: return reply(.failure(.unreachable))
        case .ask: break
        }
        self.pool.submit(timeout: .seconds(2)) { connection in
            try connection.run(
                """
                SELECT key_id, account_id, label, requests_per_minute, tokens_per_minute, streams_max
                FROM api_key WHERE digest = $1::bytea AND revoked_at IS NULL
                """,
                [.bytes(digest.bytes)]
            ).rows.map { try Self.keyRecord($0) }.first
        } completion: { result in
            if case .success(let record) = result {
                self.recent.withLock { $0.remember(record, of: digest, asked: asked) }
            }
            let answer = result.mapError { _ in DirectoryFailure.unreachable }
            for reply in self.keyFlights.withLock({ $0.finish(digest) }) { reply(answer) }
        }
    }

    public func resolveAccount(
        _ account: AccountID, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void
    ) {
        switch self.accountFlights.withLock({ $0.join(account, reply) }) {
        case .wait: return
        case .refuse: return reply(.failure(.unreachable))
        case .ask: break
        }
        let dropped = self.index.withLock { $0.dropped }
        self.pool.submit(timeout: .seconds(2)) { connection in
            try connection.run(
                "SELECT \(Self.accountColumns) FROM account a WHERE account_id = $1",
                [.int(account)]
            ).rows.map { try Self.accountRow($0) }.first
        } completion: { result in
            if case .success(let row?) = result { self.learn(row, droppedBefore: dropped) }
            let answer = result.map { $0?.record }.mapError { _ in DirectoryFailure.unreachable }
            for reply in self.accountFlights.withLock({ $0.finish(account) }) { reply(answer) }
        }
    }

    public func findAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void
    ) {
        guard UserID.isValid(userID) else { return reply(.success(nil)) }
        let dropped = self.index.withLock { $0.dropped }
        self.pool.submit(timeout: .seconds(2)) { connection in
            try connection.run(
                "SELECT \(Self.accountColumns) FROM account a WHERE user_id = $1",
                [.text(userID)]
            ).rows.map { try Self.accountRow($0) }.first
        } completion: { result in
            if case .success(let row?) = result { self.learn(row, droppedBefore: dropped) }
            reply(result.map { $0?.record }.mapError { _ in DirectoryFailure.unreachable })
        }
    }

    /// - Precondition: the caller asked `UserID.isValid`; another text is answered as
    ///   `.unreachable`.
    public func findOrCreateAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord, DirectoryFailure>) -> Void
    ) {
        guard UserID.isValid(userID) else { return reply(.failure(.unreachable)) }
        let user = UserIDBytes(userID)
        switch self.userFlights.withLock({ $0.join(user, reply) }) {
        case .wait: return
        case .refuse: return reply(.failure(.unreachable))
        case .ask: break
        }
        let dropped = self.index.withLock { $0.dropped }
        self.pool.submit(timeout: .seconds(2)) { connection in
            try Self.accountRow(
                connection.run(
                    // An account that this statement makes has no row for it yet, and no limits of its own.
                    """
                    SELECT o_account_id, o_user_id, o_status, o_row_version,
                           a.requests_per_minute, a.tokens_per_minute, a.streams_max, a.hold_policy
                    FROM find_or_create_account($1) LEFT JOIN account a ON a.account_id = o_account_id
                    """,
                    [.text(userID)]
                ).one())
        } completion: { result in
            if case .success(let row) = result { self.learn(row, droppedBefore: dropped) }
            let answer = result.map { $0.record }.mapError { _ in DirectoryFailure.unreachable }
            for reply in self.userFlights.withLock({ $0.finish(user) }) { reply(answer) }
        }
    }

    private func learn(_ row: DirectoryIndex.AccountRow, droppedBefore: Int) {
        self.index.withLock { index in
            if index.dropped == droppedBefore { index.apply(row) }
        }
    }

    // MARK: Polling

    /// Poll soon: a NOTIFY said that something changed.
    public func nudge() { self.nudger.yield() }

    /// Loads everything once; `run()` does it again after every failure. Throws when the database cannot be
    /// read.
    public func load() async throws { _ = try await self.reload() }

    /// Keeps the snapshot fresh until the task is cancelled. While the database is away the last snapshot
    /// stays.
    public func run() async {
        var marks: DirectoryMarks?
        let timer = AsyncTimer(interval: self.interval, nudges: self.nudges)
        await timer.run {
            do {
                if let known = marks {
                    marks = try await self.poll(known)
                } else {
                    marks = try await self.reload()
                }
            } catch {
                // After an outage another server may answer: only a whole load is sure to be complete.
                marks = nil
                self.logger.warning("key directory not refreshed", metadata: ["error": "\(error)"])
            }
        }
    }

    private func reload() async throws -> DirectoryMarks {
        let max = Int64(self.accountsMax)
        let accountsMax = self.accountsMax
        let (marks, index) = try await self.pool.run(timeout: .seconds(60)) { connection in
            // The mark is taken before the rows are read: what commits in between is read twice, never
            // missed.
            let marks = try DirectoryMarks.current(connection)
            var index = DirectoryIndex(accountsMax: accountsMax)
            for row in try connection.run(
                """
                SELECT key_id, account_id, label, requests_per_minute, tokens_per_minute, streams_max, digest, false
                FROM api_key WHERE revoked_at IS NULL
                """,
                timeout: .seconds(30)
            ).rows { index.apply(try Self.keyRow(row)) }
            for row in try connection.run(
                """
                SELECT \(Self.accountColumns) FROM account a
                WHERE EXISTS (SELECT 1 FROM api_key k WHERE k.account_id = a.account_id) OR status <> 'active'
                LIMIT $1
                """, [.int(max)], timeout: .seconds(30)
            ).rows { index.apply(try Self.accountRow(row)) }
            return (marks, index)
        }
        self.index.withLock { $0.replace(with: index) }
        return marks
    }

    /// Reads what changed since `marks`; the next marks, or nil when the server's history went backwards.
    private func poll(_ marks: DirectoryMarks) async throws -> DirectoryMarks? {
        let (next, keys, accounts) = try await self.pool.run(timeout: .seconds(10)) { connection in
            let next = try DirectoryMarks.current(connection)
            let keys = try connection.run(
                """
                SELECT key_id, account_id, label, requests_per_minute, tokens_per_minute, streams_max, digest,
                       revoked_at IS NOT NULL FROM api_key
                WHERE changed_by >= $1::xid8 AND changed_by < pg_snapshot_xmax(pg_current_snapshot())
                """, [.text(marks.changedBy)]
            ).rows.map { try Self.keyRow($0) }
            let accounts = try connection.run(
                """
                SELECT \(Self.accountColumns) FROM account a
                WHERE changed_by >= $1::xid8 AND changed_by < pg_snapshot_xmax(pg_current_snapshot())
                """, [.text(marks.changedBy)]
            ).rows.map { try Self.accountRow($0) }
            return (next, keys, accounts)
        }
        guard next.follows(marks) else { return nil }
        if !keys.isEmpty || !accounts.isEmpty {
            self.index.withLock { index in
                for row in keys { index.apply(row) }
                for row in accounts { index.apply(row) }
            }
        }
        return next
    }

    // MARK: Rows

    private static let accountColumns =
        "a.account_id, a.user_id, a.status, a.row_version, a.requests_per_minute, a.tokens_per_minute, a.streams_max, a.hold_policy"

    private static func keyRecord(_ row: PostgresRow) throws -> KeyRecord {
        try KeyRecord(
            keyID: row.int(0), holder: row.optionalInt(1).map { .account($0) } ?? .service,
            label: row.text(2), limits: RequestLimitOverrides(row, at: 3))
    }

    private static func keyRow(_ row: PostgresRow) throws -> DirectoryIndex.KeyRow {
        guard let digest = KeyDigest(bytes: try row.bytes(6)) else {
            throw PostgresError.unexpectedResult("a digest of another length")
        }
        return DirectoryIndex.KeyRow(
            digest: digest, record: try self.keyRecord(row), revoked: try row.bool(7))
    }

    private static func accountRow(_ row: PostgresRow) throws -> DirectoryIndex.AccountRow {
        let record = try AccountRecord(
            account: row.int(0), userID: row.text(1),
            suspended: row.text(2) != AccountBook.Status.active.rawValue,
            limits: RequestLimitOverrides(row, at: 4),
            holds: row.optionalText(7).flatMap { HoldPolicy(rawValue: $0) })
        return DirectoryIndex.AccountRow(record: record, version: try row.int(3))
    }
}

/// Up to where a poller has read: every transaction below `changedBy` was over when it looked.
struct DirectoryMarks: Sendable, Equatable {
    let changedBy: String
    private let generation: Int64

    static func current(_ connection: PostgresConnection) throws -> DirectoryMarks {
        let row = try connection.run(
            "SELECT pg_snapshot_xmin(pg_current_snapshot())::text, (SELECT ledger_generation())"
        ).one()
        return try DirectoryMarks(changedBy: row.text(0), generation: row.int(1))
    }

    /// false when another history answers (restore, promotion): its transaction numbers mean something else.
    func follows(_ older: DirectoryMarks) -> Bool {
        guard let new = UInt64(self.changedBy), let old = UInt64(older.changedBy) else { return false }
        return self.generation == older.generation && new >= old
    }
}
