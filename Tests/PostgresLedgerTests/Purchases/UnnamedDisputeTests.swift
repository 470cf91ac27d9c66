import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Beside an instance of the release before, which writes whether a payment is disputed and what was lost, and knows no
/// disputes by name.
@Suite(.serialized) struct UnnamedDisputeTests {
    @Test func aLossThatTheReleaseBeforeHandledSuspends() async throws {
        let till = try await Till()
        try await till.postAsBefore(isDisputed: true, lostCents: 0)
        #expect(try await till.isSuspended)
        try await till.postAsBefore(isDisputed: false, lostCents: 999)
        #expect(try await till.isSuspended)
        // It gets its name when this release reads the payment, and is still one.
        try await till.dispute("dp_1", .lost)
        #expect(try await till.standing == ["dp_1 lost"])
        #expect(try await till.isSuspended)
        #expect(try await till.lift().lifted == 1)
        #expect(try await !till.isSuspended)
    }

    @Test func whatTheReleaseBeforeSawWonIsOver() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse)
        try await till.postAsBefore(isDisputed: false, lostCents: 0)
        #expect(try await !till.isSuspended)
        #expect(try await till.standing == [])
    }

    @Test func whatTheReleaseBeforeSawLostIsLost() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse)
        try await till.postAsBefore(isDisputed: false, lostCents: 999)
        #expect(try await till.isSuspended)
        #expect(try await till.standing == ["dp_1 lost"])
        // The bank overturns it, and the other release hears of it.
        try await till.postAsBefore(isDisputed: false, lostCents: 0)
        #expect(try await !till.isSuspended)
        #expect(try await till.standing == [])
    }

    /// It tells nobody then: not disputed before, and not afterwards.
    @Test func aLossThatTheReleaseBeforeSeesFirstSuspends() async throws {
        let till = try await Till()
        try await till.postAsBefore(isDisputed: false, lostCents: 999)
        #expect(try await till.isSuspended)
        #expect(try await till.standing.count == 1)
        // Overturned: nothing is left that suspends it.
        try await till.postAsBefore(isDisputed: false, lostCents: 0)
        #expect(try await !till.isSuspended)
        #expect(try await till.standing == [])
        try await till.stands()
    }

    /// The loss that this release has named is overturned while the other one is at work.
    @Test func aLossThatTheReleaseBeforeSeesOverturnedSuspendsNobody() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .lost)
        #expect(try await till.isSuspended)
        try await till.postAsBefore(isDisputed: false, lostCents: 0)
        #expect(try await !till.isSuspended)
        // A person's suspension stays.
        try await till.postAsBefore(isDisputed: false, lostCents: 999)
        _ = try await till.database.book.setStatus(
            of: till.account, to: .suspended, actor: "cli:eve", reason: "fraud")
        try await till.postAsBefore(isDisputed: false, lostCents: 0)
        #expect(try await till.isSuspended)
        try await till.stands()
    }

    /// Lifted before anybody knew its name: it stays lifted, and another one suspends.
    @Test func aLiftPassesOnToTheName() async throws {
        let till = try await Till()
        try await till.postAsBefore(isDisputed: true, lostCents: 0)
        try await till.lift()
        #expect(try await !till.isSuspended)
        try await till.dispute("dp_1", .lost, cents: 100)
        #expect(try await !till.isSuspended)
        #expect(try await till.standing == ["dp_1 lost lifted"])
        try await till.dispute("dp_2", .needsResponse, cents: 100)
        #expect(try await till.isSuspended)
        #expect(try await till.standing == ["dp_1 lost lifted", "dp_2 open"])
    }

    @Test func aRefundThatTheReleaseBeforePostsChangesNothing() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .lost)
        try await till.lift()
        try await till.postAsBefore(isDisputed: false, lostCents: 999)
        #expect(try await !till.isSuspended)
        #expect(try await till.standing == ["dp_1 lost lifted"])
    }

    /// The migration suspends nobody who was not, and frees nobody.
    @Test func whatWasBeforeTheMigrationStaysAsItWas() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty(), poolSize: 4)
        _ = try await Migrator(Migration.all.filter { $0.version < 18 }).migrate(database.pool)
        for (user, paid, status, isByDispute) in [
            ("lost", "lost_cents = 999", "active", false), ("open", "is_disputed = true", "suspended", true),
            ("seen", "is_disputed = true", "active", false), ("person", "doubt = NULL", "suspended", false),
        ] {
            let account = try await database.account(user)
            let purchase = try await database.starter(account)
            try await database.execute(
                """
                UPDATE payment_state SET revision = 7, paid_cents = 999, granted = 9990000, \(paid)
                    WHERE purchase_id = '\(purchase.id)';
                UPDATE account SET status = '\(status)', suspended_by_dispute = \(isByDispute)
                    WHERE account_id = \(account);
                UPDATE credit_balance SET blocked = \(status != "active") WHERE account_id = \(account);
                """)
        }
        _ = try await Migrator().migrate(database.pool)
        for again in ["SELECT 1", "SELECT set_dispute_gate(account_id) FROM account"] {
            try await database.execute(again)
            #expect(
                try await database.text(
                    "SELECT string_agg(user_id || ' ' || status, ', ' ORDER BY user_id) FROM account")
                    == "lost active, open suspended, person suspended, seen active")
            let findings = try await database.verifier.verify().map(\.check)
            #expect(!findings.contains { $0.contains("suspended") || $0.contains("disputed") }, "\(findings)")
        }
    }
}

extension Till {
    /// What a release without `disputes_revision` writes, and that it tells the gate when `is_disputed` or `frozen` changes.
    fileprivate func postAsBefore(isDisputed: Bool, lostCents: Int64) async throws {
        let frozen = isDisputed ? 9_990_000 : 0
        let gate = try await self.database.integer(
            """
            SELECT count(*) FROM payment_state WHERE purchase_id = '\(self.purchase.id)'
                AND (is_disputed, frozen) <> (\(isDisputed), \(frozen))
            """)
        try await self.database.execute(
            """
            BEGIN;
            UPDATE payment_state SET revision = revision + 1, is_disputed = \(isDisputed), lost_cents = \(lostCents),
                clawed_by_disputes = \(lostCents * 10_000), withdrawn_cents = \(isDisputed ? 999 : lostCents),
                frozen = \(frozen)
                WHERE purchase_id = '\(self.purchase.id)';
            \(gate == 1 ? "SELECT set_dispute_gate(\(self.account));" : "")
            COMMIT;
            """)
    }

    /// What `verify` says of suspensions.
    fileprivate func stands() async throws {
        let findings = try await self.database.verifier.verify().map(\.check)
        #expect(!findings.contains { $0.contains("suspended") }, "\(findings)")
    }

    fileprivate var standing: [String] {
        get async throws {
            try await self.database.book.standing(of: self.account).disputes
                .map { "\($0.dispute) \($0.hold.rawValue)" + ($0.isLifted ? " lifted" : "") }.sorted()
        }
    }
}
