import Billing
import Metering
import Testing

@testable import PostgresLedger

/// What an operator is shown of purchases and events, and what a rehearsal leaves behind.
@Suite(.serialized) struct RecordTests {
    @Test func aRehearsalSaysWhatItWouldPostAndPostsNothing() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        let event = database.event("evt_1", purchase, payment: "pi_1", source: .replay)
        let hint = PaymentHint(paymentIntent: "pi_1", session: nil, purchase: purchase.id)
        let rehearsal = try await database.ledger.rehearse(hint, event: event, reader: stripe)
        #expect(rehearsal.postings.first == "purchase 9990000 millicredits")
        #expect(Set(rehearsal.postings.dropFirst()) == ["received 999 cents", "fee 59 cents"])
        for table in ["stripe_event", "credit_ledger", "cash_movement"] {
            #expect(try await database.integer("SELECT count(*) FROM \(table)") == 0, "\(table)")
        }
        #expect(try await database.ledger.purchase(purchase.id)?.status == .created)
        // What was rehearsed is what is posted.
        try await database.settle(event, stripe)
        #expect(try await database.balance(account) == 9_990_000)
        let again = try await database.ledger.rehearse(hint, event: event, reader: stripe)
        #expect(again == Rehearsal(outcome: .upToDate))
    }

    @Test func aDeadEventStaysAsItWasAfterARehearsal() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        let event = database.event("evt_1", purchase, payment: "pi_1")
        #expect(try await database.ledger.keep(event, deadBecause: "not_found"))
        let before = try #require(try await database.ledger.event("evt_1"))
        #expect(before.outcome == .dead && before.hint?.purchase == purchase.id && before.attempts == 1)
        _ = try await database.ledger.rehearse(
            PaymentHint(paymentIntent: "pi_1", session: nil, purchase: nil), event: event, reader: stripe)
        #expect(try await database.ledger.event("evt_1") == before)
    }

    /// Events of one transaction arrive at the same microsecond: the id decides between them.
    @Test func pagesOfEventsHaveNoGapWhereTimesAreEqual() async throws {
        let database = try await TestDatabase.migrated()
        try await database.execute(
            """
            INSERT INTO stripe_event (event_id, type, livemode, happened_at, received_at, source, outcome, reason)
            SELECT 'evt_' || i, 'charge.failed', false, to_timestamp(1000 + i),
                   timestamptz '2026-11-12 08:30:00.123457Z' + (i / 5) * interval '1 microsecond', 'webhook',
                   CASE WHEN i % 2 = 0 THEN 'dead' ELSE 'applied' END, CASE WHEN i % 2 = 0 THEN 'x' END
            FROM generate_series(1, 23) i
            """)
        var query = StoredEventQuery(limit: 4)
        var seen: [String] = []
        while case let page = try await database.ledger.events(query), let last = page.last {
            seen += page.map(\.record.id)
            query.before = last.cursor
        }
        #expect(seen.count == 23 && Set(seen).count == 23)
        let dead = try await database.ledger.events(
            StoredEventQuery(outcomes: [.dead], from: 1004, to: 1008, limit: 50))
        #expect(Set(dead.map(\.record.id)) == ["evt_4", "evt_6"])
        let other = try await database.ledger.events(StoredEventQuery(type: "charge.refunded", limit: 50))
        #expect(other.isEmpty)
    }

    @Test func purchasesAreListedWithTheirUserAndState() async throws {
        let database = try await TestDatabase.migrated()
        let (ada, bob, stripe) = (
            try await database.account("ada"), try await database.account("bob"), FakeStripe()
        )
        var made: [PurchaseID] = []
        for _ in 0..<3 { made.append(try await database.starter(ada).id) }
        let paid = try await database.starter(bob)
        stripe.put(.made(for: paid, "pi_1"))
        try await database.settle(database.event("evt_1", paid, payment: "pi_1"), stripe)
        let first = try await database.ledger.purchases(PurchaseQuery(userID: "ada", limit: 2))
        let rest = try await database.ledger.purchases(
            PurchaseQuery(userID: "ada", before: first.last?.purchase.id, limit: 2))
        let newestFirst = made.sorted { $0.description > $1.description }
        #expect((first + rest).map(\.purchase.id) == newestFirst)
        let line = try await database.ledger.purchases(PurchaseQuery(statuses: [.paid], limit: 9))
        #expect(line.count == 1 && line.first?.userID == "bob" && line.first?.posted.paidCents == 999)
        #expect(
            line.first?.posted.granted == Millicredits(9_990_000)
                && line.first?.receiptURL == "https://r/pi_1")
        let unpaid = try await database.ledger.purchases(
            PurchaseQuery(statuses: [.created, .open], limit: 9))
        #expect(Set(unpaid.map(\.purchase.id)) == Set(made))
        // The time that lists show, of the payment or of the order, which the ledger has to the microsecond.
        let at = try #require(line.first?.paidAt)
        for (query, isIn) in [
            (PurchaseQuery(userID: "bob", from: at - 1, to: at + 2, limit: 9), true),
            (PurchaseQuery(userID: "bob", from: at + 2, limit: 9), false),
            (PurchaseQuery(userID: "bob", to: at - 1, limit: 9), false),
        ] {
            #expect(try await database.ledger.purchases(query).isEmpty == !isIn)
        }
        let ordered = try #require(first.first?.purchase.createdAt)
        #expect(
            try await database.ledger.purchases(PurchaseQuery(userID: "ada", from: ordered - 1, limit: 9))
                .count
                >= 1)
        #expect(
            try await database.ledger.purchases(
                PurchaseQuery(userID: "ada", from: ordered + 60_000, limit: 9)
            ).isEmpty)
    }

    /// A password stands in the environment of a child, never in its arguments.
    @Test func programsAreLedToTheSameDatabase() throws {
        let configuration = try PostgresConfiguration(
            url: "postgresql://tollgate:s%20ecret@db.example:5433/ledger?sslmode=verify-full")
        #expect(
            configuration.programEnvironment == [
                "PGUSER": "tollgate", "PGPASSWORD": "s ecret", "PGHOST": "db.example", "PGPORT": "5433",
                "PGDATABASE": "ledger", "PGSSLMODE": "verify-full",
            ])
    }
}
