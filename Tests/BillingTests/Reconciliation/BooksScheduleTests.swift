import Testing

@testable import Billing

/// Five minutes, a midnight, and a day that is over.
@Suite struct BooksScheduleTests {
    private static let midnight: Int64 = 20_000 * 86_400_000

    @Test func theBooksAreKeptEveryFiveMinutesAndShortlyAfterMidnight() {
        #expect(BooksSchedule.pause(after: Self.midnight + 3_600_000) == .seconds(300))
        #expect(BooksSchedule.pause(after: Self.midnight - 60_000) == .seconds(120))
        #expect(BooksSchedule.pause(after: Self.midnight) == .seconds(300))
    }

    /// Before a quarter past midnight, yesterday is not settled yet.
    @Test func aDayIsDueWhenItsLastPaymentsHaveHadTheirTime() {
        #expect(BooksSchedule.dueDay(at: Self.midnight + 899_999) == UTCDay(daysSinceEpoch: 19_998))
        #expect(BooksSchedule.dueDay(at: Self.midnight + 900_000) == UTCDay(daysSinceEpoch: 19_999))
        #expect(BooksSchedule.yesterday(at: Self.midnight) == UTCDay(daysSinceEpoch: 19_999))
    }
}

/// Days on which nobody ran are made up for, and days that cannot be compared keep nobody waiting.
@Suite struct DayToReconcileTests {
    private static let due: Int64 = 20_000
    /// Noon of the day after the due one.
    private static let now = (due + 1) * 86_400_000 + 43_200_000
    private static let hour: Int64 = 3_600_000

    private static func day(_ number: Int64) -> UTCDay { UTCDay(daysSinceEpoch: number)! }

    private static func tried(
        _ days: ClosedRange<Int64>, complete: Bool = true, hoursAgo: Int64 = 0
    ) -> [BooksSchedule.Tried] {
        days.map { .init(day: Self.day($0), isComplete: complete, at: Self.now - hoursAgo * Self.hour) }
    }

    private static func next(since first: Int64?, _ tried: [BooksSchedule.Tried]) -> Int64? {
        BooksSchedule.dayToReconcile(at: Self.now, since: first.map(Self.day), tried: tried)
            .map { Int64($0.daysSinceEpoch) }
    }

    @Test func theDueDayIsReconciledOnce() {
        #expect(Self.next(since: 20_000, []) == 20_000)
        #expect(Self.next(since: 20_000, Self.tried(20_000...20_000)) == nil)
    }

    /// A ledger of today has yesterday compared all the same, and nothing before it.
    @Test func daysBeforeTheFirstAccountAreNotMissed() {
        #expect(Self.next(since: nil, []) == 20_000)
        #expect(Self.next(since: 20_001, []) == 20_000)
        #expect(Self.next(since: 19_998, []) == 19_998)
    }

    @Test func missedDaysAreDoneOldestFirst() {
        let before = Self.tried(19_980...19_990)
        #expect(Self.next(since: 19_980, before) == 19_991)
        #expect(Self.next(since: 19_980, before + Self.tried(19_991...19_999)) == 20_000)
        #expect(Self.next(since: 19_980, before + Self.tried(19_991...20_000)) == nil)
    }

    @Test func noMoreThanThirtyDaysAreMadeUpFor() {
        #expect(Self.next(since: 1, []) == 19_971)
        let first = BooksSchedule.firstDayToTell(at: Self.now)
        #expect(first.map { Int64($0.daysSinceEpoch) } == 19_971)
    }

    /// Stripe is away for four days: each of them is tried, the newest too, and none twice within its pause.
    @Test func daysThatCannotBeComparedStarveNobody() {
        let done = Self.tried(19_971...19_996)
        let away = Self.tried(19_997...19_997, complete: false, hoursAgo: 25)
        #expect(Self.next(since: 1, done + away) == 19_998)
        let all = done + away + Self.tried(19_998...20_000, complete: false)
        #expect(Self.next(since: 1, all) == 19_997)
        let justTried = done + Self.tried(19_997...20_000, complete: false)
        #expect(Self.next(since: 1, justTried) == nil)
    }

    @Test func ofThoseThatCouldNotBeComparedTheLeastRecentlyTriedIsNext() {
        let tried =
            Self.tried(19_998...19_998, complete: false, hoursAgo: 26)
            + Self.tried(19_999...19_999, complete: false, hoursAgo: 25)
            + Self.tried(20_000...20_000, complete: false, hoursAgo: 27)
        #expect(Self.next(since: 19_998, tried) == 20_000)
        #expect(Self.next(since: 19_998, Array(tried.prefix(2)) + Self.tried(20_000...20_000)) == 19_998)
    }

    /// Each try is a whole reconciliation: with a key that was revoked long ago, the due day is tried each hour and each
    /// of the others once a day.
    @Test func olderDaysAreTriedAgainOnceADay() {
        let away = Self.tried(19_971...19_999, complete: false, hoursAgo: 23)
        #expect(Self.next(since: 1, away + Self.tried(20_000...20_000, complete: false)) == nil)
        #expect(
            Self.next(since: 1, away + Self.tried(20_000...20_000, complete: false, hoursAgo: 1)) == 20_000)
        let older = Self.tried(19_971...19_971, complete: false, hoursAgo: 24) + away.dropFirst()
        #expect(Self.next(since: 1, older + Self.tried(20_000...20_000, complete: false)) == 19_971)
    }

    /// A day without Stripe, after a month without it: how often the ledger is compared.
    @Test func anOutageOfTheOtherSideCostsAFewReconciliationsADay() {
        var tried = Dictionary(
            uniqueKeysWithValues: Self.tried(19_971...20_000, complete: false).map { ($0.day, $0) })
        var runs = 0
        for now in stride(from: Self.now, through: Self.now + 24 * Self.hour, by: 300_000) {
            while let day = BooksSchedule.dayToReconcile(
                at: now, since: Self.day(1), tried: Array(tried.values))
            {
                tried[day] = .init(day: day, isComplete: false, at: now)
                runs += 1
            }
        }
        // The due day each hour, and the others once each.
        #expect((40...24 + 29).contains(runs), "\(runs)")
    }
}

/// A file of the operator's is taken over as a whole, or named by its line.
@Suite struct OpenAICostExportTests {
    @Test func daysAndAmountsAreRead() throws {
        let rows = try OpenAICostExport.parse("day,amount_usd\r\n2026-03-31,12.3456785\r\n2026-04-01,-1\r\n")
        #expect(rows.map { "\($0.day)" } == ["2026-03-31", "2026-04-01"])
        // Half to even, at the micro-dollar.
        #expect(rows.map(\.amount.value) == [12_345_678, -1_000_000])
    }

    @Test(arguments: [
        ("", OpenAICostExport.Failure.noHeading), ("2026-03-31,1", .noHeading), ("day,amount_usd\n", .noRows),
        ("day,amount_usd\n2026-03-31", .notTwoCells(line: 2)),
        ("day,amount_usd\n\n2026-02-29,1", .notADay(line: 3)),
        ("day,amount_usd\n2026-03-31,1e3", .notAnAmount(line: 2)),
        ("day,amount_usd\n2026-03-31,1.1234567890123", .notAnAmount(line: 2)),
        ("day,amount_usd\n2026-03-31,1\n2026-03-31,1", .dayTwice(line: 3)),
    ])
    func whatCannotBeReadIsNamed(_ text: String, _ failure: OpenAICostExport.Failure) {
        #expect(throws: failure) { try OpenAICostExport.parse(text) }
    }
}
