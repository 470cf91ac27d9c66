import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Every month of every account re-adds to the ledger, to the millicredit.
@Suite(.serialized) struct StatementReadTests {
    private static let day: Int64 = 86_400_000

    private static func month(_ milliseconds: Int64) throws -> UTCMonth {
        try #require(UTCDay(millisecondsSinceEpoch: milliseconds)).month
    }

    private static func next(_ month: UTCMonth) throws -> UTCMonth {
        try Self.month(month.milliseconds.upperBound)
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func theMonthsOfAnyHistoryReAdd(seed: UInt64) async throws {
        let database = try await TestDatabase.migrated()
        var history = try await PaymentHistory(database, seed: seed)
        let other = try await database.account("other", balance: 777)
        try await history.run()
        var random = SeededGenerator(seed: seed &* 977)
        try await Self.use(database, [history.account, other], &random)
        try await Self.spread(database, &random)

        var month = try Self.month(PostgresLedgerClock.now - 70 * Self.day)
        var all: [AccountID: [Statement]] = [:]
        while month.milliseconds.lowerBound <= PostgresLedgerClock.now {
            let folded = try await database.ledger.foldStatements(
                of: month, into: [Statement](), pageAccounts: 1
            ) { $0.append(try $1.outcome.get()) }
            for account in [history.account, other] {
                let issued = try await database.ledger.statement(of: account, month: month)
                let statement = try #require(issued, "seed \(seed) \(month)").statement
                all[account, default: []].append(statement)
                let isBlank =
                    statement.totals.allSatisfy { $0.amount == 0 } && statement.usage.isEmpty
                    && statement.opening == .zero
                #expect(isBlank || folded?.contains(statement) == true, "seed \(seed) \(month) of \(account)")
            }
            month = try Self.next(month)
        }
        for (account, statements) in all {
            #expect(statements[0].opening == .zero, "seed \(seed)")
            for (one, next) in zip(statements, statements.dropFirst()) {
                #expect(one.closing == next.opening, "seed \(seed), end of \(one.month)")
            }
            let closing = try #require(statements.last).closing.value
            #expect(try await database.balance(account) == closing, "seed \(seed)")
            try await Self.compare(statements, account, database, seed)
        }
    }

    /// Sections, summed over all months, against what other tables say of the whole.
    private static func compare(
        _ statements: [Statement], _ account: AccountID, _ database: TestDatabase, _ seed: UInt64
    ) async throws {
        func sum(_ what: String, _ condition: String) async throws -> Int64 {
            try await database.integer(
                "SELECT coalesce(sum(\(what)), 0)::bigint FROM credit_ledger WHERE account_id = \(account) AND \(condition)"
            )
        }
        func state(_ column: String) async throws -> Int64 {
            try await database.integer(
                "SELECT coalesce(sum(\(column)), 0)::bigint FROM payment_state WHERE account_id = \(account)")
        }
        func rows(_ section: Statement.MovementSection) -> [Statement.Movement] {
            statements.flatMap { $0.movements[section] ?? [] }
        }
        let amount = "amount_millicredits"
        let deducted = try await sum(amount, "type = 'deduction'")
        #expect(statements.reduce(0) { $0 + $1.usageTotal.charged } == Int128(-deducted), "seed \(seed)")
        let corrected = try await sum(amount, "reference_type = 'settlement_correction'")
        #expect(Statement.sum(rows(.corrections)) == Int128(corrected), "seed \(seed)")
        let bought = try await sum(amount, "type = 'purchase'")
        let purchases = statements.flatMap(\.purchases)
        #expect(purchases.reduce(0) { $0 + $1.credits.value } == bought, "seed \(seed)")
        let paid = try await state("paid_cents")
        #expect(purchases.reduce(0) { $0 + $1.paidCents } == paid, "seed \(seed)")
        #expect(purchases.allSatisfy { $0.package == "Starter" && $0.receiptURL != nil }, "seed \(seed)")
        let (refunded, lost) = (try await state("refunded_cents"), try await state("lost_cents"))
        #expect(rows(.refunds).reduce(0) { $0 + ($1.cashCents ?? 0) } == refunded, "seed \(seed)")
        #expect(rows(.disputes).reduce(0) { $0 + ($1.cashCents ?? 0) } == lost, "seed \(seed)")
        let grants = try await sum("1", "reference_type = 'grant'")
        #expect(rows(.adjustments).count == Int(grants), "seed \(seed)")
    }

    /// Exchanges of several models, some of which are corrected, some with nothing to pay.
    private static func use(
        _ database: TestDatabase, _ accounts: [AccountID], _ random: inout SeededGenerator
    ) async throws {
        let outcomes = Outcomes()
        for _ in 0..<30 {
            guard let account = accounts.randomElement(using: &random) else { return }
            let at = Int64(Outcomes.now) - .random(in: 0...33 * Self.day, using: &random)
            let hold = HoldID(
                millisecondsSinceEpoch: UInt64(at), randomA: .random(in: 0...UInt16.max, using: &random),
                randomB: .random(in: 0...UInt64.max, using: &random))
            let amount = Int64.random(in: 0...9000, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                _ = try await database.ledger.settle([outcomes.orphan(account, amount, hold: hold)])
                let last =
                    Bool.random(using: &random)
                    ? outcomes.final(account, .random(in: 0...9000, using: &random), hold: hold)
                    : outcomes.void(account, hold: hold)
                _ = try await database.ledger.settle([last])
            case 1: _ = try await database.ledger.settle([outcomes.void(account, hold: hold)])
            default:
                let model = ["gpt-4o", "gpt-5"].randomElement(using: &random) ?? "gpt-4o"
                _ = try await database.ledger.settle([
                    outcomes.final(account, amount, hold: hold, model: model)
                ])
            }
        }
    }

    /// Gives every transaction a time of the last 65 days, as far from its holds as `settle` allows, and some the last
    /// microsecond or the first instant of a month; versions keep their order, so times go back and forth.
    private static func spread(_ database: TestDatabase, _ random: inout SeededGenerator) async throws {
        try await database.timesMayChange()
        try await database.execute("UPDATE account SET created_at = now() - interval '80 days'")
        let border = try Self.month(PostgresLedgerClock.now).milliseconds.lowerBound * 1000
        let batches = try await database.pool.run { connection in
            try connection.run(
                """
                SELECT t.id, (extract(epoch FROM coalesce(u.first, t.created_at)) * 1000)::bigint,
                       (extract(epoch FROM coalesce(u.last, t.created_at)) * 1000)::bigint
                FROM ledger_transaction t LEFT JOIN (
                    SELECT batch_id, min(occurred_at) AS first, max(occurred_at) AS last FROM (
                        SELECT batch_id, occurred_at FROM usage_events
                        UNION ALL SELECT batch_id, occurred_at FROM usage_correction) x
                    GROUP BY batch_id) u ON u.batch_id = t.id
                ORDER BY t.created_at, t.id
                """
            ).rows.map { (try $0.uuid(0), try $0.int(1), try $0.int(2)) }
        }
        let now = PostgresLedgerClock.now
        for (id, first, last) in batches {
            // A hold of up to a day ahead and of up to 35 days ago.
            let earliest = last - Self.day + 60_000
            let latest = min(now, first + 35 * Self.day - 60_000)
            var at = Int64.random(in: min(earliest, latest)...latest, using: &random) * 1000
            let choice = Int.random(in: 0..<5, using: &random)
            if choice < 2, earliest * 1000 < border, border < latest * 1000 { at = border - Int64(choice) }
            try await database.move(id, toMicroseconds: at)
        }
    }

    // MARK: Borders

    @Test func theFirstInstantIsOfTheMonthAndTheLastMicrosecondOfTheOneBefore() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user")
        let month = try Self.month(PostgresLedgerClock.now)
        let before = try Self.month(month.milliseconds.lowerBound - 1)
        let outcomes = Outcomes()
        // The later one gets the lower version: it waited less for the lock.
        for (amount, offset) in [(5, 0), (7, -1)] as [(Int64, Int64)] {
            let at = month.milliseconds.lowerBound
            let hold = Outcomes.hold(at: UInt64(max(at, PostgresLedgerClock.now - 30 * Self.day)))
            _ = try await database.ledger.settle([outcomes.final(account, amount, hold: hold)])
            let id = try await database.pool.run {
                try $0.run("SELECT batch_id FROM usage_events WHERE hold_id = $1::uuid", [.uuid(hold)]).one()
                    .uuid(0)
            }
            try await database.timesMayChange()
            try await database.move(id, toMicroseconds: at * 1000 + offset)
        }
        try await database.execute("UPDATE account SET created_at = now() - interval '80 days'")
        let now = try #require(try await database.ledger.statement(of: account, month: month)).statement
        #expect(now.opening == Millicredits(-7) && now.closing == Millicredits(-12) && !now.isFinal)
        #expect(now.usage.map(\.day) == [month.firstDay])
        let last = try #require(try await database.ledger.statement(of: account, month: before)).statement
        #expect(last.opening == .zero && last.closing == Millicredits(-7))
        #expect(last.usage.map(\.day) == [before.lastDay])
        #expect(last.isFinal || PostgresLedgerClock.now < month.milliseconds.lowerBound + 3_600_000)
    }

    @Test func thereIsNoneOfTheFutureOfAStrangerOrOfTheTimeBefore() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 5)
        let month = try Self.month(PostgresLedgerClock.now)
        let before = try Self.month(month.milliseconds.lowerBound - 1)
        #expect(try await database.ledger.statement(of: account, month: Self.next(month)) == nil)
        #expect(try await database.ledger.statement(of: account, month: before) == nil)
        #expect(try await database.ledger.statement(of: 4711, month: month) == nil)
        #expect(
            try await database.ledger.foldStatements(of: Self.next(month), into: 0) {
                $0 += 1; _ = $1
            } == nil)
        let issued = try #require(try await database.ledger.statement(of: account, month: month))
        #expect(issued.statement.movements[.adjustments]?.map(\.text) == ["Trial credits"])
        #expect(issued.issued == UTCDay(millisecondsSinceEpoch: PostgresLedgerClock.now))
    }

    /// Neither is a wrong page handed out, nor does one account keep the others from theirs.
    @Test func whatDoesNotAddUpIsNoStatement() async throws {
        let database = try await TestDatabase.migrated()
        let outcomes = Outcomes()
        var accounts: [AccountID] = []
        for user in ["a", "b", "c"] {
            let account = try await database.account(user, balance: 1000)
            _ = try await database.ledger.settle([outcomes.final(account, 10)])
            accounts.append(account)
        }
        let bad = accounts[1]
        try await database.execute(
            "UPDATE usage_events SET charged_millicredits = 11 WHERE account_id = \(bad)")
        let month = try Self.month(PostgresLedgerClock.now)
        let failure = StatementFailure.doesNotAdd(rows: 989, closing: Millicredits(990))
        await #expect(throws: failure) { try await database.ledger.statement(of: bad, month: month) }
        let results = try await database.ledger.foldStatements(of: month, into: [StatementResult]()) {
            $0.append($1)
        }
        #expect(results?.map(\.account) == accounts)
        #expect(results?.filter { $0.outcome == .failure(failure) }.map(\.account) == [bad])
    }

    /// A balance that its lines do not make is seen in the opening.
    @Test func aBalanceThatIsNotTheLedgersIsNoStatement() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let month = try Self.month(PostgresLedgerClock.now)
        try await database.execute("UPDATE credit_balance SET balance_millicredits = 1007")
        await #expect(throws: StatementFailure.doesNotAdd(rows: 1000, closing: Millicredits(1007))) {
            try await database.ledger.statement(of: account, month: month)
        }
    }

    /// Years of lines are not read again for each month: the pages of the month's time are.
    @Test func aStatementReadsTheLinesSinceItsMonthBegan() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        try await database.execute(
            """
            SET session_replication_role = replica;
            UPDATE account SET created_at = now() - interval '400 days';
            DELETE FROM credit_ledger;
            INSERT INTO credit_ledger (account_id, version, transaction_id, user_id, type, amount_millicredits,
                                       balance_after_millicredits, reference_type, reference_id, created_at)
            SELECT \(account), n, gen_random_uuid(), 'user', 'trial', 1, n, 'settlement', 'x',
                   now() - interval '400 days' + n * interval '400 days' / 30000 FROM generate_series(1, 30000) n;
            UPDATE credit_balance SET version = 30000, balance_millicredits = 30000;
            RESET session_replication_role
            """)
        try await database.execute("VACUUM ANALYZE credit_ledger")
        let month = try Self.month(PostgresLedgerClock.now - 40 * Self.day)
        let read = try await database.pool.run { connection in
            try connection.transaction(.readSnapshot) { connection in
                // The server counts what this session has read and not reported yet: VACUUM's reading, too.
                let before = try Self.linesRead(connection)
                let reader = try StatementReader(month: month, on: connection, timeout: .seconds(60))
                _ = try reader.drafts(after: account - 1, upTo: account)
                return try Self.linesRead(connection) - before
            }
        }
        // At most three months of thirteen.
        #expect(read > 0 && read < 20_000, "\(read) lines")
    }

    private static func linesRead(_ connection: PostgresConnection) throws -> Int64 {
        try connection.run(
            """
            SELECT sum(pg_stat_get_xact_tuples_returned(o) + pg_stat_get_xact_tuples_fetched(o))::bigint
            FROM (SELECT 'credit_ledger'::regclass::oid AS o UNION ALL
                  SELECT indexrelid FROM pg_index WHERE indrelid = 'credit_ledger'::regclass) t
            """
        ).one().int(0)
    }

    // MARK: Ledger

    @Test func aPageOfTheLedgerGoesOnWhereTheOneBeforeEnded() async throws {
        let database = try await TestDatabase.migrated()
        let (account, stripe, outcomes) = (try await database.account("buyer"), FakeStripe(), Outcomes())
        let purchase = try await database.starter(account)
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        for amount in 1...5 as ClosedRange<Int64> {
            _ = try await database.ledger.settle([outcomes.final(account, amount)])
        }
        var (query, seen) = (LedgerQuery(account: account, limit: 2), [LedgerEntry]())
        while true {
            let page = try await database.ledger.ledger(query)
            seen += page
            guard let last = page.last else { break }
            query.before = last.line.version
            _ = try await database.ledger.settle([outcomes.final(account, 99)])
        }
        #expect(seen.map(\.line.amount.value) == [-5, -4, -3, -2, -1, 9_990_000])
        #expect(seen.map(\.receiptURL) == [nil, nil, nil, nil, nil, "https://r/pi_1"])
        #expect(seen.last?.purchase == purchase.id && seen.first?.purchase == nil)
        let bought = try await database.ledger.ledger(.init(account: account, type: .purchase, limit: 9))
        #expect(bought.map(\.line.version) == [1])
        let hour: Int64 = 3_600_000
        let now = PostgresLedgerClock.now
        #expect(try await database.ledger.ledger(.init(account: account, from: now + hour, limit: 9)).isEmpty)
        #expect(try await database.ledger.ledger(.init(account: account, to: now - hour, limit: 9)).isEmpty)
        #expect(
            try await database.ledger.ledger(.init(account: account, from: now - hour, limit: 9)).count == 9)
    }
}

extension TestDatabase {
    /// Tests play with time; the ledger itself never would.
    fileprivate func timesMayChange() async throws {
        for table in ["ledger_transaction", "credit_ledger", "usage_correction"] {
            try await self.execute("ALTER TABLE \(table) DISABLE TRIGGER USER")
        }
    }

    /// All that one transaction wrote.
    fileprivate func move(_ transaction: HoldID, toMicroseconds at: Int64) async throws {
        let time = "timestamptz 'epoch' + \(at) * interval '1 microsecond'"
        try await self.execute(
            """
            UPDATE ledger_transaction SET created_at = \(time) WHERE id = '\(transaction)';
            UPDATE credit_ledger SET created_at = \(time) WHERE transaction_id = '\(transaction)';
            UPDATE usage_events SET created_at = \(time) WHERE batch_id = '\(transaction)';
            UPDATE usage_correction SET created_at = \(time) WHERE batch_id = '\(transaction)';
            """)
    }
}
