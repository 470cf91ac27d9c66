import Metering

/// Keys and accounts in memory, changed in place by polls and look-ups. A value; the directory keeps it in a
/// lock.
struct DirectoryIndex {
    struct KeyRow: Sendable {
        var digest: KeyDigest
        var record: KeyRecord
        var revoked: Bool
    }

    struct AccountRow: Sendable {
        var record: AccountRecord
        /// `account.row_version`: an older reading never replaces a newer one.
        var version: Int64
    }

    /// Accounts without a key of their own are dropped at this many and looked up again when needed.
    private let accountsMax: Int
    private var keys: [KeyDigest: KeyRecord] = [:]
    private var accounts: [AccountID: AccountRow] = [:]
    private var accountsByUser: [UserIDBytes: AccountID] = [:]
    /// Counts the times accounts were dropped: a look-up that began before may be older than what was
    /// dropped.
    private(set) var dropped = 0

    init(accountsMax: Int) { self.accountsMax = accountsMax }

    func key(_ digest: KeyDigest) -> KeyRecord? { self.keys[digest] }

    func account(_ account: AccountID) -> AccountRecord? { self.accounts[account]?.record }

    func account(userID: String) -> AccountRecord? {
        self.accountsByUser[UserIDBytes(userID)].flatMap(self.account)
    }

    mutating func apply(_ row: KeyRow) { self.keys[row.digest] = row.revoked ? nil : row.record }

    mutating func apply(_ row: AccountRow) {
        if let known = self.accounts[row.record.account], known.version >= row.version { return }
        if self.accounts.count >= self.accountsMax { self.dropAccounts() }
        self.accounts[row.record.account] = row
        self.accountsByUser[UserIDBytes(row.record.userID)] = row.record.account
    }

    /// Takes over a whole load. Look-ups that began before it are void.
    mutating func replace(with loaded: DirectoryIndex) {
        let dropped = self.dropped
        self = loaded
        self.dropped = dropped + 1
    }

    private mutating func dropAccounts() {
        self.accounts.removeAll(keepingCapacity: true)
        self.accountsByUser.removeAll(keepingCapacity: true)
        self.dropped += 1
    }
}

/// Answers about digests for a moment: unknown keys, so a guesser cannot load the database, and keys younger
/// than the next poll. Bounded in time (so a revoked key is not remembered) and in number.
struct RecentAnswers {
    static let lifetime: Duration = .seconds(1)
    private let entriesMax: Int
    private var entries: [KeyDigest: (answer: KeyRecord?, until: ContinuousClock.Instant)] = [:]

    init(entriesMax: Int = 10_000) { self.entriesMax = entriesMax }

    /// The outer optional: nothing is remembered.
    mutating func answer(_ digest: KeyDigest, now: ContinuousClock.Instant) -> KeyRecord?? {
        guard let entry = self.entries[digest] else { return nil }
        guard now < entry.until else {
            self.entries[digest] = nil
            return nil
        }
        return .some(entry.answer)
    }

    /// - Parameter asked: when the database was asked; the answer is no younger than that.
    mutating func remember(_ answer: KeyRecord?, of digest: KeyDigest, asked: ContinuousClock.Instant) {
        if self.entries.count >= self.entriesMax { self.entries.removeAll(keepingCapacity: true) }
        self.entries[digest] = (answer, asked.advanced(by: Self.lifetime))
    }
}

/// Lets the first asker of a key go to the database and the others wait for its answer. A value.
struct SingleFlight<Key: Hashable & Sendable, Value: Sendable> {
    typealias Reply = @Sendable (Result<Value, DirectoryFailure>) -> Void

    enum JoinAction {
        /// Ask the database, then call `finish`.
        case ask
        /// Somebody asks already.
        case wait
        /// Too many different questions are open.
        case refuse
    }

    private let flightsMax: Int
    private var waiting: [Key: [Reply]] = [:]

    init(flightsMax: Int) { self.flightsMax = flightsMax }

    mutating func join(_ key: Key, _ reply: @escaping Reply) -> JoinAction {
        if self.waiting[key] != nil {
            self.waiting[key]?.append(reply)
            return .wait
        }
        guard self.waiting.count < self.flightsMax else { return .refuse }
        self.waiting[key] = [reply]
        return .ask
    }

    /// Everybody to be told.
    mutating func finish(_ key: Key) -> [Reply] { self.waiting.removeValue(forKey: key) ?? [] }
}
