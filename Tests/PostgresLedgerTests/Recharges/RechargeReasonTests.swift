import Billing
import Metering
import Testing

@testable import PostgresLedger

/// The reason to charge is looked at again before Stripe can hear of it, and money that goes back ends it.
@Suite(.serialized) struct RechargeReasonTests {
    private let start = PostgresLedgerClock.now

    private func decided(_ database: TestDatabase) async throws -> (AccountID, RechargeOrder) {
        let account = try await database.account("owner")
        try await database.turnOn(account, limit: 999)
        return (account, try #require(try await database.decide(account, now: self.start)))
    }

    private enum Change: CaseIterable {
        case turnedOff, suspended, filledUp, dearer, amended
    }

    /// Hours can be between the decision and its purchase.
    @Test(arguments: Change.allCases)
    private func aReasonThatHasGoneOpensNothing(_ change: Change) async throws {
        let database = try await TestDatabase.migrated()
        let (account, order) = try await self.decided(database)
        switch change {
        case .turnedOff: try await database.ledger.setRecharge(nil, of: account)
        case .suspended: try await database.book.setGate(of: account, status: .suspended)
        case .filledUp:
            _ = try await database.ledger.grant(
                Grant(
                    account: account, amount: Millicredits(1_000_000), kind: .trial, sourceRef: "gift",
                    reason: "test"))
        case .dearer: try await database.execute("UPDATE package SET price_usd_cents = 1000")
        case .amended: try await database.execute("UPDATE package SET credits = 1000 WHERE code = 'starter'")
        }
        #expect(try await database.open(order) == nil)
        #expect(try await database.integer("SELECT count(*) FROM purchase") == 0)
        let status = try await database.status(account)
        #expect(status.machine.state == .idle && status.machine.spent.cents == 0)
        #expect(status.lastAttempt?.outcome == .failed(.notWanted) && status.lastAttempt?.purchase == nil)
        // It is over, not late.
        #expect(try await database.open(order) == nil)
        #expect(try await database.ledger.rechargesDue(now: self.start, limit: 9).isEmpty)
    }

    /// Stripe may have heard of it.
    @Test func whatWasOpenedGoesOn() async throws {
        let database = try await TestDatabase.migrated()
        let (account, order) = try await self.decided(database)
        let opened = try await database.opened(order)
        try await database.ledger.setRecharge(nil, of: account)
        #expect(try await database.open(order) == opened)
        let again = try await database.decide(account, now: self.start + 60_000)
        #expect(again?.opened == opened)
    }

    // MARK: Money that goes back

    /// What was bought on Stripe's page, and now auto-recharge is on.
    private func bought(_ database: TestDatabase, _ stripe: FakeStripe) async throws -> Purchase {
        let account = try await database.account("owner")
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        try await database.turnOn(account, limit: 99_900)
        return purchase
    }

    private enum Reversal: CaseIterable {
        case refund, dispute
    }

    /// Else the refund makes the balance low, and the card is charged for what was just returned.
    @Test(arguments: Reversal.allCases)
    private func aReversalStopsItInItsTransaction(_ reversal: Reversal) async throws {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let purchase = try await self.bought(database, stripe)
        let account = purchase.account
        stripe.change("pi_1") { payment in
            switch reversal {
            case .refund:
                payment.refunds = [
                    .init(id: "re_1", amountCents: 999, status: .succeeded)
                ]
            case .dispute:
                payment.disputes = [
                    .init(
                        id: "dp_1", amountCents: 999, status: .needsResponse, feeCents: 0,
                        withdrawnCents: -999)
                ]
            }
        }
        stripe.failNext(1)
        let event = database.event("evt_2", purchase, payment: "pi_1")
        await #expect(throws: FakeStripe.Gone.self) { try await database.settle(event, stripe) }
        #expect(try await database.status(account).machine.state == .idle)
        try await database.settle(event, stripe)
        #expect(try await database.status(account).machine.state == .stopped(.reversed))
        #expect(try await database.ledger.rechargesDue(now: self.start, limit: 9).isEmpty)
        #expect(try await database.decide(account, now: self.start) == nil)
        // Told again, it stops nobody who turned it on in between.
        try await database.turnOn(account, limit: 99_900)
        try await database.settle(database.event("evt_3", purchase, payment: "pi_1"), stripe)
        #expect(try await database.status(account).machine.state == .idle)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// A dispute that is won, or a refund that fails, takes nothing.
    @Test func whatComesBackStopsNobody() async throws {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let purchase = try await self.bought(database, stripe)
        let refund = { (status: PaymentSnapshot.RefundFacts.Status) in
            stripe.change("pi_1") {
                $0.refunds = [.init(id: "re_1", amountCents: 999, status: status)]
            }
        }
        refund(.pending)
        try await database.settle(database.event("evt_2", purchase, payment: "pi_1"), stripe)
        #expect(try await database.balance(purchase.account) == 0)
        try await database.turnOn(purchase.account, limit: 99_900)
        refund(.failed)
        try await database.settle(database.event("evt_3", purchase, payment: "pi_1"), stripe)
        #expect(try await database.balance(purchase.account) == 9_990_000)
        #expect(try await database.status(purchase.account).machine.state == .idle)
    }

    /// The one that was just made, refunded before its grant was posted.
    @Test func aRechargeThatIsRefundedIsNotMadeAgain() async throws {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let (account, order) = try await self.decided(database)
        let purchase = try await database.opened(order).purchase
        var payment = PaymentSnapshot.made(for: purchase, "pi_1")
        payment.refunds = [.init(id: "re_1", amountCents: 999, status: .succeeded)]
        stripe.put(payment)
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == 0)
        #expect(try await database.status(account).machine.state == .stopped(.reversed))
    }

    /// Stripe may have the money of a request whose answer never came.
    @Test func aPurchaseWithoutAnAnswerIsWaitedForForTwoDays() async throws {
        let database = try await TestDatabase.migrated()
        let (account, order) = try await self.decided(database)
        let purchase = try await database.opened(order).purchase
        try await database.execute(
            "UPDATE recharge SET state = 'stopped', stop_reason = 'reversed', wake_at = NULL, spent_cents = 0"
        )
        try await database.turnOn(account, limit: 99_900)
        #expect(try await database.decide(account, now: self.start) == nil)
        try await database.endRest(of: account)
        let days: Int64 = 48 * 3_600_000
        #expect(try await database.decide(account, now: purchase.createdAt + days - 1) == nil)
        try await database.endRest(of: account)
        let next = try await database.decide(account, now: purchase.createdAt + days)
        #expect(next?.attempt.number == 2)
    }

    private enum NoAnswer: CaseIterable {
        case refused, ofTestMode
    }

    @Test(arguments: NoAnswer.allCases)
    private func whatBringsNothingIsNotWaitedFor(_ answer: NoAnswer) async throws {
        let database = try await TestDatabase.migrated()
        let (account, order) = try await self.decided(database)
        let purchase = try await database.opened(order).purchase
        if answer == .refused {
            try await database.ledger.rechargeFailed(
                order, purchase: purchase.id, .refused, now: self.start)
        }
        try await database.execute(
            "UPDATE recharge SET state = 'stopped', stop_reason = 'reversed', wake_at = NULL, spent_cents = 0"
        )
        try await database.turnOn(account, limit: 99_900)
        let next = try await database.decide(
            account, now: self.start, livemode: answer == .ofTestMode)
        #expect(next?.attempt.number == 2)
    }

    /// Money went back before Stripe heard of the attempt: nothing of it counts against the day.
    @Test(arguments: [false, true]) func aStoppedAttemptCountsIfItHasAPurchase(_ isOpened: Bool) async throws
    {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let purchase = try await self.bought(database, stripe)
        try await database.book.setGate(of: purchase.account, floor: Millicredits(9_990_000))
        let order = try #require(try await database.decide(purchase.account, now: self.start))
        if isOpened { _ = try await database.opened(order) }
        stripe.change("pi_1") {
            $0.refunds = [.init(id: "re_1", amountCents: 999, status: .succeeded)]
        }
        try await database.settle(database.event("evt_2", purchase, payment: "pi_1"), stripe)
        let machine = try await database.status(purchase.account).machine
        #expect(machine.state == .stopped(.reversed) && machine.spent.cents == (isOpened ? 999 : 0))
    }

    /// A bank debit takes days: whoever turns it on again meanwhile is not charged for the same need twice.
    @Test func aPaymentOfBeforeTheStopIsWaitedFor() async throws {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let (account, order) = try await self.decided(database)
        let purchase = try await database.opened(order).purchase
        stripe.put(.made(for: purchase, "pi_1", status: .processing))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        try await database.execute("UPDATE recharge SET state = 'stopped', stop_reason = 'reversed'")
        try await database.turnOn(account, limit: 99_900)
        #expect(try await database.decide(account, now: self.start) == nil)
        #expect(try await database.ledger.rechargesDue(now: self.start + 59_999, limit: 9).isEmpty)
        stripe.change("pi_1") {
            $0.status = .requiresPaymentMethod
            $0.failureCode = "returned"
        }
        try await database.settle(database.event("evt_2", purchase, payment: "pi_1"), stripe)
        #expect(try await database.decide(account, now: self.start + 60_000)?.attempt.number == 2)
    }
}
