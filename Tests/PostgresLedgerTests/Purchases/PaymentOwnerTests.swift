import Billing
import Metering
import Testing

@testable import PostgresLedger

extension TestDatabase {
    /// As a payment of this purchase carries it.
    func labelled(_ purchase: Purchase, _ payment: String) async throws -> PaymentSnapshot {
        var snapshot = PaymentSnapshot.made(for: purchase, payment)
        snapshot.metadata = try await self.ledger.label(of: purchase.id).metadata
        return snapshot
    }

    /// An event about a refund or a dispute: it names its payment only.
    func told(_ id: String, payment: String) -> StripeEventRecord { self.event(id, nil, payment: payment) }

    /// An event of which the object is the payment, so that it carries what the payment was made with.
    func told(_ id: String, payment: String, carrying metadata: [String: String]) -> StripeEventRecord {
        var event = self.event(id, nil, payment: payment)
        event.kind = .payment(
            PaymentHint(
                paymentIntent: payment, session: nil,
                purchase: metadata[Purchase.purchaseKey].flatMap { PurchaseID(text: $0) }))
        event.metadata = metadata
        return event
    }

    func outcome(of event: String) async throws -> String {
        try await self.text(
            "SELECT outcome || coalesce(' ' || reason, '') FROM stripe_event WHERE event_id = '\(event)'")
    }
}

/// The account at Stripe is shared with other products, and with another Tollgate.
@Suite(.serialized) struct PaymentOwnershipTests {
    @Test func aLabelTellsWhatIsStored() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada")
        let purchase = try await database.starter(account)
        let label = try await database.ledger.label(of: purchase.id)
        #expect(label.userID == "ada" && label.account == account && label.purchase == purchase.id)
        #expect(label.credits == purchase.credits && label.priceUSDCents == 999 && label.attempt == nil)
        #expect("\(label.ledger)" == (try await database.text("SELECT ledger_id::text FROM ledger_meta")))
        #expect(PurchaseLabel(label.metadata) == label)
    }

    /// Of what carries its metadata, Stripe is asked nothing.
    @Test func anEventOfAnotherProductCostsNoQuestion() async throws {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let other = database.told("evt_1", payment: "pi_other", carrying: ["order": "7"])
        #expect(try await database.settle(other, stripe) == .ignored)
        #expect(stripe.readings == 0)
        #expect(try await database.outcome(of: "evt_1") == "ignored")
    }

    /// Staging and production at one account: each event is of one of them, and nobody's dead letter in the other.
    @Test func anEventOfAnotherLedgerIsNoDeadLetter() async throws {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let purchase = try await database.starter(try await database.account("ada"))
        var payment = try await database.labelled(purchase, "pi_1")
        payment.metadata[Purchase.purchaseKey] = "\(PurchaseID(PostgresLedgerClock.freshID()))"
        payment.metadata[Purchase.ledgerKey] = "00000000-0000-4000-8000-000000000000"
        stripe.put(payment)
        let told = database.told("evt_1", payment: "pi_1", carrying: payment.metadata)
        #expect(try await database.settle(told, stripe) == .ignored)
        #expect(stripe.readings == 0)
        // Its refund says nothing of it: the payment is read, once.
        #expect(try await database.settle(database.told("evt_2", payment: "pi_1"), stripe) == .ignored)
        #expect(stripe.readings == 1)
        #expect(
            try await database.integer("SELECT count(*) FROM stripe_event WHERE outcome = 'ignored'") == 2)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// Its refund can come before the event that it was paid.
    @Test func aRefundLeadsToThePurchaseThatItsPaymentNames() async throws {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let account = try await database.account("ada")
        stripe.put(try await database.labelled(try await database.starter(account), "pi_1"))
        try await database.settle(database.told("evt_1", payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == 9_990_000)
    }

    /// Whatever is restored, from whichever release: the payments of this ledger stay its own.
    @Test func aBackupOfAReleaseBeforeComesToTheSameID() async throws {
        let database = try TestDatabase(url: await TestDatabase.empty())
        let before = Migration.all.filter { $0.version < 20 }
        _ = try await Migrator(before).migrate(database.pool)
        let copy = try TestDatabase(url: await TestDatabase.empty())
        _ = try await Migrator(before).migrate(copy.pool)
        let other = try TestDatabase(url: await TestDatabase.empty())
        let moment = try await database.text(
            "SELECT applied_at::text FROM schema_migration WHERE version = 1")
        try await copy.execute("UPDATE schema_migration SET applied_at = '\(moment)' WHERE version = 1")
        var ids: [String] = []
        for each in [database, copy, other] {
            _ = try await Migrator().migrate(each.pool)
            ids.append(try await each.text("SELECT ledger_id::text FROM ledger_meta"))
        }
        #expect(ids[0] == ids[1] && ids[0] != ids[2])
    }
}
