import Metering
import Testing

@testable import PostgresLedger

@Suite(.serialized) struct SnapshotTests {
    let outcomes = Outcomes()

    private func snapshot(
        _ database: TestDatabase, _ account: AccountID, among holds: [HoldID] = []
    ) async -> Result<AccountSnapshot, LedgerReadFailure> {
        await withCheckedContinuation { continuation in
            database.ledger.snapshot(of: account, among: holds) { continuation.resume(returning: $0) }
        }
    }

    /// A cold load must know which of the holds it found are over, and with which amount.
    @Test func itHasBalanceGateSpendAndSettledHolds() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 10_000)
        let (plain, corrected, open) = (Outcomes.hold(), Outcomes.hold(), Outcomes.hold())
        _ = try await database.ledger.settle([
            outcomes.final(account, 300, hold: plain), outcomes.orphan(account, 50, hold: corrected),
        ])
        _ = try await database.ledger.settle([outcomes.final(account, 20, hold: corrected)])
        let gate = try await database.book.setGate(of: account, floor: Millicredits(-500))
        let snapshot = try await self.snapshot(database, account, among: [open, plain, corrected]).get()
        #expect(snapshot.balance.balance == Millicredits(9680))
        #expect(snapshot.balance.version == 3)
        #expect(snapshot.gate == gate)
        #expect(gate == AccountGate(account: account, version: 2, floor: Millicredits(-500), blocked: false))
        #expect(snapshot.spentLastHour == Millicredits(320))
        #expect(snapshot.spentToday == Millicredits(320))
        #expect(
            Set(snapshot.settled) == [
                SettledHold(hold: plain, amount: Millicredits(300)),
                SettledHold(hold: corrected, amount: Millicredits(20)),
            ])
    }

    @Test func spendLeavesItsWindows() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 10_000)
        _ = try await database.ledger.settle([outcomes.final(account, 300)])
        try await database.execute("UPDATE usage_events SET created_at = now() - interval '61 minutes'")
        _ = try await database.ledger.settle([outcomes.final(account, 7)])
        #expect(try await self.snapshot(database, account).get().spentLastHour == Millicredits(7))
        try await database.execute("UPDATE usage_events SET created_at = now() - interval '25 hours'")
        #expect(try await self.snapshot(database, account).get().spentToday == .zero)
    }

    /// A cold store asks for everybody at once (rule E3): few statements, and each account has its own answer.
    @Test func whatComesTogetherIsReadTogether() async throws {
        let database = try await TestDatabase.migrated(poolSize: 2)
        var asked: [(account: AccountID, holds: [HoldID], settled: Set<SettledHold>)] = []
        for number in 1...90 {
            let account = try await database.account("user\(number)", balance: Int64(number) * 1000)
            let rows = (0..<number % 4).map { outcomes.final(account, Int64($0 + number)) }
            _ = try await database.ledger.settle(rows)
            let settled = rows.map { SettledHold(hold: $0.hold, amount: $0.charge.amount) }
            asked.append((account, rows.map(\.hold) + [Outcomes.hold()], Set(settled)))
        }
        // Somebody else's hold is not settled for this account; one account may be asked about twice.
        asked.append((asked[0].account, asked[2].holds, []))
        asked.append((asked[2].account, asked[2].holds, asked[2].settled))
        try await withThrowingTaskGroup { group in
            for (place, question) in asked.enumerated() {
                group.addTask {
                    let snapshot = try await self.snapshot(database, question.account, among: question.holds)
                        .get()
                    let spent = snapshot.spentToday.value
                    #expect(snapshot.balance.account == question.account)
                    #expect(Set(snapshot.settled) == question.settled, "\(place)")
                    if place < 90 {
                        #expect(spent == question.settled.reduce(0) { $0 + $1.amount.value })
                        #expect(snapshot.balance.balance.value == Int64(place + 1) * 1000 - spent)
                    }
                }
            }
            group.addTask { #expect(await self.snapshot(database, 4711) == .failure(.noSuchAccount)) }
            try await group.waitForAll()
        }
    }

    /// 64 questions in one statement are answered in the order asked, also those without an account.
    @Test func oneStatementAnswersEachQuestionInItsPlace() async throws {
        let database = try await TestDatabase.migrated()
        let (one, two) = (
            try await database.account("one", balance: 1), try await database.account("two", balance: 2)
        )
        let row = outcomes.final(two, 5)
        _ = try await database.ledger.settle([row])
        let answers = try await database.pool.run { connection in
            try SnapshotStatement.run(
                [(two, []), (4711, [row.hold]), (one, [row.hold]), (two, [row.hold, Outcomes.hold()])],
                on: connection)
        }
        #expect(answers.map { $0?.balance.account } == [two, nil, one, two])
        #expect(answers.map { $0?.settled.count } == [0, nil, 0, 1])
        #expect(answers.map { $0?.balance.balance.value } == [-3, nil, 1, -3])
    }

    /// What a cold load costs must not grow with the ledger: only the days are locked, and so planned, in which spend may
    /// still count, or of which a hold is asked for.
    @Test func itTouchesFewDaysOfAnOldLedger() async throws {
        let database = try await TestDatabase.migrated()
        let day: UInt64 = 86_400_000
        for back in [10, 34] as [UInt64] {
            _ = try await database.ledger.ensurePartitions(now: Int64(Outcomes.now - back * day))
        }
        let account = try await database.account("user", balance: 1000)
        let old = [UInt64(9), 10, 11].map { Outcomes.hold(at: Outcomes.now - $0 * day) }
        let now = Outcomes.hold()
        _ = try await database.ledger.settle((old + [now]).map { outcomes.final(account, 5, hold: $0) })
        let (days, spend, holds) = try await database.pool.run { connection in
            let days = try connection.run(
                "SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_events'::regclass"
            ).one().int(0)
            func locked(_ holds: [HoldID]) throws -> (Int64, Int) {
                try connection.transaction { connection in
                    let found = try SnapshotStatement.run([(account, holds)], on: connection)
                    return (try connection.usageDaysLocked(), found[0]?.settled.count ?? -1)
                }
            }
            return (days, try locked([]), try locked(old))
        }
        #expect(days > 40)
        // Two days on either side.
        #expect(spend == (5, 0))
        // Three days more.
        #expect(holds == (8, 3))
        let all = try await self.snapshot(database, account, among: [now] + old.reversed()).get()
        #expect(Set(all.settled.map(\.hold)) == Set(old + [now]))
        // Spend counts when it was posted, of holds that are not older than two days.
        #expect(all.spentLastHour == Millicredits(5))
    }

    @Test func anUnknownAccountIsNotAnOutage() async throws {
        let database = try await TestDatabase.migrated()
        #expect(await self.snapshot(database, 4711) == .failure(.noSuchAccount))
        let nowhere = try TestDatabase(url: "postgresql://x@/x?host=/nonexistent")
        #expect(await self.snapshot(nowhere, 1) == .failure(.unreachable))
    }
}
