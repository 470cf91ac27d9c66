/// When the books are kept and a day is reconciled. Times are milliseconds since 1970.
public enum BooksSchedule {
    static let interval: Int64 = 300_000
    /// Behind midnight, so that the last lines of the day are there.
    static let afterMidnight: Int64 = 60_000
    /// Payments of the last minutes of a day are followed by their events meanwhile.
    static let settling: Int64 = 900_000
    static let dayLength: Int64 = 86_400_000

    /// How long to wait before the next run: five minutes, or until shortly after midnight UTC.
    public static func pause(after now: Int64) -> Duration {
        let sinceMidnight = ((now % Self.dayLength) + Self.dayLength) % Self.dayLength
        let left = Self.dayLength - sinceMidnight + Self.afterMidnight
        // Just before it, one run serves both.
        return .milliseconds(min(Self.interval, left))
    }

    /// The last day that is over and settled: the one to be reconciled.
    public static func dueDay(at now: Int64) -> UTCDay? {
        UTCDay(millisecondsSinceEpoch: now - Self.settling - Self.dayLength)
    }

    /// The day before the current one, whether settled or not.
    public static func yesterday(at now: Int64) -> UTCDay? {
        UTCDay(millisecondsSinceEpoch: now - Self.dayLength)
    }
}
