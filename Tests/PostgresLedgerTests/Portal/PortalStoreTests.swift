import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Links work once, by the ledger's clock.
@Suite struct PortalStoreTests {
    private static func digest(_ number: UInt64) -> KeyDigest { KeyDigest((number, 1, 2, 3)) }

    @Test func ofManyAtOnceOneGetsTheSession() async throws {
        let database = try await TestDatabase.migrated(poolSize: 8)
        let account = try await database.account("ada")
        _ = try await database.ledger.keepLink(
            Self.digest(1), to: account, returnURL: "https://app.example/", lifetimeSeconds: 300, note: nil)
        let ledger = database.ledger
        let opened = try await withThrowingTaskGroup(of: PortalSession?.self) { group in
            for number in 0..<20 {
                group.addTask {
                    try await ledger.redeemLink(
                        [Self.digest(99), Self.digest(1)], opening: Self.digest(1000 + UInt64(number)),
                        lifetimeSeconds: 3600)
                }
            }
            return try await group.reduce(into: [PortalSession]()) { if let one = $1 { $0.append(one) } }
        }
        #expect(opened.map(\.account) == [account] && opened.map(\.returnURL) == ["https://app.example/"])
        #expect(try await database.integer("SELECT count(*) FROM portal_session") == 1)
    }

    @Test func aLinkTellsItsOwnerUntilItIsUsed() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada")
        let ledger = database.ledger
        for number in [1, 2] as [UInt64] {
            _ = try await ledger.keepLink(
                Self.digest(number), to: account, returnURL: nil, lifetimeSeconds: 300, note: nil)
        }
        let owner = LinkOwner(account: account, userID: "ada")
        for _ in 0..<2 {
            #expect(try await ledger.linkOwner([Self.digest(9), Self.digest(1)]) == owner)
        }
        #expect(try await ledger.linkOwner([Self.digest(9)]) == nil)
        _ = try await ledger.redeemLink([Self.digest(1)], opening: Self.digest(5), lifetimeSeconds: 60)
        #expect(try await ledger.linkOwner([Self.digest(1)]) == nil)
        try await database.execute("UPDATE portal_link SET expires_at = clock_timestamp()")
        #expect(try await ledger.linkOwner([Self.digest(2)]) == nil)
    }

    @Test func whatHasExpiredOpensNothing() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada")
        let ledger = database.ledger
        _ = try await ledger.keepLink(
            Self.digest(1), to: account, returnURL: nil, lifetimeSeconds: 300, note: nil)
        try await database.execute("UPDATE portal_link SET expires_at = clock_timestamp()")
        #expect(
            try await ledger.redeemLink([Self.digest(1)], opening: Self.digest(2), lifetimeSeconds: 60) == nil
        )
        let session = try await ledger.openSession(
            Self.digest(3), of: account, origin: .jwt, lifetimeSeconds: 60)
        #expect(try await ledger.portalSession([Self.digest(9), Self.digest(3)]) == session)
        try await database.execute("UPDATE portal_session SET expires_at = clock_timestamp()")
        #expect(try await ledger.portalSession([Self.digest(3)]) == nil)
    }

    @Test func anEndedSessionIsGone() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada")
        for number in [1, 2] as [UInt64] {
            _ = try await database.ledger.openSession(
                Self.digest(number), of: account, origin: .jwt, lifetimeSeconds: 60)
        }
        try await database.ledger.endPortalSession([Self.digest(1)])
        #expect(try await database.ledger.portalSession([Self.digest(1)]) == nil)
        #expect(try await database.ledger.portalSession([Self.digest(2)]) != nil, "others stay")
    }

    @Test func onlyWhatNobodyCanUseIsForgotten() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada")
        for number in [1, 2] as [UInt64] {
            _ = try await database.ledger.keepLink(
                Self.digest(number), to: account, returnURL: nil, lifetimeSeconds: 300, note: nil)
            _ = try await database.ledger.openSession(
                Self.digest(number), of: account, origin: .link, lifetimeSeconds: 60)
        }
        for table in ["portal_link", "portal_session"] {
            try await database.execute(
                "UPDATE \(table) SET expires_at = expires_at - interval '2 days' WHERE digest = '\\x\(Hexadecimal.text(Self.digest(1).bytes))'"
            )
        }
        try await database.ledger.forgetExpired()
        #expect(try await database.integer("SELECT count(*) FROM portal_link") == 1)
        #expect(try await database.integer("SELECT count(*) FROM portal_session") == 1)
        #expect(try await database.ledger.portalSession([Self.digest(2)]) != nil)
    }

    /// Whoever makes a link by hand can look at an account; that is kept.
    @Test func aLinkThatAPersonMakesIsAudited() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada")
        let note = ChangeNote(actor: "cli:root", reason: "support case 7")
        let expiresAt = try await database.ledger.keepLink(
            Self.digest(1), to: account, returnURL: nil, lifetimeSeconds: 300, note: note)
        let entry = try await database.text(
            "SELECT actor || ' ' || action || ' ' || subject || ' ' || reason FROM audit_log")
        #expect(entry == "cli:root portal.link account:ada support case 7")
        let after = try await database.text("SELECT after_json FROM audit_log")
        #expect(after.contains("\(expiresAt)") && !after.contains(Hexadecimal.text(Self.digest(1).bytes)))
    }
}

/// Usage by day and model adds up to the usage itself.
@Suite(.serialized) struct UsageDayTests {
    let outcomes = Outcomes()
    static let day: UInt64 = 86_400_000

    @Test func everyExchangeCountsOnItsDay() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada", balance: 1_000_000)
        let other = try await database.account("bob", balance: 1_000_000)
        var expected: [UTCDay: Int64] = [:]
        for (age, amount) in [(0, 5), (0, 7), (1, 11), (3, 13)] as [(UInt64, Int64)] {
            let hold = Outcomes.hold(at: Outcomes.now - age * Self.day)
            _ = try await database.ledger.settle([
                outcomes.final(account, amount, hold: hold),
                outcomes.final(other, 1000, hold: Outcomes.hold(at: Outcomes.now - age * Self.day)),
            ])
            let day = try #require(UTCDay(millisecondsSinceEpoch: Int64(hold.millisecondsSinceEpoch)))
            expected[day, default: 0] += amount
        }
        let today = try #require(UTCDay(millisecondsSinceEpoch: Int64(Outcomes.now)))
        let first = try #require(UTCDay(daysSinceEpoch: Int64(today.daysSinceEpoch) - 5))
        let days = try await database.ledger.usageByDay(of: account, from: first, through: today)
        #expect(Dictionary(uniqueKeysWithValues: days.map { ($0.day, $0.charged.value) }) == expected)
        #expect(days.map(\.exchanges).reduce(0, +) == 4)
        #expect(days.map(\.day) == days.map(\.day).sorted())
        let one = try await database.ledger.usageByDay(of: account, from: today, through: today)
        #expect(one.map(\.charged.value) == [12])
    }

    @Test func anAccountBeginsInItsMonth() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada")
        try await database.execute(
            "UPDATE account SET created_at = '2025-12-31T23:59:59Z' WHERE account_id = \(account)")
        #expect(try await database.ledger.firstMonth(of: account) == UTCMonth(year: 2025, month: 12))
        #expect(try await database.ledger.firstMonth(of: 999_999) == nil)
    }
}
