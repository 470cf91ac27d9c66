import Billing
import Testing

@testable import PostgresLedger

/// Events that could not be applied are tried again for three days, and then by a person.
@Suite(.serialized) struct EventChoreTests {
    private func keep(_ id: String, _ reason: String?, in database: TestDatabase) async throws {
        _ = try await database.ledger.keep(database.event(id, nil, payment: "pi_\(id)"), deadBecause: reason)
    }

    @Test func whatCouldNotBeAppliedIsTriedAgainAndNothingElse() async throws {
        let database = try await TestDatabase.migrated()
        let ledger = database.ledger
        try await self.keep("evt_1", "not_applied_timeout", in: database)
        try await self.keep("evt_2", "not_applied_ledger", in: database)
        try await self.keep("evt_3", "wrong_amount", in: database)
        try await self.keep("evt_4", nil, in: database)
        try await self.keep("evt_5", "not_applied_ledger", in: database)
        try await database.execute(
            "UPDATE stripe_event SET received_at = now() - interval '73 hours' WHERE event_id = 'evt_5'")
        // Whoever was tried more often comes later.
        try await self.keep("evt_1", "not_applied_timeout", in: database)
        let events = try await ledger.unappliedEvents(livemode: false, limit: 10)
        #expect(events.map(\.id) == ["evt_2", "evt_1"])
        #expect(events.allSatisfy { $0.source == .poll })
        #expect(
            events.first?.kind
                == .payment(PaymentHint(paymentIntent: "pi_evt_2", session: nil, purchase: nil)))
        #expect(try await ledger.unappliedEvents(livemode: true, limit: 10).isEmpty)
        #expect(try await ledger.unappliedEvents(livemode: false, limit: 1).map(\.id) == ["evt_2"])
        // A doubt may clear up, so it is applied by whoever finds it again; what waits for its turn is not.
        let settled = try await ledger.settledEvents(among: (1...6).map { "evt_\($0)" })
        #expect(settled == ["evt_1", "evt_2", "evt_4", "evt_5"])
    }

    @Test func onceItIsAppliedItIsNoDeadLetter() async throws {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let account = try await database.account("buyer")
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        let event = database.event("evt_1", purchase, payment: "pi_1")
        #expect(try await database.ledger.keep(event, deadBecause: "not_applied_timeout"))
        let again = try #require(
            try await database.ledger.unappliedEvents(livemode: false, limit: 10).first)
        try await database.settle(again, stripe)
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.outcome(of: "evt_1") == "applied")
        #expect(try await database.ledger.unappliedEvents(livemode: false, limit: 10).isEmpty)
    }

    @Test func whatAPersonDismissedNeedsNobody() async throws {
        let database = try await TestDatabase.migrated()
        let ledger = database.ledger
        let note = ChangeNote(actor: "cli:test", reason: "given back at Stripe")
        try await self.keep("evt_1", "not_applied_ledger", in: database)
        try await self.keep("evt_2", "wrong_amount", in: database)
        try await self.keep("evt_3", nil, in: database)
        // However long nobody has looked.
        try await database.execute("UPDATE stripe_event SET received_at = now() - interval '40 days'")
        #expect(try await ledger.deadEvents() == 2)
        #expect(try await ledger.dismissEvent("evt_0", note: note) == .unknownEvent)
        #expect(try await ledger.dismissEvent("evt_3", note: note) == .notDead)
        for event in ["evt_1", "evt_2", "evt_2"] {
            #expect(try await ledger.dismissEvent(event, note: note) == .dismissed)
        }
        #expect(
            try await database.integer("SELECT count(*) FROM audit_log WHERE action = 'webhook.dismiss'") == 2
        )
        #expect(try await ledger.deadEvents() == 0)
        try await database.execute("UPDATE stripe_event SET received_at = now()")
        #expect(try await ledger.unappliedEvents(livemode: false, limit: 10).isEmpty)
        // Whoever comes upon them leaves them.
        #expect(try await ledger.settledEvents(among: ["evt_1", "evt_2"]) == ["evt_1", "evt_2"])
        #expect(try await ledger.events(StoredEventQuery(outcomes: [.dead], limit: 10)).isEmpty)
        let dismissed = try await ledger.events(StoredEventQuery(outcomes: [.dismissed], limit: 10))
        #expect(Set(dismissed.map(\.record.id)) == ["evt_1", "evt_2"])
        #expect(try await LedgerVerifier(pool: ledger.pool).verify().isEmpty)
        try await database.execute("UPDATE stripe_event SET received_at = now() - interval '91 days'")
        #expect(try await ledger.forgetEvents() == 3)
    }

    /// The cause may be mended after all; what it grants is what Stripe says then.
    @Test func whatWasDismissedIsStillAppliedToWhoeverAsksForIt() async throws {
        let (database, stripe) = (try await TestDatabase.migrated(), FakeStripe())
        let account = try await database.account("buyer")
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        let event = database.event("evt_1", purchase, payment: "pi_1")
        #expect(try await database.ledger.keep(event, deadBecause: "wrong_amount"))
        let note = ChangeNote(actor: "cli:test", reason: "too early")
        #expect(try await database.ledger.dismissEvent("evt_1", note: note) == .dismissed)
        try await database.settle(event, stripe)
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.ledger.event("evt_1")?.outcome == .applied)
        // What it dies of after that was seen by nobody.
        try await database.execute(
            "UPDATE stripe_event SET outcome = 'dead', reason = 'wrong_amount' WHERE event_id = 'evt_1'")
        #expect(try await database.ledger.event("evt_1")?.outcome == .dead)
    }
}
