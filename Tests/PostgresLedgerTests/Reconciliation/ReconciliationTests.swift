import Billing
import Metering
import Testing

@testable import PostgresLedger

/// A reconciliation that finds nothing in clean books proves little; it must find each planted difference, and how
/// large it is.
@Suite(.serialized) struct ReconciliationTests {
    private static let note = ChangeNote(actor: "cli:test", reason: "it is a test")

    struct Plant: Sendable, CustomTestStringConvertible {
        var check: ReconciliationCheck
        var sql: String
        var mismatch: Int128
        var total: Int64 = 1
        var testDescription: String { "\(self.check.rawValue): \(self.sql.prefix(60))" }
    }

    static let plants = [
        Plant(
            check: .balances,
            sql: "UPDATE credit_balance SET balance_millicredits = balance_millicredits - 3",
            mismatch: 3),
        Plant(check: .balances, sql: "DELETE FROM credit_balance", mismatch: 9_990_900),
        Plant(
            check: .usage, sql: "UPDATE usage_events SET charged_millicredits = charged_millicredits + 4",
            mismatch: 4),
        Plant(check: .usage, sql: "DELETE FROM usage_events", mismatch: 100),
        Plant(
            check: .trialBalance,
            sql: "DELETE FROM journal_line WHERE book_account = 'expenses:stripe fees'", mismatch: 590_000),
        // The journal is a cent short of what the lot earned, and the lot earned a cent too much.
        Plant(
            check: .books, sql: "UPDATE credit_lot SET recognized_cents = 1 WHERE kind = 'purchase'",
            mismatch: 20_000, total: 2),
        Plant(
            check: .books,
            sql: "UPDATE lot_book SET failure = 'gap', version = version - 1, balance = balance + 100",
            mismatch: 300, total: 3),
        Plant(
            check: .books, sql: "DELETE FROM journal_line WHERE book_account = 'expenses:stripe fees'",
            mismatch: 590_000),
        Plant(
            check: .books,
            sql: "UPDATE payment_state SET fee_cents = 60", mismatch: 10_000),
        Plant(
            check: .openAICosts,
            sql: "INSERT INTO openai_cost SELECT (now() AT TIME ZONE 'UTC')::date, 60", mismatch: 10),
    ]

    /// A purchase, a gift, and one exchange that cost 50 micro-dollars.
    private static func books() async throws -> (TestDatabase, UTCDay) {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("buyer", balance: 1000)
        let stripe = FakeStripe()
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        _ = try await database.ledger.settle([Outcomes().final(account, 100)])
        _ = try await database.ledger.keepBooks()
        let today = try await database.text("SELECT (now() AT TIME ZONE 'UTC')::date::text")
        return (database, try #require(UTCDay(text: today)))
    }

    @Test func eachPlantedDifferenceIsFoundWithItsAmount() async throws {
        let (database, today) = try await Self.books()
        let clean = try await database.ledger.reconcile(today)
        #expect(
            clean.map(\.outcome) == [.clean, .clean, .clean, .notConfigured, .clean],
            "\(clean.map(\.findings))")
        for plant in Self.plants {
            let database = try await Self.planted(plant.sql)
            let results = try await database.ledger.reconcile(today)
            let result = try #require(results.first { $0.check == plant.check })
            #expect(result.outcome == .mismatch, "\(plant)")
            #expect(result.mismatch == plant.mismatch, "\(plant)")
            #expect(result.total == plant.total, "\(plant)")
        }
    }

    /// Else one check that fails each time would keep a day, and all days after it, from ever being compared.
    @Test func aCheckThatFailsDoesNotKeepTheOthersBack() async throws {
        let (database, today) = try await Self.books()
        try await database.execute(
            "ALTER TABLE openai_cost RENAME TO lost")
        try await database.execute(
            "SET session_replication_role = replica; UPDATE credit_balance SET balance_millicredits = 1")
        let results = try await database.ledger.reconcile(today)
        #expect(results.map(\.outcome) == [.mismatch, .clean, .clean, .unavailable, .clean])
        #expect(results.first { $0.check == .openAICosts }?.findings.first?.detail.contains("42P01") == true)
    }

    /// A server that gives up on one query is there for the others.
    @Test func aTimeOutOfTheServersIsAResult() async throws {
        let result = try await PostgresLedger.unlessRefused(.usage) {
            throw PostgresError.refused(SQLState("57014"), constraint: nil, message: "time-out")
        }
        #expect(result.outcome == .unavailable && result.check == .usage && result.total == 0)
        await #expect(throws: PostgresError.unreachable(.timedOut)) {
            try await PostgresLedger.unlessRefused(.usage) { throw PostgresError.unreachable(.timedOut) }
        }
    }

    @Test func aLedgerThatIsAwayIsNoResult() async throws {
        let (database, today) = try await Self.books()
        database.pool.shutDownAndWait()
        await #expect(throws: PostgresError.self) { try await database.ledger.reconcile(today) }
    }

    /// Triggers and foreign keys do not run for a replica: that is how a difference gets in.
    private static func planted(_ sql: String) async throws -> TestDatabase {
        let (database, _) = try await Self.books()
        try await database.execute(
            "SET session_replication_role = replica; \(sql); RESET session_replication_role")
        return database
    }

    /// Tomorrow's differences are tomorrow's; an export that agrees is clean.
    @Test func onlyDaysUpToTheOneAskedForAreCompared() async throws {
        let (database, today) = try await Self.books()
        try await database.execute("SET session_replication_role = replica; DELETE FROM usage_events")
        let yesterday = try #require(UTCDay(daysSinceEpoch: Int64(today.daysSinceEpoch) - 1))
        try await database.ledger.importOpenAICosts(
            [.init(day: today, amount: MicroUSD(70))], note: Self.note)
        let before = try await database.ledger.reconcile(yesterday)
        #expect(before.allSatisfy { $0.outcome == .clean })
        try await database.ledger.importOpenAICosts(
            [.init(day: today, amount: MicroUSD(50))], note: Self.note)
        let imports = try await database.ledger.auditEntries(AuditQuery(action: "costs.import", limit: 9))
        #expect(
            imports.map(\.subject) == ["openai_cost:\(today)..\(today)", "openai_cost:\(today)..\(today)"])
        #expect(imports.first?.before == #"{"days": 1, "microusd": 70}"#)
        #expect(imports.first?.after == #"{"days": 1, "microusd": 50}"#)
        let results = try await database.ledger.reconcile(today)
        #expect(results.map(\.outcome) == [.clean, .mismatch, .clean, .clean, .clean])
    }

    @Test func aStoredRunCanBeDrilledDownAndNeverChanged() async throws {
        let (database, today) = try await Self.books()
        let finding = ReconciliationFinding(
            "user x", .init(expected: 1, found: -1, unit: .cents), "detail")
        let report = ReconciliationReport(
            day: today,
            results: [
                ReconciliationResult(.balances, [finding]), ReconciliationResult(.usage, []),
                ReconciliationResult(.payments, without: .notConfigured, because: "no key"),
            ])
        #expect(try await database.ledger.standingDifferences() == nil)
        let tomorrow = Self.noonAfter(today)
        #expect(try await database.ledger.dayToReconcile(at: tomorrow) == today)
        #expect(try await database.ledger.store(report, .daily, startedAt: PostgresLedgerClock.now))
        // A second instance that was as fast.
        #expect(try await !database.ledger.store(report, .daily, startedAt: PostgresLedgerClock.now))
        #expect(try await database.ledger.store(report, .command, startedAt: PostgresLedgerClock.now))
        #expect(try await database.ledger.dayToReconcile(at: tomorrow) == nil)
        let standing = try #require(try await database.ledger.standingDifferences())
        #expect(standing.mismatch == 20_000)
        // What was not compared is not told of.
        #expect(standing.findings == [.balances: 1, .usage: 0])
        #expect(try await database.ledger.lastCompleteReconciliation() != nil)
        #expect(
            try await database.integer(
                "SELECT count(*) FROM reconciliation_finding WHERE subject = 'user x' AND found = -1") == 2)
        await #expect(throws: (any Error).self) {
            try await database.execute("DELETE FROM reconciliation_finding")
        }
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// A clean day that is made up for, and a run that could ask nobody, leave standing what another day found.
    @Test func whatStandsIsToldUntilItIsComparedAgain() async throws {
        let database = try await TestDatabase.migrated()
        func store(daysAgo: Int, _ results: [ReconciliationResult]) async throws {
            let day = try await database.text(
                "SELECT ((now() AT TIME ZONE 'UTC')::date - (\(daysAgo)))::text")
            let report = ReconciliationReport(day: try #require(UTCDay(text: day)), results: results)
            try await database.ledger.store(report, .command, startedAt: PostgresLedgerClock.now)
        }
        func standing() async throws -> [Int64?] {
            let standing = try #require(try await database.ledger.standingDifferences())
            return [Int64(standing.mismatch), standing.findings[.payments], standing.findings[.usage]]
        }
        func found(_ check: ReconciliationCheck, _ subject: String, _ cents: Int64) -> ReconciliationResult {
            ReconciliationResult(
                check, [ReconciliationFinding(subject, .init(expected: 0, found: cents, unit: .cents), "x")])
        }
        #expect(try await database.ledger.standingPayments().isEmpty)
        try await store(daysAgo: 2, [found(.payments, "pi_1", 1), found(.usage, "a day", 3)])
        #expect(try await standing() == [40_000, 1, 1])
        #expect(try await database.ledger.standingPayments() == ["pi_1"])
        // Whoever has no key, or finds the other side away, has compared nothing.
        try await store(
            daysAgo: 1,
            [
                .init(.payments, without: .notConfigured, because: "x"),
                .init(.usage, without: .unavailable, because: "x"),
            ])
        #expect(try await standing() == [40_000, 1, 1])
        #expect(try await database.ledger.standingPayments() == ["pi_1"])
        // A day in the future hides nothing of usage.
        try await store(daysAgo: -1, [found(.payments, "pi_2", 2), .init(.usage, [])])
        try await store(daysAgo: 3, [found(.payments, "pi_3", 4), .init(.usage, [])])
        #expect(try await standing() == [70_000, 1, 1])
        #expect(try await database.ledger.standingPayments() == ["pi_3"])
        try await store(daysAgo: 2, [.init(.payments, []), .init(.usage, [])])
        #expect(try await standing() == [0, 0, 0])
        #expect(try await database.ledger.standingPayments().isEmpty)
    }

    /// Tried again, but not at once.
    @Test func aRunThatCouldNotAskASideIsNotTheDays() async throws {
        let (database, today) = try await Self.books()
        let report = ReconciliationReport(
            day: today, results: [ReconciliationResult(.payments, without: .unavailable, because: "gone")])
        try await database.ledger.store(report, .daily, startedAt: PostgresLedgerClock.now)
        let now = Self.noonAfter(today)
        func tried(_ minutesAgo: Int64) async throws {
            try await database.execute(
                """
                SET session_replication_role = replica;
                UPDATE reconciliation_run SET finished_at = to_timestamp(\(now / 1000 - minutesAgo * 60));
                RESET session_replication_role
                """)
        }
        try await tried(59)
        #expect(try await database.ledger.dayToReconcile(at: now) == nil)
        #expect(try await database.ledger.lastCompleteReconciliation() == nil)
        try await tried(61)
        #expect(try await database.ledger.dayToReconcile(at: now) == today)
        // The same day when another one is due, and done: once a day.
        let tomorrow = try #require(UTCDay(daysSinceEpoch: Int64(today.daysSinceEpoch) + 1))
        try await database.ledger.store(
            ReconciliationReport(day: tomorrow, results: []), .daily, startedAt: PostgresLedgerClock.now)
        let later = Self.noonAfter(tomorrow)
        try await tried(-22 * 60)
        #expect(try await database.ledger.dayToReconcile(at: later) == nil)
        try await tried(0)
        #expect(try await database.ledger.dayToReconcile(at: later) == today)
    }

    /// Instances were down for days: each is made up for, the oldest first.
    @Test func daysThatNobodyReconciledAreDoneInTheirOrder() async throws {
        let (database, today) = try await Self.books()
        try await database.execute("UPDATE account SET created_at = created_at - interval '3 days'")
        var done: [Int64] = []
        while let day = try await database.ledger.dayToReconcile(at: Self.noonAfter(today)) {
            done.append(Int64(day.daysSinceEpoch) - Int64(today.daysSinceEpoch))
            try await database.ledger.store(
                ReconciliationReport(day: day, results: []), .daily, startedAt: PostgresLedgerClock.now)
        }
        #expect(done == [-3, -2, -1, 0])
    }

    private static func noonAfter(_ day: UTCDay) -> Int64 {
        (Int64(day.daysSinceEpoch) + 1) * 86_400_000 + 43_200_000
    }

    @Test func paymentsOfTheDayAreThereAndThoseThatAreNamed() async throws {
        let (database, today) = try await Self.books()
        let yesterday = try #require(UTCDay(daysSinceEpoch: Int64(today.daysSinceEpoch) - 1))
        let record = try #require(
            try await database.ledger.paymentRecords(of: today, named: [], livemode: false).first)
        #expect(record.paymentIntent == "pi_1" && record.paidCents == 999 && !record.hasMovedBack)
        #expect(record.granted.value == 9_990_000)
        #expect(try await database.ledger.paymentRecords(of: today, named: [], livemode: true).isEmpty)
        #expect(try await database.ledger.paymentRecords(of: yesterday, named: [], livemode: false).isEmpty)
        #expect(
            try await database.ledger.paymentRecords(of: yesterday, named: ["pi_1"], livemode: false).count
                == 1)
        // A dispute that ended without our hearing of it shows on no list of the day.
        try await database.execute("UPDATE payment_state SET is_disputed = true, withdrawn_cents = 7")
        let disputed = try await database.ledger.paymentRecords(of: yesterday, named: [], livemode: false)
        #expect(disputed.map(\.isDisputed) == [true] && disputed.map(\.withdrawnCents) == [7])
        try await database.execute("UPDATE payment_state SET is_disputed = false, withdrawn_cents = 0")
        try await database.execute(
            "INSERT INTO cash_movement SELECT 'x', purchase_id, 'refunded', 1 FROM purchase")
        #expect(
            try await database.ledger.paymentRecords(of: today, named: [], livemode: false)
                .map(\.hasMovedBack) == [true])
    }

    /// A bank's debit that succeeded, with an event that never came or an amount that is not the package's, shows on
    /// no list of the day: it was made before.
    @Test(arguments: ["processing", "quarantined", "created", "failed"])
    func paymentsThatAreNotFinishedAreComparedForAMonth(_ status: String) async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("buyer")
        let (purchase, stripe) = (try await database.starter(account), FakeStripe())
        stripe.put(.made(for: purchase, "pi_1", status: .processing))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        func records(daysLater days: Int) async throws -> [PaymentRecord] {
            try await database.execute("UPDATE purchase SET status = '\(status)'")
            let text = try await database.text(
                "SELECT ((created_at AT TIME ZONE 'UTC')::date + \(days))::text FROM purchase")
            let day = try #require(UTCDay(text: text))
            return try await database.ledger.paymentRecords(of: day, named: [], livemode: false)
        }
        let isUnfinished = status == "processing" || status == "quarantined"
        for days in [0, 5, 30] {
            let found = try await records(daysLater: days)
            #expect(found.map(\.paymentIntent) == (isUnfinished ? ["pi_1"] : []), "\(days)")
            #expect(found.allSatisfy { $0.granted == .zero })
        }
        #expect(try await records(daysLater: -1).isEmpty)
        #expect(try await records(daysLater: 31).isEmpty)
    }
}
