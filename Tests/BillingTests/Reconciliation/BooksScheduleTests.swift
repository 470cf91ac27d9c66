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
