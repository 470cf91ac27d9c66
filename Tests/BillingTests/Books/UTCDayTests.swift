import Foundation
import Testing

@testable import Billing

@Suite struct UTCDayTests {
    /// Foundation's calendar, day by day over 400 years: a whole cycle of leap years.
    @Test func daysAreThoseOfTheCalendar() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(secondsFromGMT: 0)!
        for offset in stride(from: Int64(-60_000), through: 90_000, by: 1) {
            let day = try #require(UTCDay(daysSinceEpoch: offset))
            let parts = calendar.dateComponents(
                [.year, .month, .day], from: Date(timeIntervalSince1970: Double(offset) * 86_400))
            guard day.month.year == parts.year, day.month.month == parts.month, day.dayOfMonth == parts.day,
                UTCDay(year: parts.year!, month: parts.month!, day: parts.day!) == day,
                UTCDay(text: day.description) == day
            else {
                Issue.record("day \(offset): \(day)")
                return
            }
        }
    }

    @Test func theEdgesOfTimeAreDays() {
        #expect(UTCDay(daysSinceEpoch: Int64(UTCDay.first))?.description == "0001-01-01")
        #expect(UTCDay(daysSinceEpoch: Int64(UTCDay.last))?.description == "9999-12-31")
        #expect(UTCDay(daysSinceEpoch: Int64(UTCDay.last) + 1) == nil)
        #expect(UTCDay(millisecondsSinceEpoch: -1)?.description == "1969-12-31")
        #expect(UTCDay(millisecondsSinceEpoch: .max) == nil)
    }

    @Test(arguments: [
        "2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "26-04-01", "2026-4-01", "+026-04-01",
        "2026-04-1",
        "2026-04-01 ", "", "2026-04", "2026-04-0١",
    ])
    func whatIsNoDayIsRefused(_ text: String) { #expect(UTCDay(text: text) == nil) }

    @Test func aMonthIsAHalfOpenRange() throws {
        let february = try #require(UTCMonth(text: "2024-02"))
        #expect(february.milliseconds == 1_706_745_600_000..<1_709_251_200_000)
        #expect(february.contains(try #require(UTCDay(text: "2024-02-29"))))
        #expect(!february.contains(try #require(UTCDay(text: "2024-03-01"))))
        #expect(february.name == "February 2024")
        for text in ["2024-13", "2024-2", "2024", "2024-02-01", "-024-02"] {
            #expect(UTCMonth(text: text) == nil)
        }
    }
}
