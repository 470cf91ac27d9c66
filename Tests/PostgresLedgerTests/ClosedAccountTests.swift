import Billing
import Metering
import Testing

@testable import PostgresLedger

/// What a person says of an account's status, and what is no change.
@Suite(.serialized) struct ClosedAccountTests {
    private let note = ChangeNote(actor: "cli:test", reason: "why not")

    private func entries(_ database: TestDatabase) async throws -> Int64 {
        try await database.pool.run { try $0.run("SELECT entry_id FROM audit_head").one().int(0) }
    }

    private func set(
        _ status: AccountStatus, _ account: AccountID, _ database: TestDatabase
    ) async throws -> AccountBook.StatusReceipt {
        try await database.book.setStatus(of: account, to: status, actor: "cli:test", reason: "why not")
    }

    @Test(arguments: [AccountStatus.active, .suspended]) func aClosedAccountStaysClosed(
        _ status: AccountStatus
    ) async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 10)
        _ = try await self.set(.closed, account, database)
        let entries = try await self.entries(database)
        await #expect(throws: AccountBook.Failure.accountClosed) {
            try await self.set(status, account, database)
        }
        let desk = AccountDesk(book: database.book, ledger: database.ledger)
        await #expect(throws: AdministrationRefusal.accountClosed) {
            try await desk.set(status, of: account, note: self.note)
        }
        // Whoever changes the floor leaves the status as it is.
        let gate = try await database.book.setGate(of: account, floor: Millicredits(5))
        #expect(gate.blocked && gate.floor == Millicredits(5))
        #expect(try await database.book.account(account)?.status == .closed)
        #expect(try await self.entries(database) == entries + 1)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// Also a repetition whose answer was lost.
    @Test(arguments: AccountStatus.allCases) func aStatusThatItHasIsNoChange(_ status: AccountStatus)
        async throws
    {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 10)
        let first = try await self.set(status, account, database)
        let entries = try await self.entries(database)
        #expect(entries == (status == .active ? 0 : 1))
        let again = try await self.set(status, account, database)
        #expect(again.from == status && again.gate == first.gate && again.lifted == 0)
        #expect(try await self.entries(database) == entries)
        #expect(try await database.book.standing(of: account).word?.to == (status == .active ? nil : status))
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// A dispute's suspension becomes a person's, which outlasts the dispute: that is a change.
    @Test func aPersonsWordOnADisputesSuspensionIsAChange() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse)
        #expect(try await till.isSuspended)
        let before = try await self.entries(till.database)
        #expect(try await self.set(.suspended, till.account, till.database).from == .suspended)
        #expect(try await self.entries(till.database) == before + 1)
        _ = try await self.set(.suspended, till.account, till.database)
        #expect(try await self.entries(till.database) == before + 1)
        #expect(try await till.findings.isEmpty)
    }

    /// The decision is in the log, whether or not it changed the account.
    @Test(arguments: AccountStatus.allCases) func aDecisionToSuspendIsAlwaysInTheLog(_ status: AccountStatus)
        async throws
    {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 10)
        try await database.execute(
            """
            INSERT INTO account_review (account_id, day, spent_millicredits, mean_millicredits, multiplier)
            VALUES (\(account), current_date, 10, 1, 5)
            """)
        _ = try await self.set(status, account, database)
        let entries = try await self.entries(database)
        let review = try await database.ledger.reviews.suspendReviewed("user", seen: nil, self.note)
        #expect(review.state == .suspended)
        #expect(try await self.entries(database) == entries + 1)
        #expect(
            try await database.book.account(account)?.status == (status == .closed ? .closed : .suspended))
        #expect(try await database.verifier.verify().isEmpty)
    }
}
