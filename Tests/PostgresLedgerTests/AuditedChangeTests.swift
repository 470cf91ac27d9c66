import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Each change by a person is one entry; what changes nothing is none.
@Suite struct AuditedChangeTests {
    private let note = ChangeNote(actor: "cli:test", reason: "it is a test", request: "r")

    private func entries(_ database: TestDatabase) async throws -> [String] {
        try await database.ledger.auditEntries(AuditQuery(limit: 100)).reversed().map {
            "\($0.action) \($0.subject) \($0.before) \($0.after)"
        }
    }

    @Test func accountsKeysAndLimits() async throws {
        let database = try await TestDatabase.migrated()
        let desk = AccountDesk(book: database.book, ledger: database.ledger)
        let account = try await desk.create(userID: "ada", note: self.note).account
        _ = try await desk.create(userID: "ada", note: self.note)
        for _ in 0..<2 {
            let done = try await desk.adjust(account, by: Millicredits(1500), key: "k", note: self.note)
            #expect(done.balance == Millicredits(1500))
        }
        await #expect(throws: AdministrationRefusal.idempotencyConflict) {
            try await desk.adjust(account, by: Millicredits(1), key: "k", note: self.note)
        }
        for _ in 0..<2 {
            try await desk.set(
                RequestLimitOverrides(requestsPerMinute: 60, tokensPerMinute: 0, streams: nil), of: account,
                note: self.note)
            try await desk.set(.rolling, of: account, note: self.note)
        }
        for _ in 0..<2 { try await desk.set(.suspended, of: account, note: self.note) }
        let key = try await desk.createKey(for: account, label: "", note: self.note).key
        for _ in 0..<2 { try await desk.revoke(key.keyID, note: self.note) }
        let entries = try await self.entries(database)
        try #require(entries.count == 7)
        #expect(entries[0].hasPrefix(#"account.create account:ada null {"accountId": "#))
        #expect(entries[1].hasPrefix(#"account.adjust account:ada {"balanceMillicredits": "0"} "#))
        #expect(entries[1].contains(#""amountMillicredits": "1500""#))
        #expect(
            entries[2].contains("account.limits account:ada")
                && entries[2].contains(#""requestsPerMinute": 60"#))
        #expect(entries[3] == #"account.holds account:ada null "rolling""#)
        #expect(entries[4].hasPrefix("account.change account:ada"))
        #expect(entries[5].hasPrefix("key.create key:\(key.keyID) null"))
        #expect(entries[6].hasPrefix("key.revoke key:\(key.keyID)"))
        #expect(try await database.ledger.verifyAudit().isWhole)
        let listed = try await desk.accounts(AccountQuery(prefix: "ad", after: 0, limit: 5))
        #expect(listed.map(\.status) == [.suspended] && listed[0].holds == .rolling)
        #expect(try await desk.accounts(AccountQuery(prefix: "ad", after: account, limit: 5)).isEmpty)
        #expect(try await desk.accounts(AccountQuery(prefix: "x", after: 0, limit: 5)).isEmpty)
    }

    @Test func anAccountIsFoundByItsNumberOrByWhatIsShownOfAKey() async throws {
        let database = try await TestDatabase.migrated()
        let desk = AccountDesk(book: database.book, ledger: database.ledger)
        var keys: [(account: AccountID, prefix: String)] = []
        for user in ["ada", "bob"] {
            let account = try await desk.create(userID: user, note: self.note).account
            for _ in 0..<2 {
                let key = try await desk.createKey(for: account, label: "", note: self.note).key
                keys.append((account, key.prefix))
            }
        }
        // A key of nobody's account must not hide the others.
        _ = try await desk.createKey(for: nil, label: "app", note: self.note)
        func found(_ query: AccountQuery) async throws -> [AccountID] {
            try await desk.accounts(query).map(\.account)
        }
        for key in keys {
            #expect(try await found(AccountQuery(account: key.account, limit: 5)) == [key.account])
            #expect(try await found(AccountQuery(keyPrefix: key.prefix, limit: 5)) == [key.account])
            #expect(
                try await found(AccountQuery(prefix: "c", keyPrefix: key.prefix, limit: 5)).isEmpty,
                "both count")
        }
        let all = Set(keys.map(\.account)).sorted()
        #expect(try await found(AccountQuery(keyPrefix: "tg_", limit: 5)) == all, "each is listed once")
        #expect(try await found(AccountQuery(keyPrefix: "tg_", after: all[0], limit: 5)) == [all[1]])
        #expect(try await found(AccountQuery(keyPrefix: "%", limit: 5)).isEmpty)
        #expect(try await found(AccountQuery(account: 999_999, limit: 5)).isEmpty)
    }

    @Test func whatIsNotThereIsNotChanged() async throws {
        let database = try await TestDatabase.migrated()
        let desk = AccountDesk(book: database.book, ledger: database.ledger)
        await #expect(throws: AdministrationRefusal.noSuchAccount) {
            try await desk.adjust(4711, by: Millicredits(1), key: "k", note: self.note)
        }
        await #expect(throws: AdministrationRefusal.noSuchAccount) {
            try await desk.set(.suspended, of: 4711, note: self.note)
        }
        await #expect(throws: AdministrationRefusal.noSuchAccount) {
            try await desk.set(RequestLimitOverrides.none, of: 4711, note: self.note)
        }
        await #expect(throws: AdministrationRefusal.noSuchAccount) {
            try await desk.set(HoldPolicy.full, of: 4711, note: self.note)
        }
        await #expect(throws: AdministrationRefusal.noSuchKey) {
            try await desk.revoke(4711, note: self.note)
        }
        await #expect(throws: AdministrationRefusal.invalidUserID) {
            try await desk.create(userID: "", note: self.note)
        }
        #expect(try await self.entries(database).isEmpty)
    }

    @Test func aRateCardIsAppliedOnce() async throws {
        let database = try await TestDatabase.migrated()
        for _ in 0..<2 {
            _ = try await database.ledger.applyRateCard(
                card: "c", version: "1", effectiveFrom: 0, body: "b", by: "cli:test", note: self.note)
        }
        await #expect(throws: RateCardFailure.versionTaken) {
            try await database.ledger.applyRateCard(
                card: "c", version: "1", effectiveFrom: 0, body: "other", by: "cli:test", note: self.note)
        }
        #expect(try await self.entries(database).map { $0.prefix(27) } == ["ratecard.apply ratecard:c@1"])
    }
}
