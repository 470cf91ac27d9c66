import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Purchases that were made after the backup from which the ledger was restored.
@Suite(.serialized) struct RestoredPurchaseTests {
    /// A ledger that has never heard of a purchase, whose payment carries everything.
    private struct SetBack {
        let database: TestDatabase
        let stripe = FakeStripe()
        let label: PurchaseLabel

        /// - Parameter account: number of the account in the ledger that is gone.
        init(
            account: AccountID = 41, user: String = "ada", kind: Purchase.Kind = .checkout,
            package: Int64 = 1, poolSize: Int = 2
        ) async throws {
            self.database = try await TestDatabase.migrated(poolSize: poolSize)
            let purchase = Purchase(
                id: PurchaseID(PostgresLedgerClock.freshID()), account: account, kind: kind,
                packageCode: "starter", packageVersion: package, packageName: "Starter", priceUSDCents: 999,
                credits: Millicredits(9_990_000), livemode: false, createdAt: 0, status: .created,
                session: nil, paymentIntent: nil, customer: nil)
            let ledger = try await self.database.pool.run { try LedgerRow.id(on: $0) }
            self.label = PurchaseLabel(
                purchase, userID: user, ledger: ledger,
                attempt: kind == .recharge ? .init(number: 4, paymentMethod: "pm_1") : nil)
            var payment = PaymentSnapshot.made(for: purchase, "pi_1")
            payment.metadata = self.label.metadata
            self.stripe.put(payment)
        }

        @discardableResult
        func tell(_ id: String = "evt_1") async throws -> PaymentOutcome {
            let event = self.database.told(id, payment: "pi_1", carrying: self.label.metadata)
            return try await self.database.settle(event, self.stripe)
        }

        func stored() async throws -> Purchase? {
            try await self.database.ledger.purchase(self.label.purchase)
        }
    }

    /// Its user is made again as well, under the number that journals know.
    @Test func aPaidPurchaseComesBackAndIsGrantedOnce() async throws {
        let gone = try await SetBack()
        guard case .posted(_, granted: true, _) = try await gone.tell() else {
            Issue.record("it was not granted")
            return
        }
        #expect(try await gone.tell() == .repeated)
        try await gone.tell("evt_2")
        #expect(try await gone.database.balance(41) == 9_990_000)
        #expect(try await gone.stored()?.status == .paid)
        #expect(try await gone.stored()?.createdAt == Int64(gone.label.purchase.uuid.millisecondsSinceEpoch))
        #expect(try await gone.database.text("SELECT user_id FROM account WHERE account_id = 41") == "ada")
        // Nobody else gets the number.
        #expect(try await gone.database.account("bob") == 42)
        #expect(try await gone.database.ledger.label(of: gone.label.purchase) == gone.label)
        #expect(try await gone.database.verifier.verify().isEmpty)
    }

    /// Stripe sends all events of a payment at once.
    @Test func manyAtOnceMakeItOnce() async throws {
        let gone = try await SetBack(poolSize: 8)
        let outcomes = try await withThrowingTaskGroup { group in
            for index in 0..<24 { group.addTask { try await gone.tell("evt_\(index % 12)") } }
            return try await group.reduce(into: [PaymentOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { if case .posted(_, granted: true, _) = $0 { true } else { false } } == 1)
        #expect(try await gone.database.integer("SELECT count(*) FROM purchase") == 1)
        #expect(try await gone.database.balance(41) == 9_990_000)
        #expect(try await gone.database.verifier.verify().isEmpty)
    }

    @Test func nothingOfItStaysWhenStripeCannotBeRead() async throws {
        let gone = try await SetBack()
        gone.stripe.failNext(1)
        await #expect(throws: FakeStripe.Gone.self) { try await gone.tell() }
        for table in ["purchase", "account", "stripe_event"] {
            #expect(try await gone.database.integer("SELECT count(*) FROM \(table)") == 0, "\(table)")
        }
        try await gone.tell()
        #expect(try await gone.database.balance(41) == 9_990_000)
    }

    /// The user came back by another number, before the payment did: the credits are the user's.
    @Test func theUserCountsAndNotTheNumber() async throws {
        let gone = try await SetBack()
        let account = try await gone.database.account("ada")
        #expect(account != 41)
        gone.stripe.change("pi_1") { $0.status = .processing }
        try await gone.tell()
        #expect(try await gone.stored()?.status == .processing)
        gone.stripe.change("pi_1") { $0.status = .succeeded }
        try await gone.tell("evt_2")
        #expect(try await gone.database.balance(account) == 9_990_000)
        #expect(try await gone.database.verifier.verify().isEmpty)
    }

    @Test func aNumberThatSomebodyElseHasGoesToAPerson() async throws {
        let gone = try await SetBack(account: 1)
        let other = try await gone.database.account("bob")
        #expect(other == 1)
        #expect(try await gone.tell() == .dead(reason: "account_of_another_user"))
        #expect(try await gone.database.balance(other) == 0)
        #expect(try await gone.database.integer("SELECT count(*) FROM account") == 1)
    }

    @Test func aPackageThatNobodyKnowsGoesToAPersonUntilItIsKnown() async throws {
        let gone = try await SetBack(package: 2)
        #expect(try await gone.tell() == .dead(reason: "unknown_package"))
        #expect(try await gone.database.integer("SELECT count(*) FROM account") == 0)
        try await gone.database.execute(
            """
            INSERT INTO package (code, version, name, price_usd_cents, credits, active)
            VALUES ('starter', 2, 'Starter', 999, 9990, false)
            """)
        try await gone.tell()
        #expect(try await gone.database.balance(41) == 9_990_000)
        #expect(try await gone.database.verifier.verify().isEmpty)
    }

    /// Money that has gone back by now is not granted for long.
    @Test func whatWentBackMeanwhileIsTakenBackWithIt() async throws {
        let gone = try await SetBack()
        gone.stripe.change("pi_1") { $0.refunds = [.init(id: "re_1", amountCents: 999, status: .succeeded)] }
        #expect(
            try await gone.database.settle(gone.database.told("evt_1", payment: "pi_1"), gone.stripe)
                != .ignored)
        #expect(try await gone.database.balance(41) == 0)
        #expect(try await gone.database.verifier.verify().isEmpty)
    }

    /// Nobody had paid yet: its page is still open, or over.
    @Test(arguments: [(SessionSnapshot.Status.open, Purchase.Status.open), (.expired, .expired)])
    func aPageThatNobodyHasPaidComesBack(
        _ status: SessionSnapshot.Status, _ expected: Purchase.Status
    ) async throws {
        let gone = try await SetBack()
        gone.stripe.put(
            SessionSnapshot(
                id: "cs_1", status: status, url: nil, paymentIntent: nil,
                clientReferenceID: gone.label.purchase.description, metadata: gone.label.metadata))
        let hint = PaymentHint(paymentIntent: nil, session: "cs_1", purchase: nil)
        _ = try await gone.database.ledger.settle(hint, event: nil, reader: gone.stripe)
        #expect(try await gone.stored()?.status == expected)
        #expect(try await gone.stored()?.session == "cs_1")
        try await gone.tell()
        #expect(try await gone.database.balance(41) == 9_990_000)
    }
}

extension RestoredPurchaseTests {
    private static let key = "SELECT attempt_key FROM purchase"

    /// The machine was set back as well, and has set out to count the same numbers again: they are other attempts.
    @Test(arguments: [0, 3, 7] as [Int64]) func aRechargeComesBackBesideItsMachine(
        _ attempts: Int64
    ) async throws {
        let gone = try await SetBack(kind: .recharge)
        let account = try await gone.database.account("ada")
        try await gone.database.turnOn(account, limit: 99_900)
        if attempts > 0 {
            try await gone.database.execute(
                "UPDATE recharge SET attempts = \(attempts), attempt_cents = 999, attempt_started_at = 1")
        }
        try await gone.tell()
        #expect(try await gone.database.balance(account) == 9_990_000)
        #expect(
            try await gone.database.text(Self.key) == "recharge:\(account):0:\(gone.label.purchase)")
        let status = try await gone.database.status(account)
        #expect(status.machine.attempts == attempts && status.machine.state == .idle)
        // Its price counts against its day, which is today, once.
        #expect(status.machine.spent.cents == 999)
        try await gone.tell("evt_2")
        #expect(try await gone.database.status(account).machine.spent.cents == 999)
        #expect(try await gone.database.verifier.verify().isEmpty)
    }

    /// The attempt was stored before the backup and charged after it: asked again, it must find that charge.
    @Test func theAttemptUnderWayFindsItsCharge() async throws {
        let gone = try await SetBack(kind: .recharge)
        let database = gone.database
        let account = try await database.account("ada")
        try await database.turnOn(account, limit: 99_900)
        let now = PostgresLedgerClock.now
        try await database.execute(
            "UPDATE recharge SET attempts = 3, attempt_cents = 999, attempt_started_at = 1")
        let order = try #require(try await database.decide(account, now: now))
        #expect(order.attempt.number == 4 && order.opened == nil)
        try await gone.tell()
        #expect(try await database.text(Self.key) == "recharge:\(account):4")
        #expect(try await database.status(account).lastAttempt?.outcome == .paid)
        let opened = try await database.opened(order)
        #expect(opened.purchase.id == gone.label.purchase && opened.paymentMethod == "pm_1")
        #expect(try await database.status(account).machine.spent.cents == 999, "counted when it was decided")
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.verifier.verify().isEmpty)
    }
}
