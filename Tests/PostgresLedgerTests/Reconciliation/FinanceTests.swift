import Billing
import Metering
import Testing

@testable import PostgresLedger

/// What is told of the books, and how they are read.
@Suite(.serialized) struct FinanceTests {
    @Test func deferredRevenueLiabilityAndLagAreTold() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe) = (try await database.account("buyer"), FakeStripe())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        _ = try await database.ledger.settle([Outcomes().final(account, 4_995_000)])
        let behind = try await database.ledger.financeFigures()
        #expect(behind.lagLines == 2)
        #expect(behind.liability.deferredRevenue == 9_990_000 && behind.liability.deferredDifference == 0)
        _ = try await database.ledger.keepBooks()
        let figures = try await database.ledger.financeFigures()
        #expect(figures.lagLines == 0 && figures.trial.isBalanced)
        // Half of 999 cents is used: 499 are earned, 500 owed.
        #expect(figures.liability.deferredRevenue == 5_000_000 && figures.liability.deferredDifference == 0)
        #expect(figures.liability.nominalLiability == 4_995_000)
        #expect(figures.marginYesterday == 0)
    }

    /// Yesterday's deductions at their nominal value, less what the books have of yesterday's costs.
    @Test func theMarginIsYesterdays() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1_000_000)
        _ = try await database.ledger.settle([Outcomes().final(account, 1000, hold: Self.hold(daysAgo: 1))])
        try await database.execute(
            """
            SET session_replication_role = replica;
            UPDATE usage_events SET created_at = created_at - interval '1 day';
            UPDATE credit_ledger SET created_at = created_at - interval '1 day';
            UPDATE account SET created_at = created_at - interval '2 days';
            RESET session_replication_role
            """)
        _ = try await database.ledger.keepBooks()
        #expect(try await database.ledger.financeFigures().marginYesterday == 1000 - 500)
    }

    /// After an outage every day since the last one is there. A cost is of the day of its hold: a correction moves its
    /// amount, and not its day.
    @Test func costsOfDaysThatWereMissedArePostedOnce() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1_000_000)
        try await database.execute("UPDATE account SET created_at = now() - interval '30 days'")
        let outcomes = Outcomes()
        func costs() async throws -> [Int64] {
            try await database.pool.run { connection in
                try connection.run(
                    """
                    SELECT ((now() AT TIME ZONE 'UTC')::date - e.day)::bigint * 1000000 + sum(l.amount_microusd)::bigint
                    FROM journal_entry e JOIN journal_line l USING (entry_key)
                    WHERE l.book_account = 'expenses:openai' GROUP BY e.day ORDER BY e.day
                    """
                ).rows.map { try $0.int(0) }
            }
        }
        _ = try await database.ledger.settle([outcomes.final(account, 100, hold: Self.hold(daysAgo: 20))])
        _ = try await database.ledger.keepBooks()
        #expect(try await costs() == [20_000_050])
        try await self.anotherDay(database)
        let old = Self.hold(daysAgo: 23)
        _ = try await database.ledger.settle([
            outcomes.orphan(account, 200, hold: old),
            outcomes.final(account, 400, hold: Self.hold(daysAgo: 9)),
        ])
        _ = try await database.ledger.keepBooks()
        #expect(try await costs() == [23_000_100, 20_000_050, 9_000_200])
        #expect(try await database.ledger.keepBooks().entries == 0)
        try await self.anotherDay(database)
        _ = try await database.ledger.settle([outcomes.final(account, 300, hold: old)])
        _ = try await database.ledger.keepBooks()
        #expect(try await costs() == [23_000_150, 20_000_050, 9_000_200])
    }

    /// The whole window was looked at yesterday: it is again.
    private func anotherDay(_ database: TestDatabase) async throws {
        try await database.execute("UPDATE job_lease SET progress = progress::date - 1 WHERE job = 'costs'")
    }

    /// A backlog that fails at one day has all others, and the whole window is looked at again.
    @Test func eachDayOfCostsIsATransactionOfItsOwn() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1_000_000)
        let outcomes = Outcomes()
        for days in [9, 6, 3] as [Int64] {
            _ = try await database.ledger.settle([
                outcomes.final(account, 100, hold: Self.hold(daysAgo: days))
            ])
        }
        // The second day cannot be posted: its first revision is there already.
        try await database.execute(
            """
            INSERT INTO journal_entry (entry_key, day, kind)
            SELECT 'cost:' || day || ':1', day, 'withdrawal' FROM (
                SELECT (now() AT TIME ZONE 'UTC')::date - 6 AS day) d
            """)
        await #expect(throws: PostgresError.self) { try await database.ledger.keepBooks() }
        let posted = """
            SELECT string_agg(((now() AT TIME ZONE 'UTC')::date - day)::text, ',' ORDER BY day) FROM journal_entry
            WHERE kind = 'cost'
            """
        #expect(try await database.text(posted) == "9,3")
        try await database.execute(
            """
            SET session_replication_role = replica; DELETE FROM journal_entry WHERE kind = 'withdrawal';
            RESET session_replication_role
            """)
        #expect(try await database.ledger.keepBooks().entries == 1)
        #expect(try await database.text(posted) == "9,6,3")
    }

    /// The server gave up on one account's book: those behind it, and the costs, are none the worse, and the run tells.
    @Test(arguments: ["57014", "55P03"])
    func aTimeOutInOneBookKeepsNoOtherBack(_ code: String) async throws {
        let database = try await TestDatabase.migrated()
        let first = try await database.account("first", balance: 1000)
        let second = try await database.account("second", balance: 2000)
        _ = try await database.ledger.settle([Outcomes().final(second, 100)])
        try await database.execute(
            """
            CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'given up' USING ERRCODE = '\(code)'; END $$;
            CREATE TRIGGER give_up BEFORE INSERT ON lot_book FOR EACH ROW WHEN (NEW.account_id = \(first))
                EXECUTE FUNCTION give_up()
            """)
        let error = await #expect(throws: PostgresError.self) { try await database.ledger.keepBooks() }
        #expect(error?.sqlState == SQLState(code))
        let books = "SELECT string_agg(account_id || ':' || version, ',') FROM lot_book"
        #expect(try await database.text(books) == "\(second):2")
        let costs = "SELECT count(*) FROM journal_entry WHERE kind = 'cost'"
        #expect(try await database.integer(costs) == 1)
        // It passes by itself: nobody is sent to look at it.
        try await database.execute("DROP TRIGGER give_up ON lot_book")
        #expect(try await database.ledger.keepBooks().failed == 0)
        #expect(try await database.integer("SELECT count(*) FROM lot_book WHERE version > 0") == 2)
    }

    @Test func theFirstFailureIsToldWhenAllWasTried() async throws {
        struct Failure: Error, Equatable { var number: Int }
        var (failure, done) = (FirstFailure(), [Int]())
        try failure.throwIfAny()
        for number in 1...4 {
            try await failure.trying {
                if number.isMultiple(of: 2) { throw Failure(number: number) }
                done.append(number)
            }
        }
        #expect(done == [1, 3])
        #expect(throws: Failure(number: 2)) { try failure.throwIfAny() }
    }

    /// A run of the clock leaves a day to the instance that is posting; a comparison waits until it has ended, and looks
    /// at every day whose holds may still be corrected.
    @Test func aComparisonWaitsForCostsThatAnotherInstanceIsPosting() async throws {
        let database = try await TestDatabase.migrated(poolSize: 3)
        let account = try await database.account("user", balance: 1_000_000)
        _ = try await database.ledger.keepBooks()
        _ = try await database.ledger.settle([Outcomes().final(account, 100, hold: Self.hold(daysAgo: 20))])
        let other = try await OpenTransaction(
            ["SELECT 1 FROM job_lease WHERE job = 'costs' FOR UPDATE"], on: database)
        let costs = "SELECT count(*) FROM journal_entry WHERE kind = 'cost'"
        _ = try await database.ledger.keepBooks()
        #expect(try await database.integer(costs) == 0)
        let ledger = database.ledger
        async let compared = ledger.keepBooks(waitsForCosts: true)
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        #expect(try await eventually { try await database.integer(waiting) == 1 })
        #expect(await other.commit())
        _ = try await compared
        #expect(try await database.integer(costs) == 1)
    }

    private static func hold(daysAgo days: Int64) -> HoldID {
        var random = SystemRandomNumberGenerator()
        return HoldID(
            millisecondsSinceEpoch: UInt64(PostgresLedgerClock.now - days * 86_400_000),
            randomA: random.next(),
            randomB: random.next())
    }

    /// One instance reads for all: what is stored is told until it reads again, with the moment it is of.
    @Test func figuresAreStoredForEveryInstance() async throws {
        let database = try await TestDatabase.migrated()
        #expect(try await database.ledger.financeReading() == nil)
        _ = try await database.account("rich", balance: 700)
        try await database.ledger.storeFinanceReading()
        _ = try await database.account("richer", balance: 5)
        let stored = try #require(try await database.ledger.financeReading())
        #expect(stored.liability == 700 && stored.lagLines == 1 && stored.deferredRevenue == 0)
        #expect(abs(stored.readAt * 1000 - PostgresLedgerClock.now) < 60_000)
        try await database.ledger.storeFinanceReading()
        #expect(try await database.ledger.financeReading()?.liability == 705)
        #expect(try await database.integer("SELECT count(*) FROM finance_reading") == 1)
    }

    /// An instance that was slow must not put back what another one has read since.
    @Test func anOlderReadingDoesNotReplaceANewerOne() async throws {
        let database = try await TestDatabase.migrated()
        try await database.ledger.storeFinanceReading()
        try await database.execute(
            "UPDATE finance_reading SET lag_lines = 7, read_at = now() + interval '1 minute'")
        try await database.ledger.storeFinanceReading()
        #expect(try await database.ledger.financeReading()?.lagLines == 7)
    }

    /// Debts of one customer are not what another is owed.
    @Test func debtsDoNotLowerTheLiability() async throws {
        let database = try await TestDatabase.migrated()
        _ = try await database.account("rich", balance: 700)
        let poor = try await database.account("poor", balance: 100)
        _ = try await database.ledger.settle([Outcomes().final(poor, 400)])
        #expect(try await database.ledger.financeFigures().liability.nominalLiability == 700)
    }

    /// More than a page, in the order of days, each entry once and whole.
    @Test func theJournalIsReadInPagesAndByDays() async throws {
        let database = try await TestDatabase.migrated()
        try await database.execute(
            """
            SELECT write_journal_entry('cost:' || n, date '2026-01-01' + n % 7, 'cost', NULL,
                ARRAY['expenses:openai', 'liabilities:openai payable'], ARRAY[n, -n]::bigint[])
            FROM generate_series(1, 2500) n
            """)
        let entries = Collected<JournalEntry>()
        try await database.ledger.readJournal(from: nil, to: nil) { entries.add($0) }
        #expect(entries.all.count == 2500 && Set(entries.all.map(\.key)).count == 2500)
        #expect(entries.all.map(\.day) == entries.all.map(\.day).sorted())
        #expect(TrialBalance(entries.all)[.openAICost] == 2500 * 2501 / 2)
        let some = Collected<JournalEntry>()
        let (from, to) = (UTCDay(text: "2026-01-03"), UTCDay(text: "2026-01-04"))
        try await database.ledger.readJournal(from: from, to: to) { some.add($0) }
        #expect(Set(some.all.map(\.day)) == Set([from, to].compactMap { $0 }))
        #expect(some.all.count == entries.all.count { $0.day == from || $0.day == to })
    }

    /// A file that looks whole and is not would be believed.
    @Test func aDamagedEntryEndsTheReading() async throws {
        let database = try await TestDatabase.migrated()
        try await database.execute(
            "INSERT INTO journal_entry (entry_key, day, kind) VALUES ('bare', '2026-01-01', 'cost')")
        await #expect(throws: PostgresError.self) {
            try await database.ledger.readJournal(from: nil, to: nil) { _ in }
        }
    }
}
