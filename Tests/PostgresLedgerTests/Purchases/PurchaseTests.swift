import Billing
import Metering
import Testing

@testable import PostgresLedger

/// One payment, from the order to what is taken back of it.
@Suite(.serialized) struct PurchaseTests {
    private static let zero = "SELECT count(*) FROM credit_ledger"

    @Test func aPaymentIsGrantedOnceHoweverOftenItIsTold() async throws {
        let database = try await TestDatabase.migrated(poolSize: 8)
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        let outcomes = try await withThrowingTaskGroup { group in
            for index in 0..<30 {
                let event = database.event("evt_\(index % 10)", purchase, payment: "pi_1")
                group.addTask { try await database.settle(event, stripe) }
            }
            return try await group.reduce(into: [PaymentOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { if case .posted(_, granted: true, _) = $0 { true } else { false } } == 1)
        #expect(outcomes.count { $0 == .repeated } == 20)
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.ledger.purchase(purchase.id)?.status == .paid)
        #expect(try await database.ledger.customer(of: account, livemode: false) == "cus_1")
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// Whoever lost the connection between reading and commit tries again, and nothing of the first attempt is there.
    @Test func aReadingThatFailsLeavesNothingBehind() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        stripe.failNext(1)
        let event = database.event("evt_1", purchase, payment: "pi_1")
        await #expect(throws: FakeStripe.Gone.self) { try await database.settle(event, stripe) }
        #expect(try await database.integer("SELECT count(*) FROM stripe_event") == 0)
        #expect(try await database.integer(Self.zero) == 0)
        try await database.settle(event, stripe)
        #expect(try await database.balance(account) == 9_990_000)
    }

    @Test func nothingIsGrantedBeforeTheMoneyIsThere() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1", status: .processing))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == 0)
        #expect(try await database.ledger.purchase(purchase.id)?.status == .processing)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_2", nil, payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// Half of the money takes half of the credits, rounded to our side; a refund that fails gives them back.
    @Test func refundsTakeCreditsBackAndFailedOnesReturnThem() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        stripe.change("pi_1") { $0.refunds = [.init(id: "re_1", amountCents: 500, status: .pending)] }
        try await database.settle(database.event("evt_2", nil, payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == 9_990_000 - 5_000_000)
        // A second part, told by the same kind of event.
        stripe.change("pi_1") { $0.refunds.append(.init(id: "re_2", amountCents: 499, status: .succeeded)) }
        try await database.settle(database.event("evt_3", nil, payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == 0)
        stripe.change("pi_1") { $0.refunds[0].status = .failed }
        try await database.settle(database.event("evt_4", nil, payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == 5_000_000)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// Spent credits leave a debt, and the next purchase repays it first. Who lost a dispute stays suspended.
    @Test func aDisputeFreezesAndSuspendsAndALostOneLeavesADebt() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        _ = try await database.ledger.grant(
            Grant(
                account: account, amount: Millicredits(-9_000_000), kind: .adjustment, sourceRef: "spent",
                reason: "spent"))
        let dispute = PaymentSnapshot.DisputeFacts(
            id: "dp_1", amountCents: 999, status: .needsResponse, feeCents: 1500, withdrawnCents: -999)
        stripe.change("pi_1") { $0.disputes = [dispute] }
        try await database.settle(database.event("evt_2", nil, payment: "pi_1"), stripe)
        let gate = try #require(try await database.ledger.summary(of: account)).gate
        #expect(gate.blocked && gate.floor == Millicredits(9_990_000))
        #expect(
            try await database.text("SELECT status FROM account WHERE account_id = \(account)") == "suspended"
        )
        #expect(try await database.balance(account) == 990_000)
        stripe.change("pi_1") { $0.disputes[0].status = .lost }
        try await database.settle(database.event("evt_3", nil, payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == -9_000_000)
        let after = try #require(try await database.ledger.summary(of: account)).gate
        #expect(after.blocked && after.floor == .zero)
        #expect(
            try await database.text("SELECT status FROM account WHERE account_id = \(account)") == "suspended"
        )
        let next = try await database.starter(account)
        stripe.put(.made(for: next, "pi_2"))
        try await database.settle(database.event("evt_4", next, payment: "pi_2"), stripe)
        #expect(try await database.balance(account) == 990_000)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// A person's floor and a person's word stay, whatever disputes come and go.
    @Test func aWonDisputeRestoresWhatAPersonHadSet() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        try await database.book.setGate(of: account, floor: Millicredits(-7))
        let dispute = PaymentSnapshot.DisputeFacts(
            id: "dp_1", amountCents: 100, status: .underReview, feeCents: 1500, withdrawnCents: -100)
        stripe.change("pi_1") { $0.disputes = [dispute] }
        try await database.settle(database.event("evt_2", nil, payment: "pi_1"), stripe)
        var gate = try #require(try await database.ledger.summary(of: account)).gate
        #expect(gate.blocked && gate.floor == Millicredits(1_000_000 - 7))
        gate = try await database.book.setGate(of: account, floor: Millicredits(5))
        #expect(gate.floor == Millicredits(1_000_005) && gate.blocked)
        stripe.change("pi_1") {
            $0.disputes[0].status = .won
            $0.disputes[0].withdrawnCents = 0
        }
        try await database.settle(database.event("evt_3", nil, payment: "pi_1"), stripe)
        gate = try #require(try await database.ledger.summary(of: account)).gate
        #expect(!gate.blocked && gate.floor == Millicredits(5))
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func anAccountThatAPersonSuspendedStaysSoWhenItsDisputeIsWon() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        try await database.book.setGate(of: account, status: .suspended)
        for (id, status) in [("evt_2", PaymentSnapshot.DisputeFacts.Status.needsResponse), ("evt_3", .won)] {
            stripe.change("pi_1") {
                $0.disputes = [
                    .init(id: "dp_1", amountCents: 999, status: status, feeCents: 0, withdrawnCents: 0)
                ]
            }
            try await database.settle(database.event(id, nil, payment: "pi_1"), stripe)
        }
        #expect(try #require(try await database.ledger.summary(of: account)).gate.blocked)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// What does not fit is kept for a person, and clears up by itself when it fits later.
    @Test func aDoubtIsADeadLetterUntilItFits() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1", cents: 998))
        let event = database.event("evt_1", purchase, payment: "pi_1")
        #expect(try await database.settle(event, stripe) == .dead(reason: "wrong_amount"))
        #expect(try await database.ledger.purchase(purchase.id)?.status == .quarantined)
        #expect(try await database.balance(account) == 0)
        let findings = try await database.verifier.verify()
        #expect(findings.allSatisfy { $0.severity == .warning } && findings.count == 2)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(event, stripe)
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func anEventOfSomebodyElseIsKeptAndNotFollowed() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        var foreign = PaymentSnapshot.made(for: purchase, "pi_foreign")
        foreign.metadata = [:]
        stripe.put(foreign)
        #expect(
            try await database.settle(database.event("evt_1", nil, payment: "pi_foreign"), stripe) == .ignored
        )
        // Ours by its name, but of a ledger that is gone.
        let lost = try Purchase(
            id: PurchaseID(PostgresLedgerClock.freshID()), account: account, kind: .checkout,
            of: CreditPackage(
                code: "starter", version: 1, name: "Starter", priceUSDCents: 999, credits: 9990,
                bonusCredits: 0),
            customer: nil, livemode: false, createdAt: PostgresLedgerClock.now)
        stripe.put(.made(for: lost, "pi_lost"))
        #expect(
            try await database.settle(database.event("evt_2", nil, payment: "pi_lost"), stripe)
                == .dead(reason: "unknown_purchase"))
        #expect(try await database.integer(Self.zero) == 0)
    }
}

extension PurchaseTests {
    /// A card that was declined can be followed by another one; a bank debit that bounced cannot.
    @Test(arguments: [(SessionSnapshot.Status.open, Purchase.Status.open), (.complete, .failed)])
    func aFailedPaymentIsOverWithItsPage(
        _ session: SessionSnapshot.Status, _ expected: Purchase.Status
    ) async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        try await database.ledger.sessionAnswered("cs_1", for: purchase.id)
        stripe.put(.made(for: purchase, "pi_1", status: .requiresPaymentMethod))
        stripe.put(
            SessionSnapshot(
                id: "cs_1", status: session, url: nil, paymentIntent: "pi_1",
                clientReferenceID: purchase.id.description, metadata: purchase.namesOfBefore))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        #expect(try await database.ledger.purchase(purchase.id)?.status == expected)
        #expect(try await database.verifier.verify().isEmpty)
    }
}

/// What is done now and then, by one instance at a time.
@Suite(.serialized) struct PaymentChoreTests {
    @Test func oneInstanceAtATimeDoesAJob() async throws {
        let database = try await TestDatabase.migrated()
        let ledger = database.ledger
        #expect(try await ledger.takeJob("job", for: "a", seconds: 60) == JobLease(progress: nil))
        #expect(try await ledger.takeJob("job", for: "b", seconds: 60) == nil)
        try await ledger.noteProgress(of: "job", by: "b", "not mine")
        try await ledger.noteProgress(of: "job", by: "a", "17")
        try await ledger.endJob("job", by: "b")
        #expect(try await ledger.takeJob("job", for: "b", seconds: 60) == nil)
        try await ledger.endJob("job", by: "a")
        #expect(try await ledger.takeJob("job", for: "b", seconds: 60) == JobLease(progress: "17"))
        // Who died in the middle is replaced when its lease has run out.
        try await database.execute("UPDATE job_lease SET until = now() - interval '1 second'")
        #expect(try await ledger.takeJob("job", for: "c", seconds: 60) == JobLease(progress: "17"))
    }

    /// (status, hours since it was made, hours since it was looked at, what is done about it)
    @Test(arguments: [
        ("created", 0.01, 0.01, "nothing"), ("created", 0.1, 0.1, "unanswered"),
        ("created", 25, 25, "abandoned"),
        ("open", 1, 1, "nothing"), ("open", 25, 2, "unread"), ("open", 25, 0.1, "nothing"),
        ("processing", 2, 0.1, "nothing"), ("processing", 2, 2, "unread"), ("quarantined", 2, 2, "unread"),
        ("paid", 99, 99, "nothing"), ("failed", 99, 99, "nothing"), ("expired", 99, 99, "nothing"),
    ]) func whatTakesTooLongIsLookedAt(
        _ status: String, _ made: Double, _ looked: Double, _ expected: String
    ) async throws {
        let database = try await TestDatabase.migrated()
        let purchase = try await database.starter(try await database.account("buyer"))
        try await database.execute(
            """
            UPDATE purchase SET status = '\(status)', created_at = now() - interval '\(made) hours',
                updated_at = now() - interval '\(looked) hours'
            """)
        let found = try await database.ledger.unfinishedPurchases(livemode: false, limit: 10).map { found in
            switch found {
            case .unanswered(let which, let success, _):
                success.hasPrefix("https://shop.test/ok") && which.id == purchase.id ? "unanswered" : "wrong"
            case .unread: "unread"
            case .abandoned: "abandoned"
            }
        }
        #expect(found == (expected == "nothing" ? [] : [expected]))
        #expect(try await database.ledger.unfinishedPurchases(livemode: true, limit: 10).isEmpty)
    }
}

extension PurchaseTests {
    /// Stripe sends several events of a payment at once; a reading that began after an event came knows what it tells.
    @Test func eventsThatWaitedForAReadingAreNotReadAgain() async throws {
        let database = try await TestDatabase.migrated(poolSize: 8)
        let account = try await database.account("buyer")
        // The first reading takes until all the others wait for it.
        let configuration = try PostgresConfiguration(url: database.url)
        let stripe = FakeStripe {
            let observer = try? PostgresConnection(configuration)
            for _ in 0..<4000 {
                let waiting = try? observer?.run(TestDatabase.waitingSessions).one().int(0)
                if waiting == 5 { return }
                sleepThread(.milliseconds(5))
            }
        }
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await withThrowingDiscardingTaskGroup { group in
            for index in 0..<6 {
                let event = database.event("evt_\(index)", purchase, payment: "pi_1")
                group.addTask { try await database.settle(event, stripe) }
            }
        }
        #expect(stripe.readings <= 2)
        #expect(
            try await database.integer("SELECT count(*) FROM stripe_event WHERE outcome = 'applied'") == 6)
        #expect(try await database.balance(account) == 9_990_000)
        // What comes later is read.
        stripe.change("pi_1") { $0.refunds = [.init(id: "re_1", amountCents: 999, status: .succeeded)] }
        try await database.settle(database.event("evt_9", purchase, payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == 0)
    }
}

/// Money and credits that go back because a person wants it.
@Suite(.serialized) struct RefundRequestTests {
    private struct Paid {
        let database: TestDatabase
        let stripe = FakeStripe()
        let purchase: Purchase
        let account: AccountID

        init() async throws {
            self.database = try await TestDatabase.migrated()
            self.account = try await self.database.account("buyer")
            self.purchase = try await self.database.starter(self.account)
            self.stripe.put(.made(for: self.purchase, "pi_1"))
            try await self.database.settle(
                self.database.event("evt_1", self.purchase, payment: "pi_1"), self.stripe)
        }

        private static let note = ChangeNote(actor: "test", reason: "asked", request: "req-1")

        func plan(_ request: String, _ amount: RefundPlan.Amount) async throws -> StoredRefund {
            try await self.database.ledger.planRefund(
                request, of: self.purchase.id, amount: amount, note: Self.note)
        }

        func credit(_ request: String, _ amount: CreditRefund.Amount = .rest) async throws -> Millicredits {
            try await self.database.ledger.refundCredits(
                request, of: self.purchase.id, amount: amount, note: Self.note)
        }

        /// Stripe made it, and the payment was read.
        func made(_ refund: StoredRefund, _ status: PaymentSnapshot.RefundFacts.Status = .succeeded)
            async throws
        {
            self.stripe.change("pi_1") {
                $0.refunds = [
                    .init(
                        id: "re_1", amountCents: refund.asked.cents, status: status,
                        metadata: refund.asked.metadata)
                ]
            }
            try await self.database.settle(
                self.database.event("evt_\(status)", nil, payment: "pi_1"), self.stripe)
        }
    }

    @Test func aRequestIsStoredOnceAndAnsweredAlike() async throws {
        let paid = try await Paid()
        let first = try await paid.plan("r1", .cents(300))
        #expect(first.isNew && first.answer == .asked && first.asked.cents == 300)
        let again = try await paid.plan("r1", .cents(300))
        #expect(!again.isNew && again.answer == .asked && again.asked == first.asked)
        await #expect(throws: RefundStorage.idempotencyConflict) { try await paid.plan("r1", .cents(301)) }
        // What is asked counts, whether Stripe has heard of it or not.
        await #expect(throws: RefundPlan.Refusal.moreThanLeft(cents: 699)) {
            try await paid.plan("r2", .cents(700))
        }
        #expect(try await paid.plan("r2", .rest).asked.cents == 699)
    }

    /// Whoever asks again because an answer was lost changes nothing.
    @Test func aRefundLeavesOneEntryWithItsRequest() async throws {
        let paid = try await Paid()
        for _ in 0..<2 {
            _ = try await paid.plan("r1", .cents(300))
            _ = try await paid.credit("c1", .millicredits(Millicredits(5)))
        }
        #expect(
            try await paid.database.text(
                "SELECT string_agg(concat_ws(' ', action, actor, reason, request_id), ', ' ORDER BY entry_id) "
                    + "FROM audit_log")
                == "refund.cash test asked req-1, refund.credit test asked req-1")
    }

    /// A lost answer is found in the payment, by the name that the refund carries.
    @Test func aReadingAnswersWhatWasLost() async throws {
        let paid = try await Paid()
        let refund = try await paid.plan("r1", .cents(300))
        try await paid.made(refund)
        #expect(try await paid.database.ledger.answer(to: "r1") == .done(refund: "re_1"))
        #expect(try await paid.database.balance(paid.account) == 9_990_000 - 3_000_000)
        // Its cents are counted in the payment now, and not twice.
        #expect(try await paid.plan("r2", .rest).asked.cents == 699)
        #expect(try await paid.database.verifier.verify().isEmpty)
    }

    /// The bank sent it back: "made" would be a lie.
    @Test func aRefundThatFailedIsNotAnsweredAsMade() async throws {
        let paid = try await Paid()
        let refund = try await paid.plan("r1", .rest)
        try await paid.made(refund)
        try await paid.made(refund, .failed)
        #expect(try await paid.plan("r1", .rest).answer == .failed)
        #expect(try await paid.database.balance(paid.account) == 9_990_000)
        let findings = try await paid.database.verifier.verify()
        #expect(findings.map(\.check) == ["purchases and refunds that do not come to an end"])
        #expect(try await paid.plan("r2", .rest).asked.cents == 999)
    }

    @Test func anOldRequestSaysThatItIs() async throws {
        let paid = try await Paid()
        _ = try await paid.plan("r1", .rest)
        try await paid.database.execute("UPDATE refund_request SET created_at = now() - interval '24 hours'")
        #expect(try await paid.plan("r1", .rest).asked.isTooOld)
    }

    @Test func whatGoesBackAsMoneyDoesNotGoBackAsCreditsToo() async throws {
        let paid = try await Paid()
        _ = try await paid.plan("r1", .cents(500))
        #expect(try await paid.credit("c1") == Millicredits(4_990_000))
        await #expect(throws: CreditRefund.Refusal.nothingLeft) { try await paid.credit("c2") }
        await #expect(throws: RefundPlan.Refusal.nothingLeft) { try await paid.plan("r2", .rest) }
        #expect(try await paid.credit("c1") == Millicredits(4_990_000))
        #expect(try await paid.database.balance(paid.account) == 9_990_000 + 4_990_000)
        #expect(try await paid.database.verifier.verify().isEmpty)
    }

    @Test func unpaidPagesAreCounted() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("buyer")
        for _ in 0..<30 { _ = try await database.starter(account) }
        await #expect(throws: TooMany.self) { _ = try await database.starter(account) }
        try await database.execute("UPDATE purchase SET created_at = now() - interval '2 hours'")
        _ = try await database.starter(account)
    }
}
