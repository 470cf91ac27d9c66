import Billing
import Metering
import Testing

@testable import PostgresLedger

/// One attempt, from the balance that is too low to the grant, with everything in between repeated or lost.
@Suite(.serialized) struct RechargeTests {
    private static let minute: Int64 = 60_000
    private let start = PostgresLedgerClock.now

    /// An account without credits whose owner wants the starter package below 1,000 credits.
    private func owner(
        _ database: TestDatabase, limit: Int64 = 999
    ) async throws -> AccountID {
        let account = try await database.account("owner")
        try await database.turnOn(account, limit: limit)
        return account
    }

    /// Stored before anybody is asked: after a crash it is the same attempt under the same key.
    @Test func anAttemptIsAskedForAgainUnderItsKey() async throws {
        let database = try await TestDatabase.migrated()
        let (account, ledger) = (try await self.owner(database), database.ledger)
        #expect(try await ledger.rechargesDue(now: self.start, limit: 10) == [account])
        let order = try #require(try await database.decide(account, now: self.start))
        #expect(order.key == "recharge:\(account):1" && order.opened == nil && order.attempt.cents == 999)
        #expect(try await database.decide(account, now: self.start + 1) == nil)
        #expect(try await ledger.rechargesDue(now: self.start + 1, limit: 10).isEmpty)
        let opened = try await database.opened(order)
        #expect(try await ledger.rechargesDue(now: self.start + Self.minute, limit: 10) == [account])
        let again = try #require(
            try await database.decide(account, now: self.start + Self.minute))
        #expect(again.key == order.key && again.opened == opened)
    }

    @Test func oneAttemptHasOnePurchaseWhoeverIsFirst() async throws {
        let database = try await TestDatabase.migrated(poolSize: 6)
        let account = try await self.owner(database)
        let order = try #require(try await database.decide(account, now: self.start))
        let opened = try await withThrowingTaskGroup { group in
            for index in 0..<6 {
                group.addTask { try await database.open(order, paymentMethod: "pm_\(index)") }
            }
            return try await group.reduce(into: Set<OpenedRecharge?>()) { $0.insert($1) }
        }
        #expect(opened.count == 1 && !opened.contains(nil))
        #expect(try await database.integer("SELECT count(*) FROM purchase") == 1)
        #expect(try await database.integer("SELECT count(*) FROM payment_state") == 1)
    }

    @Test func ofManyInstancesOneDecides() async throws {
        let database = try await TestDatabase.migrated(poolSize: 8)
        let account = try await self.owner(database, limit: 99_900)
        let now = self.start
        let orders = try await withThrowingTaskGroup { group in
            for _ in 0..<16 {
                group.addTask { try await database.decide(account, now: now) }
            }
            return try await group.reduce(into: [RechargeOrder?]()) { $0.append($1) }
        }
        #expect(orders.compactMap { $0 }.map(\.attempt.number) == [1])
    }

    /// The machine is told in the grant's transaction: no look in between takes the old balance for a reason.
    @Test func theGrantEndsTheAttemptInItsTransaction() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await self.owner(database), FakeStripe())
        let order = try #require(try await database.decide(account, now: self.start))
        let purchase = try await database.opened(order).purchase
        stripe.put(.made(for: purchase, "pi_1"))
        stripe.failNext(1)
        let event = database.event("evt_1", purchase, payment: "pi_1")
        await #expect(throws: FakeStripe.Gone.self) { try await database.settle(event, stripe) }
        #expect(try await database.status(account).lastAttempt?.outcome == .underWay)
        try await database.settle(event, stripe)
        let status = try await database.status(account)
        #expect(status.machine.state == .idle && status.lastAttempt?.outcome == .paid)
        #expect(status.lastAttempt?.purchase == purchase.id)
        #expect(
            try await database.integer(
                "SELECT r.version_least - b.version FROM recharge r JOIN credit_balance b USING (account_id)")
                == 0)
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// Its event can be here before the answer, so the payment itself says why it failed.
    @Test(arguments: [
        ("generic_decline", RechargeFailure.declined, false),
        ("authentication_required", .authenticationRequired, true),
    ])
    func aPaymentSaysWhyItFailed(_ code: String, _ failure: RechargeFailure, _ stops: Bool) async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await self.owner(database), FakeStripe())
        let order = try #require(try await database.decide(account, now: self.start))
        let purchase = try await database.opened(order).purchase
        // The card has not been tried yet.
        stripe.put(.made(for: purchase, "pi_1", status: .requiresPaymentMethod))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        #expect(try await database.status(account).lastAttempt?.outcome == .underWay)
        stripe.change("pi_1") { $0.failureCode = code }
        try await database.settle(database.event("evt_2", purchase, payment: "pi_1"), stripe)
        let status = try await database.status(account)
        #expect(status.lastAttempt?.outcome == .failed(failure))
        #expect((status.machine.state == .stopped(.authenticationRequired)) == stops)
        #expect(status.machine.spent.cents == 0)
        #expect(try await database.balance(account) == 0)
        // A late answer to the same attempt changes nothing any more.
        try await database.ledger.rechargeFailed(
            order, purchase: purchase.id, .outcomeUnknown, now: self.start)
        #expect(try await database.status(account) == status)
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func aRefusedChargeEndsItsPurchaseAndAnUnknownOneDoesNot() async throws {
        let database = try await TestDatabase.migrated()
        let (account, ledger) = (try await self.owner(database), database.ledger)
        let order = try #require(try await database.decide(account, now: self.start))
        let purchase = try await database.opened(order).purchase
        try await ledger.rechargeFailed(order, purchase: purchase.id, .outcomeUnknown, now: self.start)
        #expect(try await ledger.purchase(purchase.id)?.status == .created)
        #expect(try await database.status(account).lastAttempt?.outcome == .underWay)
        try await ledger.rechargeFailed(order, purchase: purchase.id, .refused, now: self.start)
        #expect(try await ledger.purchase(purchase.id)?.status == .failed)
        #expect(try await database.status(account).lastAttempt?.outcome == .failed(.refused))
    }

    /// Money that came outweighs whatever an answer says.
    @Test func aRefusalAfterTheMoneyCameIsNotBelieved() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await self.owner(database), FakeStripe())
        let order = try #require(try await database.decide(account, now: self.start))
        let purchase = try await database.opened(order).purchase
        stripe.put(.made(for: purchase, "pi_1", status: .processing))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        try await database.ledger.rechargeFailed(order, purchase: purchase.id, .refused, now: self.start)
        #expect(try await database.ledger.purchase(purchase.id)?.status == .processing)
        #expect(try await database.status(account).lastAttempt?.outcome == .underWay)
    }

    @Test func aDearerPackageIsNotCharged() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await self.owner(database, limit: 99_900)
        try await database.execute(
            """
            UPDATE package SET active = false WHERE code = 'starter';
            INSERT INTO package (code, version, name, price_usd_cents, credits)
                VALUES ('starter', 2, 'Starter', 1000, 9990);
            """)
        #expect(try await database.decide(account, now: self.start) == nil)
        #expect(try await database.status(account).isPackageChanged)
        #expect(try await database.status(account).machine.settings?.priceUSDCents == 999)
        try await database.execute("UPDATE package SET price_usd_cents = 998 WHERE version = 2")
        let order = try await database.decide(account, now: self.start)
        #expect(order?.attempt.cents == 998)
    }

    /// Neither turned off, nor suspended, nor above the threshold; the floor counts.
    @Test func onlyWhoeverWantsItAndNeedsItIsLookedAt() async throws {
        let database = try await TestDatabase.migrated()
        let (account, ledger) = (try await self.owner(database), database.ledger)
        let due = { try await ledger.rechargesDue(now: self.start, limit: 10) }
        try await database.book.setGate(of: account, status: .suspended)
        #expect(try await due().isEmpty)
        #expect(try await database.decide(account, now: self.start) == nil)
        try await database.book.setGate(of: account, status: .active)
        try await database.book.setGate(of: account, floor: Millicredits(-1_000_000))
        #expect(try await due().isEmpty)
        #expect(try await database.decide(account, now: self.start) == nil)
        try await database.book.setGate(of: account, floor: Millicredits(-999_999))
        #expect(try await due() == [account])
        try await ledger.setRecharge(nil, of: account)
        #expect(try await due().isEmpty)
        #expect(try await database.decide(account, now: self.start) == nil)
        #expect(try await database.status(account).machine.settings == nil)
    }

    @Test func theDailyLimitIsWaitedFor() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await self.owner(database, limit: 1998), FakeStripe())
        try await database.book.setGate(of: account, floor: Millicredits(900_000_000))
        let noon = self.start / 86_400_000 * 86_400_000 + 43_200_000
        for number in 1...2 {
            let order = try #require(try await database.decide(account, now: noon))
            let purchase = try await database.opened(order).purchase
            stripe.put(.made(for: purchase, "pi_\(number)"))
            try await database.settle(
                database.event("evt_\(number)", purchase, payment: "pi_\(number)"), stripe)
            try await database.endRest(of: account)
        }
        #expect(try await database.decide(account, now: noon) == nil)
        #expect(try await database.ledger.rechargesDue(now: noon + 43_199_999, limit: 9).isEmpty)
        #expect(try await database.ledger.rechargesDue(now: noon + 43_200_000, limit: 9) == [account])
        // The operator's maximum is smaller than what the user wants now.
        try await database.turnOn(account, limit: 2997)
        #expect(try await database.decide(account, now: noon, dailyMaxCents: 2996) == nil)
        #expect(
            try await database.ledger.rechargeStatus(of: account, dailyMaxCents: 2996).machine.settings?
                .dailyLimitCents == 2996)
        try await database.turnOn(account, limit: 2997)
        #expect(try await database.decide(account, now: noon)?.attempt.number == 3)
    }

    /// Whatever makes one charge follow another, there is a minute between them.
    @Test func aChargeIsFollowedByARest() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await self.owner(database, limit: 1998), FakeStripe())
        try await database.book.setGate(of: account, floor: Millicredits(900_000_000))
        let order = try #require(try await database.decide(account, now: self.start))
        let purchase = try await database.opened(order).purchase
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        let rested = try await database.integer("SELECT rests_until FROM recharge")
        #expect(rested >= self.start + Self.minute)
        #expect(try await database.ledger.rechargesDue(now: rested - 1, limit: 9).isEmpty)
        #expect(try await database.decide(account, now: rested - 1) == nil)
        #expect(try await database.ledger.rechargesDue(now: rested, limit: 9) == [account])
        #expect(try await database.decide(account, now: rested) != nil)
    }

    /// Amended to grant no more than the threshold, it would be charged again and again.
    @Test func aPackageThatBecameSmallerIsNotCharged() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await self.owner(database)
        for (version, credits, isCharged) in [(2, 1000, false), (3, 1001, true)] {
            try await database.execute(
                """
                UPDATE package SET active = false WHERE code = 'starter';
                INSERT INTO package (code, version, name, price_usd_cents, credits)
                    VALUES ('starter', \(version), 'Starter', 999, \(credits));
                """)
            let due = try await database.ledger.rechargesDue(now: self.start, limit: 9)
            #expect(due == (isCharged ? [account] : []))
            #expect(try await database.status(account).isPackageChanged != isCharged)
            #expect(try await (database.decide(account, now: self.start) != nil) == isCharged)
        }
    }
}

extension TestDatabase {
    func turnOn(_ account: AccountID, threshold: Int64 = 1_000_000, limit: Int64) async throws {
        // A copy of the template is another ledger, and whoever asks it first stops all recharges.
        _ = try await self.ledger.checkGeneration()
        try await self.ledger.setRecharge(
            try RechargeSettings(
                threshold: Millicredits(threshold), packageCode: "starter", priceUSDCents: 999,
                dailyLimitCents: limit), of: account)
    }

    func decide(
        _ account: AccountID, now: Int64, dailyMaxCents: Int64 = 100_000, livemode: Bool = false,
        heard: LedgerPosition? = nil
    ) async throws -> RechargeOrder? {
        try await self.ledger.decideRecharge(
            of: account,
            RechargeContext(now: now, livemode: livemode, dailyMaxCents: dailyMaxCents, heard: heard))
    }

    /// nil: it was not wanted any more.
    func open(
        _ order: RechargeOrder, paymentMethod: String = "pm_1", now: Int64 = PostgresLedgerClock.now,
        heard: LedgerPosition? = nil
    ) async throws -> OpenedRecharge? {
        let package = CreditPackage(
            code: "starter", version: 1, name: "Starter", priceUSDCents: 999, credits: 9990, bonusCredits: 0)
        let purchase = try Purchase(
            id: PurchaseID(PostgresLedgerClock.freshID()), account: order.account, kind: .recharge,
            of: package, customer: "cus_1", livemode: false, createdAt: PostgresLedgerClock.now)
        return try await self.ledger.openRecharge(
            purchase, of: order, paymentMethod: paymentMethod,
            RechargeContext(now: now, livemode: false, dailyMaxCents: 100_000, heard: heard))
    }

    func opened(_ order: RechargeOrder) async throws -> OpenedRecharge {
        try #require(try await self.open(order))
    }

    func status(_ account: AccountID) async throws -> RechargeStatus {
        try await self.ledger.rechargeStatus(of: account, dailyMaxCents: 100_000)
    }

    func endRest(of account: AccountID) async throws {
        try await self.execute(
            "UPDATE recharge SET rests_until = 0, look_at = 0 WHERE account_id = \(account)")
    }
}
