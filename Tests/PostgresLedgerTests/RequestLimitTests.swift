import Logging
import Metering
import Testing

@testable import PostgresLedger

/// Limits of keys and accounts in the ledger, and their way to a running instance.
@Suite struct RequestLimitTests {
    @Test func aChangeTouchesOnlyWhatItNames() async throws {
        let database = try await TestDatabase.migrated()
        let (keyID, _) = try await database.book.createKey(userID: "user")
        var changes = AccountBook.LimitChanges()
        #expect(try await database.book.changeLimits(ofKey: keyID, changes) == .none)
        changes.requestsPerMinute = .limit(60)
        changes.streams = .none
        let expected = RequestLimitOverrides(requestsPerMinute: 60, streams: 0)
        #expect(try await database.book.changeLimits(ofKey: keyID, changes) == expected)
        changes = AccountBook.LimitChanges()
        changes.tokensPerMinute = .limit(1000)
        changes.streams = .usual
        let next = RequestLimitOverrides(requestsPerMinute: 60, tokensPerMinute: 1000)
        #expect(try await database.book.changeLimits(ofKey: keyID, changes) == next)
        #expect(try await database.book.keys(userID: "user").map(\.limits) == [next])
        await #expect(throws: AccountBook.Failure.noSuchKey) {
            try await database.book.changeLimits(ofKey: keyID + 1, changes)
        }
        await #expect(throws: AccountBook.Failure.noSuchAccount) {
            try await database.book.changeLimits(of: 999_999, changes)
        }
    }

    /// As a revocation does: the poll of every instance finds it.
    @Test func limitsReachARunningDirectory() async throws {
        let database = try await TestDatabase.migrated()
        let directory = LedgerDirectory(
            pool: database.pool, logger: TestDatabase.logger, interval: .milliseconds(50))
        let (keyID, secret) = try await database.book.createKey(userID: "user")
        let digest = Array(secret.text.utf8).withUnsafeBytes { TestDatabase.hasher.digest($0) }
        let account = try #require(try await database.book.account(userID: "user")).account
        var changes = AccountBook.LimitChanges()
        changes.requestsPerMinute = .limit(3)
        try await database.book.changeLimits(of: account, changes)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await directory.run() }
            // Of a whole load, then of a poll, then of a look-up past both.
            #expect(await eventually { directory.cachedAccount(account)?.limits.requestsPerMinute == 3 })
            changes.requestsPerMinute = .limit(4)
            try await database.book.changeLimits(ofKey: keyID, changes)
            try await database.book.changeLimits(of: account, changes)
            #expect(await eventually { directory.cachedKey(digest)?.limits.requestsPerMinute == 4 })
            #expect(
                await eventually { directory.cachedAccount(userID: "user")?.limits.requestsPerMinute == 4 })
            group.cancelAll()
        }
        let fresh = LedgerDirectory(pool: database.pool, logger: TestDatabase.logger)
        let found = await withCheckedContinuation { reply in
            fresh.resolveKey(digest) { reply.resume(returning: $0) }
        }
        #expect(try found.get()?.limits.requestsPerMinute == 4)
        for userID in ["user", "new"] {
            let made = await withCheckedContinuation { reply in
                fresh.findOrCreateAccount(userID: userID) { reply.resume(returning: $0) }
            }
            #expect(try made.get().limits.requestsPerMinute == (userID == "user" ? 4 : nil))
        }
    }

    @Test func whatIsHeldForStreamsReachesADirectory() async throws {
        let database = try await TestDatabase.migrated()
        _ = try await database.book.createKey(userID: "user")
        let account = try #require(try await database.book.account(userID: "user")).account
        let directory = LedgerDirectory(
            pool: database.pool, logger: TestDatabase.logger, interval: .milliseconds(50))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await directory.run() }
            #expect(await eventually { directory.cachedAccount(account) != nil })
            #expect(directory.cachedAccount(account)?.holds == nil)
            try await database.book.setHolds(.rolling, of: account)
            #expect(await eventually { directory.cachedAccount(account)?.holds == .rolling })
            try await database.book.setHolds(nil, of: account)
            #expect(await eventually { directory.cachedAccount(account)?.holds == nil })
            group.cancelAll()
        }
        #expect(try await database.book.holds(of: account) == nil)
        await #expect(throws: AccountBook.Failure.noSuchAccount) {
            try await database.book.setHolds(.full, of: 999_999)
        }
    }
}
