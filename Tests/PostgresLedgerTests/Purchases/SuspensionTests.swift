import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Who suspends an account, and who ends it.
@Suite(.serialized) struct SuspensionTests {
    @Test func aLossSuspendsUntilAPersonLiftsIt() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse)
        try await till.dispute("dp_1", .lost)
        #expect(try await till.isSuspended)
        #expect(try await till.frozen == 0)
        // Time and other payments change nothing.
        let other = try await till.buy("pi_2")
        #expect(try await till.isSuspended)
        #expect(other.account == till.account)
        let receipt = try await till.lift()
        #expect(receipt.from == .suspended && receipt.lifted == 1 && !receipt.gate.blocked)
        #expect(try await !till.isSuspended)
        // Told once more, by new events and by a replay of all old ones.
        try await till.tell("pi_1")
        try await till.replay()
        #expect(try await !till.isSuspended)
        #expect(try await till.findings.isEmpty)
    }

    /// Won and overturned, or never a dispute after all.
    @Test(arguments: [
        (PaymentSnapshot.DisputeFacts.Status.needsResponse, PaymentSnapshot.DisputeFacts.Status.won),
        (.underReview, .prevented), (.needsResponse, .warningClosed), (.lost, .won),
    ])
    func whatEndsWellRestoresAtOnce(
        _ first: PaymentSnapshot.DisputeFacts.Status, _ last: PaymentSnapshot.DisputeFacts.Status
    ) async throws {
        let till = try await Till()
        try await till.dispute("dp_1", first)
        #expect(try await till.isSuspended)
        try await till.dispute("dp_1", last)
        #expect(try await !till.isSuspended)
        #expect(try await till.frozen == 0)
        #expect(try await till.findings.isEmpty)
    }

    /// A person who lifts an open dispute has seen it: its loss is no news. Another one is.
    @Test func whatWasLiftedStaysLiftedAndWhatIsNewSuspends() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse, cents: 100)
        try await till.lift()
        #expect(try await !till.isSuspended)
        #expect(try await till.frozen == 1_000_000)
        try await till.dispute("dp_1", .lost, cents: 100)
        #expect(try await !till.isSuspended)
        #expect(try await till.frozen == 0)
        try await till.dispute("dp_2", .needsResponse, cents: 100)
        #expect(try await till.isSuspended)
        try await till.dispute("dp_2", .won)
        #expect(try await !till.isSuspended)
        // As a loss from the beginning, and of another purchase of the account.
        _ = try await till.buy("pi_2")
        try await till.dispute("dp_3", .lost, of: "pi_2")
        #expect(try await till.isSuspended)
        #expect(try await till.findings.isEmpty)
    }

    /// All of the payment is frozen as before: only the id says that it is another one.
    @Test func aSecondDisputeOfAFrozenPaymentSuspends() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse)
        try await till.lift()
        try await till.dispute("dp_2", .needsResponse)
        #expect(try await till.isSuspended)
        #expect(try await till.frozen == 9_990_000)
        #expect(try await till.lift().lifted == 1)
        #expect(try await till.findings.isEmpty)
    }

    @Test func aPersonsSuspensionStaysWhateverDisputesDo() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse)
        try await till.database.book.setStatus(
            of: till.account, to: .suspended, actor: "cli:eve", reason: "looks wrong")
        try await till.dispute("dp_1", .won)
        #expect(try await till.isSuspended)
        try await till.dispute("dp_2", .lost)
        #expect(try await till.findings.isEmpty)
        #expect(try await till.lift().lifted == 1)
        #expect(try await !till.isSuspended)
        #expect(try await till.findings.isEmpty)
    }

    @Test func changesAreKeptWithTheirReason() async throws {
        let till = try await Till()
        let book = till.database.book
        #expect(try await book.standing(of: till.account) == AccountBook.Standing(word: nil, disputes: []))
        try await till.dispute("dp_1", .lost)
        try await book.setStatus(of: till.account, to: .suspended, actor: "cli:eve", reason: "looks wrong")
        var standing = try await book.standing(of: till.account)
        #expect(standing.suspender?.reason == "looks wrong" && standing.suspender?.actor == "cli:eve")
        #expect(standing.disputes.map(\.dispute) == ["dp_1"] && standing.disputes.allSatisfy { !$0.isLifted })
        #expect(
            standing.disputes.first?.hold == .lost && standing.disputes.first?.purchase == till.purchase.id)
        try await till.lift()
        standing = try await book.standing(of: till.account)
        #expect(standing.suspender == nil && standing.word?.from == .suspended)
        #expect(standing.disputes.map(\.isLifted) == [true])
        try await book.setGate(of: till.account, floor: Millicredits(-5))
        #expect(
            try await till.database.text(
                "SELECT string_agg(what || ' ' || from_value || ' ' || to_value, ', ' ORDER BY change_id) FROM account_change"
            ) == "status suspended suspended, status suspended active, floor 0 -5")
        for sql in [
            "UPDATE account_change SET reason = 'x'", "DELETE FROM account_change",
            "DELETE FROM dispute_lift", "DELETE FROM dispute",
        ] {
            await #expect(throws: PostgresError.self) { try await till.database.execute(sql) }
        }
    }

    /// A status that is there already changes nothing, unless it makes a person's word of what a dispute did, or lifts one.
    @Test func aStatusThatIsThereIsSetForADisputeOnly() async throws {
        let till = try await Till()
        let desk = AccountDesk(book: till.database.book, ledger: till.database.ledger)
        func entries(after status: AccountStatus) async throws -> Int64 {
            let note = ChangeNote(actor: "cli:eve", reason: "looks wrong")
            for _ in 0..<2 { try await desk.set(status, of: till.account, note: note) }
            return try await till.database.integer("SELECT count(*) FROM audit_log")
        }
        #expect(try await entries(after: .active) == 0)
        try await till.dispute("dp_1", .lost)
        #expect(try await till.isSuspended)
        #expect(try await entries(after: .suspended) == 1)
        #expect(try await entries(after: .active) == 2)
        try await till.dispute("dp_2", .needsResponse)
        try await till.database.execute("UPDATE account SET status = 'active', suspended_by_dispute = false")
        #expect(try await entries(after: .active) == 3, "it lifts the dispute")
        #expect(try await till.database.book.standing(of: till.account).disputes.allSatisfy(\.isLifted))
    }

    @Test(arguments: ["", " ", "a\nb", String(repeating: "x", count: 1001)])
    func aChangeNeedsAReason(_ reason: String) async throws {
        let till = try await Till()
        await #expect(throws: AccountBook.Failure.invalidReason) {
            try await till.database.book.setStatus(
                of: till.account, to: .suspended, actor: "cli:eve", reason: reason)
        }
        #expect(try await till.database.integer("SELECT count(*) FROM account_change") == 0)
    }

    @Test func anUnknownAccountIsNamedAsSuch() async throws {
        let database = try await TestDatabase.migrated()
        await #expect(throws: AccountBook.Failure.noSuchAccount) {
            try await database.book.setStatus(of: 4711, to: .active, actor: "cli:eve", reason: "why")
        }
    }

    /// The check finds what the rule forbids.
    @Test(arguments: [
        "UPDATE account SET status = 'active', suspended_by_dispute = false",
        "UPDATE account SET suspended_by_dispute = false", "UPDATE credit_balance SET blocked = false",
        "INSERT INTO dispute_lift SELECT purchase_id, dispute_id FROM dispute",
        "INSERT INTO account_change (account_id, what, from_value, to_value, actor, reason) "
            + "SELECT account_id, 'status', 'active', 'suspended', 'x', 'x' FROM account",
        "UPDATE dispute SET state = 'over'",
    ])
    func aSuspensionThatNobodyOrderedIsFound(_ sql: String) async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .lost)
        #expect(try await till.findings.isEmpty)
        try await till.database.execute(sql)
        #expect(
            try await till.findings
                == ["I7 an account is suspended by a person or by a dispute, and by nothing else"])
    }

    @Test func aDisputeThatIsNotKnownIsFound() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse)
        try await till.database.execute("UPDATE dispute SET state = 'lost'")
        #expect(
            try await till.findings
                == ["I7 a payment is disputed exactly while one of its disputes is open"])
    }
}

/// A dispute and a person at the same moment: whoever comes second knows what the first one did.
@Suite(.serialized) struct SuspensionRaceTests {
    @Test func aDisputeThatAPersonCouldNotSeeSuspends() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse, cents: 100)
        try await till.database.letsFunctionsWait()
        let lift = try await OpenTransaction(
            ["SELECT change_account(\(till.account), NULL, 'active', 'cli:eve', 'seen')"], on: till.database)
        async let second: Void = till.dispute("dp_2", .needsResponse, cents: 100)
        #expect(try await eventually { try await till.database.waiting > 0 })
        #expect(await lift.commit())
        try await second
        #expect(try await till.isSuspended)
        #expect(try await till.lift().lifted == 1)
        #expect(try await till.findings.isEmpty)
    }

    @Test func aPersonWhoWaitedForADisputeLiftsItToo() async throws {
        let till = try await Till()
        try await till.dispute("dp_1", .needsResponse, cents: 100)
        let id = till.purchase.id
        try await till.database.letsFunctionsWait()
        let event = try await OpenTransaction(
            [
                "SELECT 1 FROM payment_state WHERE purchase_id = '\(id)' FOR UPDATE",
                "SELECT name_disputes('\(id)', \(till.account), '{dp_1,dp_2}', '{open,open}')",
                "SELECT set_dispute_gate(\(till.account))",
            ], on: till.database)
        async let lift = till.lift()
        #expect(try await eventually { try await till.database.waiting > 0 })
        #expect(await event.commit())
        #expect(try await lift.lifted == 2)
        #expect(try await !till.isSuspended)
        #expect(try await till.findings.isEmpty)
    }

    /// No order of locks in which two of them wait for each other.
    @Test func manyOfBothEndWell() async throws {
        let till = try await Till()
        try await withThrowingDiscardingTaskGroup { group in
            for index in 0..<20 {
                group.addTask { try await till.dispute("dp_\(index)", .needsResponse, cents: 10) }
                group.addTask { _ = try await till.lift() }
            }
        }
        #expect(try await till.findings.isEmpty)
        try await till.lift()
        #expect(try await !till.isSuspended)
        #expect(try await till.findings.isEmpty)
        #expect(
            try await till.database.integer(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0)
    }
}

/// One buyer, and a purchase that was paid.
struct Till {
    let database: TestDatabase
    let stripe = FakeStripe()
    let account: AccountID
    let purchase: Purchase

    init() async throws {
        try await self.init(TestDatabase.migrated(poolSize: 8))
    }

    init(_ database: TestDatabase) async throws {
        self.database = database
        self.account = try await database.account("buyer")
        self.purchase = try await database.starter(self.account)
        self.stripe.put(.made(for: self.purchase, "pi_1"))
        try await self.tell("pi_1", self.purchase)
    }

    func buy(_ payment: String) async throws -> Purchase {
        let purchase = try await self.database.starter(self.account)
        self.stripe.put(.made(for: purchase, payment))
        try await self.tell(payment, purchase)
        return purchase
    }

    /// The dispute is as it says, and an event tells of it.
    func dispute(
        _ id: String, _ status: PaymentSnapshot.DisputeFacts.Status, of payment: String = "pi_1",
        cents: Int64 = 999
    ) async throws {
        let isWithdrawn = [.needsResponse, .underReview, .lost].contains(status)
        self.stripe.change(payment) { payment in
            payment.disputes.removeAll { $0.id == id }
            payment.disputes.append(
                .init(
                    id: id, amountCents: cents, status: status, feeCents: 0,
                    withdrawnCents: isWithdrawn ? -cents : 0))
        }
        try await self.tell(payment)
    }

    func tell(_ payment: String, _ purchase: Purchase? = nil) async throws {
        let event = self.database.event("evt_\(PostgresLedgerClock.freshID())", purchase, payment: payment)
        try await self.database.settle(event, self.stripe)
    }

    /// All events once more, as `tollgate stripe replay` does it.
    func replay() async throws {
        let events = try await self.database.pool.run { connection in
            try connection.run("SELECT event_id, payment_intent_id FROM stripe_event").rows.map {
                try ($0.text(0), $0.text(1))
            }
        }
        for (id, payment) in events {
            try await self.database.settle(
                self.database.event(id, nil, payment: payment, source: .replay), self.stripe)
        }
    }

    @discardableResult func lift() async throws -> AccountBook.StatusReceipt {
        try await self.database.book.setStatus(
            of: self.account, to: .active, actor: "cli:eve", reason: "the customer called")
    }

    var isSuspended: Bool {
        get async throws {
            let gate = try #require(try await self.database.ledger.summary(of: self.account)).gate
            let status = try await self.database.text(
                "SELECT status FROM account WHERE account_id = \(self.account)")
            #expect(gate.blocked == (status == "suspended"))
            return gate.blocked
        }
    }

    var frozen: Int64 {
        get async throws {
            try #require(try await self.database.ledger.summary(of: self.account)).gate.floor.value
        }
    }

    /// Names of the checks that found something.
    var findings: [String] {
        get async throws { try await self.database.verifier.verify().map(\.check) }
    }
}

extension TestDatabase {
    static let waitingSessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    /// Sessions that wait for a lock.
    var waiting: Int64 { get async throws { try await self.integer(Self.waitingSessions) } }
}
