import Metering
import Synchronization
import Testing

@testable import PostgresLedger

/// What the data plane knows of keys and accounts, and how soon.
@Suite(.serialized) struct DirectoryTests {
    private func digest(_ secret: KeySecret) -> KeyDigest {
        Array(secret.text.utf8).withUnsafeBytes { TestDatabase.hasher.digest($0) }
    }

    private func resolve(_ directory: LedgerDirectory, _ digest: KeyDigest) async throws -> KeyRecord? {
        try await withCheckedThrowingContinuation { continuation in
            directory.resolveKey(digest) { continuation.resume(with: $0) }
        }
    }

    private func findOrCreate(_ directory: LedgerDirectory, _ user: String) async throws -> AccountRecord {
        try await withCheckedThrowingContinuation { continuation in
            directory.findOrCreateAccount(userID: user) { continuation.resume(with: $0) }
        }
    }

    private func running(
        _ directory: LedgerDirectory, _ body: () async throws -> Void
    ) async rethrows {
        try await withThrowingTaskGroup { group in
            group.addTask { await directory.run() }
            try await body()
            group.cancelAll()
        }
    }

    @Test func aSecretIsTgAnd43CharactersAndNeverPrinted() {
        let secret = KeySecret(words: [0, .max, 0x0102_0304_0506_0708, 0xfb_ff00_0000_0000_3f])
        #expect(secret.text.utf8.count == 46)
        #expect(secret.text.hasPrefix("tg_"))
        #expect("\(secret)" == "***")
        // RFC 4648 §10, by way of bytes that need both special characters.
        #expect(
            KeySecret(words: [0xfbff_fe00_0000_0000, 0, 0, 0]).text == "tg_-__-"
                + String(repeating: "A", count: 39))
        #expect(
            (0..<1000).map { _ in KeySecret().text }.count
                == Set((0..<1000).map { _ in KeySecret().text }).count)
    }

    @Test func onlyTheDigestIsStored() async throws {
        let database = try await TestDatabase.migrated()
        let (keyID, secret) = try await database.book.createKey(userID: "user")
        let found = try await database.integer(
            "SELECT count(*) FROM api_key k WHERE k::text LIKE '%' || '\(secret.text.dropFirst(9))' || '%'")
        #expect(found == 0)
        let keys = try await database.book.keys(userID: "user")
        #expect(keys.map(\.keyID) == [keyID])
        #expect(keys.map(\.prefix) == [secret.prefix])
        #expect(keys.map(\.revokedAt) == [nil])
    }

    @Test func newKeysAndRevocationsArriveByPolling() async throws {
        let database = try await TestDatabase.migrated()
        let directory = LedgerDirectory(
            pool: database.pool, logger: TestDatabase.logger, interval: .milliseconds(50))
        try await self.running(directory) {
            let (keyID, secret) = try await database.book.createKey(userID: "user")
            let service = try await database.book.createServiceKey(label: "backend")
            #expect(await eventually { directory.cachedKey(self.digest(service.secret))?.holder == .service })
            let record = try #require(directory.cachedKey(self.digest(secret)))
            let account = try #require(try await database.book.account(userID: "user")).account
            #expect(record == KeyRecord(keyID: keyID, holder: .account(account), label: "user"))
            #expect(directory.cachedAccount(account)?.suspended == false)
            #expect(directory.cachedAccount(userID: "user")?.account == account)
            try await database.book.setGate(of: account, status: .suspended)
            #expect(await eventually { directory.cachedAccount(account)?.suspended == true })
            try await database.book.revokeKey(keyID)
            #expect(await eventually { directory.cachedKey(self.digest(secret)) == nil })
            #expect(directory.cachedKey(self.digest(service.secret)) != nil)
        }
    }

    /// A transaction that began long ago and commits late is not missed: no clock decides what was read.
    @Test func aRevocationThatCommitsLateIsSeen() async throws {
        let database = try await TestDatabase.migrated(poolSize: 3)
        let (keyID, secret) = try await database.book.createKey(userID: "user")
        let directory = LedgerDirectory(
            pool: database.pool, logger: TestDatabase.logger, interval: .milliseconds(20))
        try await self.running(directory) {
            #expect(await eventually { directory.cachedKey(self.digest(secret)) != nil })
            let url = database.url
            try await database.pool.run { _ in
                let slow = try PostgresConnection(PostgresConfiguration(url: url))
                try slow.transaction { connection in
                    try connection.run(
                        "UPDATE api_key SET revoked_at = now() WHERE key_id = $1", [.int(keyID)])
                    // Others commit, and the directory polls many times, before this one does.
                    let other = try PostgresConnection(PostgresConfiguration(url: url))
                    for _ in 0..<5 {
                        try other.run("INSERT INTO account (user_id) VALUES (gen_random_uuid()::text)")
                        sleepThread(.milliseconds(60))
                    }
                }
            }
            #expect(await eventually { directory.cachedKey(self.digest(secret)) == nil })
        }
    }

    @Test func lookUpsFindNewKeysAndForgetRevokedOnes() async throws {
        let database = try await TestDatabase.migrated()
        let directory = LedgerDirectory(pool: database.pool, logger: TestDatabase.logger)
        let (keyID, secret) = try await database.book.createKey(userID: "user")
        #expect(try await self.resolve(directory, self.digest(secret))?.keyID == keyID)
        #expect(try await self.resolve(directory, self.digest(KeySecret())) == nil)
        try await database.book.revokeKey(keyID)
        await #expect(throws: AccountBook.Failure.noSuchKey) { try await database.book.revokeKey(keyID + 1) }
        let gone = try await eventually {
            try await self.resolve(directory, self.digest(secret)) == nil
        }
        #expect(gone)
    }

    @Test func aThousandFirstRequestsOfOneUserMakeOneAccount() async throws {
        let database = try await TestDatabase.migrated(poolSize: 4)
        let directories = (0..<2).map { _ in LedgerDirectory(pool: database.pool, logger: TestDatabase.logger)
        }
        let accounts = try await withThrowingTaskGroup { group in
            for number in 0..<1000 {
                group.addTask {
                    try await withCheckedThrowingContinuation { continuation in
                        directories[number % 2].findOrCreateAccount(userID: "new user") {
                            continuation.resume(with: $0)
                        }
                    } as AccountRecord
                }
            }
            return try await group.reduce(into: Set<AccountRecord>()) { $0.insert($1) }
        }
        #expect(accounts.count == 1)
        #expect(directories[0].cachedAccount(userID: "new user") == accounts.first)
        #expect(try await database.integer("SELECT count(*) FROM credit_balance") == 1)
    }

    /// Unicode finds these equal, and so do Swift's strings; to Postgres they are two users each, and the one
    /// must never pay for the other.
    @Test(arguments: [("jos\u{e9}", "jose\u{301}"), ("Kim", "\u{212a}im")])
    func usersThatOnlyLookAlikeAreTwoAccounts(one: String, other: String) async throws {
        #expect(one == other, "Swift's own comparison")
        let database = try await TestDatabase.migrated(poolSize: 4)
        let directory = LedgerDirectory(pool: database.pool, logger: TestDatabase.logger)
        // Together, so that they would share a look-up if they were one.
        async let first = self.findOrCreate(directory, one)
        async let second = self.findOrCreate(directory, other)
        let accounts = try await [first.account, second.account]
        #expect(Set(accounts).count == 2)
        #expect(try await database.integer("SELECT count(*) FROM account") == 2)
        // From the warm index.
        for (user, account) in zip([one, other], accounts) {
            let cached = directory.cachedAccount(userID: user)
            #expect(cached?.account == account && cached?.userID.utf8.elementsEqual(user.utf8) == true)
            #expect(try await self.findOrCreate(directory, user).account == account)
            #expect(try await database.book.account(userID: user)?.account == account)
        }
    }

    @Test func anOutageIsNotAnUnknownKey() async throws {
        let nowhere = try TestDatabase(url: "postgresql://x@/x?host=/nonexistent")
        let directory = LedgerDirectory(pool: nowhere.pool, logger: TestDatabase.logger)
        await #expect(throws: DirectoryFailure.unreachable) {
            _ = try await self.resolve(directory, self.digest(KeySecret()))
        }
    }

    /// An account that was read before it was suspended must not replace the suspension.
    @Test func anOlderReadingNeverReplacesANewerOne() {
        var index = DirectoryIndex(accountsMax: 2)
        func row(_ account: AccountID, _ version: Int64, suspended: Bool) -> DirectoryIndex.AccountRow {
            .init(
                record: AccountRecord(account: account, userID: "u\(account)", suspended: suspended),
                version: version)
        }
        index.apply(row(1, 2, suspended: true))
        index.apply(row(1, 1, suspended: false))
        #expect(index.account(1)?.suspended == true)
        index.apply(row(2, 1, suspended: false))
        let before = index.dropped
        index.apply(row(3, 1, suspended: false))
        #expect(index.dropped == before + 1)
        #expect(index.account(3) != nil && index.account(1) == nil && index.account(userID: "u1") == nil)
    }

    @Test(arguments: ["", "a\u{0}b", "line\nbreak", String(repeating: "x", count: 257)])
    func userIDsThatAreNoNamesAreRefused(_ userID: String) async throws {
        #expect(!UserID.isValid(userID))
        let database = try TestDatabase(url: "postgresql://x@/x?host=/nonexistent")
        await #expect(throws: AccountBook.Failure.invalidUserID) {
            try await database.book.findOrCreate(userID: userID)
        }
    }
}
