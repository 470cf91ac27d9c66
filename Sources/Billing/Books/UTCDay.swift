/// A day of the books: every date in journal, statements and reports is UTC.
public struct UTCDay: Sendable, Hashable, Comparable {
    /// Days since 1970-01-01; 0001-01-01 to 9999-12-31.
    public let daysSinceEpoch: Int32

    static let first: Int32 = -719_162
    static let last: Int32 = 2_932_896

    /// nil outside the years 1 to 9999.
    public init?(daysSinceEpoch: Int64) {
        guard daysSinceEpoch >= Int64(Self.first), daysSinceEpoch <= Int64(Self.last) else { return nil }
        self.daysSinceEpoch = Int32(daysSinceEpoch)
    }

    /// The caller knows that it is a day.
    init(checkedDays daysSinceEpoch: Int64) { self.daysSinceEpoch = Int32(daysSinceEpoch) }

    /// The day that a moment falls into; nil outside the years 1 to 9999.
    public init?(millisecondsSinceEpoch: Int64) {
        let (quotient, remainder) = millisecondsSinceEpoch.quotientAndRemainder(dividingBy: 86_400_000)
        self.init(daysSinceEpoch: remainder < 0 ? quotient - 1 : quotient)
    }

    /// nil when there is no such day.
    public init?(year: Int, month: Int, day: Int) {
        guard (1...9999).contains(year), (1...12).contains(month) else { return nil }
        guard day >= 1, day <= Self.days(ofMonth: month, year: year) else { return nil }
        self.init(daysSinceEpoch: Self.days(toYear: year, month: month) + Int64(day) - 1)
    }

    /// Reads `YYYY-MM-DD` and nothing else.
    public init?(text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts.map(\.utf8.count) == [4, 2, 2] else { return nil }
        let numbers = parts.compactMap { UTCMonth.number($0) }
        guard numbers.count == 3 else { return nil }
        self.init(year: numbers[0], month: numbers[1], day: numbers[2])
    }

    public static func < (left: UTCDay, right: UTCDay) -> Bool { left.daysSinceEpoch < right.daysSinceEpoch }

    public var month: UTCMonth {
        let date = self.civil
        return UTCMonth(checkedYear: date.year, month: date.month)
    }

    public var dayOfMonth: Int { self.civil.day }

    /// Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
    private var civil: (year: Int, month: Int, day: Int) {
        let shifted = Int(self.daysSinceEpoch) + 719_468  // all our days are after 0000-03-01
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }

    /// `days_from_civil` of the same source, for the first of a month.
    static func days(toYear year: Int, month: Int) -> Int64 {
        let marchYear = month <= 2 ? year - 1 : year
        let era = marchYear / 400
        let yearOfEra = marchYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era * 146_097 + dayOfEra - 719_468)
    }

    static func days(ofMonth month: Int, year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

extension UTCDay: CustomStringConvertible {
    /// `YYYY-MM-DD`.
    public var description: String {
        let day = self.dayOfMonth
        return "\(self.month)-\(day < 10 ? "0" : "")\(day)"
    }
}

/// A month of a statement.
public struct UTCMonth: Sendable, Hashable, Comparable {
    public let year: Int
    /// 1...12.
    public let month: Int

    /// nil when there is no such month in the years 1 to 9999.
    public init?(year: Int, month: Int) {
        guard (1...9999).contains(year), (1...12).contains(month) else { return nil }
        self.year = year
        self.month = month
    }

    /// Reads `YYYY-MM` and nothing else.
    public init?(text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.map(\.utf8.count) == [4, 2],
            let year = Self.number(parts[0]), let month = Self.number(parts[1])
        else { return nil }
        self.init(year: year, month: month)
    }

    init(checkedYear year: Int, month: Int) {
        self.year = year
        self.month = month
    }

    public static func < (left: UTCMonth, right: UTCMonth) -> Bool {
        (left.year, left.month) < (right.year, right.month)
    }

    public func contains(_ day: UTCDay) -> Bool { day.month == self }

    /// Milliseconds since 1970 of the first moment of the month and of the first moment after it: the
    /// half-open range that a statement reads.
    public var milliseconds: Range<Int64> {
        let start = UTCDay.days(toYear: self.year, month: self.month)
        let end = start + Int64(UTCDay.days(ofMonth: self.month, year: self.year))
        return start * 86_400_000..<end * 86_400_000
    }

    public var firstDay: UTCDay { UTCDay(checkedDays: UTCDay.days(toYear: self.year, month: self.month)) }

    public var lastDay: UTCDay {
        let count = UTCDay.days(ofMonth: self.month, year: self.year)
        return UTCDay(checkedDays: Int64(self.firstDay.daysSinceEpoch) + Int64(count) - 1)
    }

    /// `March 2026`.
    public var name: String {
        let names = [
            "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
            "November", "December",
        ]
        return "\(names[self.month - 1]) \(self.year)"
    }

    /// Digits only: `Int.init` would take a sign.
    static func number(_ text: some StringProtocol) -> Int? {
        text.utf8.allSatisfy { $0 >= 48 && $0 <= 57 } ? Int(text) : nil
    }
}

extension UTCMonth: CustomStringConvertible {
    /// `YYYY-MM`.
    public var description: String {
        let digits = String(self.year)
        let padded = String(repeating: "0", count: 4 - digits.utf8.count) + digits
        return "\(padded)-\(self.month < 10 ? "0" : "")\(self.month)"
    }
}
