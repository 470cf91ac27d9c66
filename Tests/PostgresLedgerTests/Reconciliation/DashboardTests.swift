import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Sums over days, as the console's dashboards show them.
@Suite(.serialized) struct DashboardTests {
    @Test func daysAddUpToWhatIsOwed() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        _ = try await database.ledger.settle([Outcomes().final(account, 4_995_000)])
        _ = try await database.ledger.keepBooks()
        // The purchase was yesterday, in the ledger.
        try await database.execute(
            """
            SET session_replication_role = replica;
            UPDATE credit_ledger SET created_at = created_at - interval '1 day' WHERE type = 'purchase';
            RESET session_replication_role
            """)
        let days = try await database.ledger.financeDays(30)
        #expect(days.count == 30)
        let (today, yesterday, before) = (days[29], days[28], days[27])
        #expect(today.deductions == 4_995_000 && today.purchases == 0 && today.liability == 4_995_000)
        #expect(yesterday.purchases == 9_990_000 && yesterday.liability == 9_990_000)
        #expect(before.liability == 0 && before.deferredRevenue == 0)
        let figures = try await database.ledger.financeFigures()
        #expect(today.deferredRevenue == figures.liability.deferredRevenue)
        #expect(days.reduce(0) { $0 + $1.revenue } == -figures.trial[.usageRevenue])
        #expect(days.reduce(0) { $0 + $1.cost } == figures.trial[.openAICost])
    }

    // MARK: How they are read

    /// `EXPLAIN` of a statement as the dashboards run it, for the last 30 of 300 days.
    private func plan(
        _ statement: String, _ parameters: PostgresParameters, _ database: TestDatabase
    ) async throws -> String {
        try await database.ledger.dashboard { connection in
            try connection.run("EXPLAIN " + statement, parameters).rows.map { try $0.text(0) }.joined(
                separator: "\n")
        }
    }

    /// Lines and entries of 300 days: what is looked for is a tenth of them, in the order of their time.
    private func history(_ database: TestDatabase) async throws {
        let account = try await database.account("busy")
        for rows in [
            """
            INSERT INTO credit_ledger (account_id, version, transaction_id, user_id, type, amount_millicredits,
                    balance_after_millicredits, reference_type, reference_id, created_at)
                SELECT \(account), 1000 + n, gen_random_uuid(), 'busy', 'deduction', -1, 0, 'settlement', n::text,
                    now() - interval '300 days' + n * interval '864 seconds'
                FROM generate_series(1, 30000) n
            """,
            """
            INSERT INTO journal_entry (entry_key, day, kind)
                SELECT 'k' || n, (now() - interval '300 days' + n * interval '2592 seconds')::date, 'usage'
                FROM generate_series(1, 10000) n
            """,
            """
            INSERT INTO journal_line (entry_key, book_account, amount_microusd)
                SELECT 'k' || n, account, amount FROM generate_series(1, 10000) n,
                    (VALUES ('liabilities:deferred revenue', 2), ('revenue:usage', -1), ('revenue:breakage', -1),
                            ('expenses:openai', 2), ('liabilities:openai', -2), ('contra:promotional', 1),
                            ('revenue:other', -1)) AS lines(account, amount)
            """,
        ] { try await database.execute("SET LOCAL session_replication_role = replica; \(rows)") }
        for table in ["credit_ledger", "journal_entry", "journal_line"] {
            try await database.execute("VACUUM (ANALYZE) \(table)")
        }
    }

    /// A page must not read the ledger of all years for the days of a month.
    @Test func aMonthIsFoundByItsIndices() async throws {
        let database = try await TestDatabase.migrated()
        try await self.history(database)
        let first = Int64(
            try await database.ledger.dashboard { connection in
                try connection.run("SELECT (now() AT TIME ZONE 'UTC')::date - date '1970-01-01' - 29").one()
                    .int(0)
            })
        let changes = try await self.plan(PostgresLedger.changesStatement, [.int(first)], database)
        #expect(changes.contains("credit_ledger_created") && !changes.contains("Seq Scan"), "\(changes)")
        let books = try await self.plan(PostgresLedger.booksStatement, [.int(first)], database)
        #expect(
            books.contains("journal_entry_day") && !books.contains("Seq Scan on journal_entry"), "\(books)")
        let deferred = try await self.plan(PostgresLedger.deferredStatement, [], database)
        #expect(deferred.contains("journal_line_deferred") && !deferred.contains("Seq Scan"), "\(deferred)")
        let days = try await database.ledger.financeDays(30)
        #expect(days.map(\.deductions).reduce(0, +) >= 2_800 && days[29].deferredRevenue == -20_000)
        let month = days[28].deferredRevenue - days[0].deferredRevenue
        #expect(-1_900 <= month && month <= -1_800, "66 or 67 a day: \(month)")
    }

    /// The connection must live on: the next page needs it.
    @Test func whatTakesTooLongIsGivenUpAndToldApart() async throws {
        let database = try await TestDatabase.migrated()
        await #expect(throws: DashboardTooSlow(seconds: 1)) {
            try await database.ledger.dashboard(milliseconds: 1_000) { connection in
                _ = try connection.run("SELECT pg_sleep(60)", timeout: .seconds(60))
            }
        }
        #expect(try await database.ledger.financeDays(1).count == 1)
    }

    @Test func modelsAndCheckoutsAreCounted() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        let outcomes = Outcomes()
        _ = try await database.ledger.settle([outcomes.final(account, 100), outcomes.final(account, 200)])
        let models = try await database.ledger.topModels(limit: 5)
        #expect(models.count == 1 && models.first?.exchanges == 2 && models.first?.charged == 300)
        for event in ["evt_2", "evt_3"] {
            let dead = database.event(event, nil, payment: "pi_\(event)")
            #expect(try await database.ledger.keep(dead, deadBecause: "wrong_amount"))
        }
        let note = ChangeNote(actor: "cli:test", reason: "given back")
        #expect(try await database.ledger.dismissEvent("evt_3", note: note) == .dismissed)
        let days = try await database.ledger.checkoutDays(7)
        #expect(days.count == 7)
        #expect(days.reduce(0) { $0 + $1.paid } == 1 && days.reduce(0) { $0 + $1.started } == 1)
        #expect(days[6].events == 3 && days[6].deadEvents == 1)
    }
}
