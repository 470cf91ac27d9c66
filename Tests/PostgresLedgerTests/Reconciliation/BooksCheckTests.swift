import Billing
import Metering
import Testing

@testable import PostgresLedger

/// I8 of `verify`: the books against payments and ledger, account by account and kind by kind.
@Suite(.serialized) struct BooksCheckTests {
    /// Two buyers with equal purchases and gifts, one of whom used some.
    private static func books() async throws -> (TestDatabase, first: AccountID, second: AccountID) {
        let database = try await TestDatabase.migrated()
        let stripe = FakeStripe()
        var accounts: [AccountID] = []
        for name in ["first", "second"] {
            let account = try await database.account(name, balance: 1000)
            let purchase = try await database.starter(account)
            stripe.put(.made(for: purchase, "pi_\(name)"))
            try await database.settle(database.event("evt_\(name)", purchase, payment: "pi_\(name)"), stripe)
            accounts.append(account)
        }
        _ = try await database.ledger.settle([Outcomes().final(accounts[0], 5_000_000)])
        _ = try await database.ledger.keepBooks()
        return (database, accounts[0], accounts[1])
    }

    private static func plant(_ sql: String, in database: TestDatabase) async throws -> [LedgerFinding] {
        try await database.execute(
            "SET session_replication_role = replica; \(sql); RESET session_replication_role")
        return try await database.verifier.verify()
    }

    @Test func correctBooksHaveNoFinding() async throws {
        let (database, _, _) = try await Self.books()
        #expect(try await database.verifier.verify() == [])
    }

    /// One account's revenue booked for another leaves every total as it was.
    @Test func deferredRevenueOfEachAccountIsItsOwn() async throws {
        let (database, first, second) = try await Self.books()
        let found = try await Self.plant(
            "UPDATE journal_entry SET account_id = \(second) WHERE kind = 'consumption'", in: database)
        let rows = try #require(found.first { $0.check.hasPrefix("I8 deferred revenue") }).rows
        #expect(rows.count == 2)
        #expect(rows.contains { $0.hasPrefix("account \(first): ") })
        #expect(rows.contains { $0.hasPrefix("account \(second): ") })
    }

    /// The lots still add up to the balance of the book.
    @Test(arguments: [
        ("UPDATE credit_lot SET used = 0, withdrawn = used WHERE used > 0", ["used", "withdrawn"]),
        (
            "UPDATE credit_lot SET kind = CASE kind WHEN 'trial' THEN 'promotional' ELSE kind END",
            ["granted as promotional", "granted as trial"]
        ),
    ])
    func eachKindIsCompared(_ sql: String, _ kinds: [String]) async throws {
        let (database, first, _) = try await Self.books()
        let found = try await Self.plant(sql, in: database)
        let finding = try #require(
            found.first { $0.check == "I8 lots have of each kind what the ledger has" })
        for kind in kinds {
            #expect(finding.rows.contains { $0.hasPrefix("account \(first): \(kind) ") }, "\(finding.rows)")
        }
        #expect(!found.contains { $0.check == "I8 lots add up to the balance of their book" })
    }

    /// A few minutes are the books' own rhythm.
    @Test func booksThatAreLeftBehindAreToldWithTheirLines() async throws {
        let (database, first, _) = try await Self.books()
        _ = try await database.ledger.settle([Outcomes().final(first, 100)])
        _ = try await database.ledger.settle([Outcomes().final(first, 100)])
        #expect(try await database.verifier.verify() == [])
        let found = try await Self.plant(
            "UPDATE credit_ledger SET created_at = created_at - interval '16 minutes' WHERE account_id = \(first)",
            in: database)
        let behind = try #require(found.first { $0.check == "books that are behind" })
        #expect(behind.severity == .warning && behind.total == 1)
        #expect(behind.rows.first?.hasPrefix("account \(first): 2 lines since ") == true)
    }
}
