/// When the books are kept and a day is reconciled. Times are milliseconds since 1970.
public enum BooksSchedule {
    static let interval: Int64 = 300_000
    /// Behind midnight, so that the last lines of the day are there.
    static let afterMidnight: Int64 = 60_000
    /// Payments of the last minutes of a day are followed by their events meanwhile.
    static let settling: Int64 = 900_000
    static let dayLength: Int64 = 86_400_000
    /// Days that are made up for when nobody ran to reconcile them.
    static let daysMadeUpFor: Int64 = 30
    /// The due day, when its other sides could not be asked, is tried again after so long.
    static let betweenTries: Int64 = 3_600_000
    /// Older days are compared in full as well: a key that was revoked must not cost thirty of them an hour.
    static let betweenTriesOfOlderDays: Int64 = 86_400_000

    /// How long to wait before the next run: five minutes, or until shortly after midnight UTC.
    public static func pause(after now: Int64) -> Duration {
        let sinceMidnight = ((now % Self.dayLength) + Self.dayLength) % Self.dayLength
        let left = Self.dayLength - sinceMidnight + Self.afterMidnight
        // Just before it, one run serves both.
        return .milliseconds(min(Self.interval, left))
    }

    /// The last day that is over and settled.
    public static func dueDay(at now: Int64) -> UTCDay? {
        UTCDay(millisecondsSinceEpoch: now - Self.settling - Self.dayLength)
    }

    /// What became of a day's reconciliation so far.
    public struct Tried: Sendable, Hashable {
        public var day: UTCDay
        /// Every side could be asked: the day is done.
        public var isComplete: Bool
        /// When it was tried last.
        public var at: Int64

        public init(day: UTCDay, isComplete: Bool, at: Int64) {
            (self.day, self.isComplete, self.at) = (day, isComplete, at)
        }
    }

    /// The day that is reconciled now: the oldest that nobody tried, else, of those that could not be compared, the one
    /// that was tried longest ago, once its pause is over. So a day whose other side stays away keeps no other waiting.
    ///
    /// - Parameters:
    ///   - first: day of the first account; before it there is nothing to compare, except on the due day.
    ///   - tried: at least the last `daysMadeUpFor` days.
    public static func dayToReconcile(at now: Int64, since first: UTCDay?, tried: [Tried]) -> UTCDay? {
        guard let due = Self.dueDay(at: now) else { return nil }
        let last = Int64(due.daysSinceEpoch)
        let start = max(
            last - Self.daysMadeUpFor + 1, min(first.map { Int64($0.daysSinceEpoch) } ?? last, last))
        let known = Dictionary(tried.map { ($0.day, $0) }) { first, _ in first }
        let days = (start...last).compactMap { UTCDay(daysSinceEpoch: $0) }
        if let missed = days.first(where: { known[$0] == nil }) { return missed }
        return days.compactMap { known[$0] }
            .filter { !$0.isComplete && now - $0.at >= Self.pause(afterTrying: $0.day, due: due) }
            .min { ($0.at, $0.day) < ($1.at, $1.day) }?.day
    }

    private static func pause(afterTrying day: UTCDay, due: UTCDay) -> Int64 {
        day == due ? Self.betweenTries : Self.betweenTriesOfOlderDays
    }

    /// The first day of which `dayToReconcile` has to be told.
    public static func firstDayToTell(at now: Int64) -> UTCDay? {
        Self.dueDay(at: now).flatMap {
            UTCDay(daysSinceEpoch: Int64($0.daysSinceEpoch) - Self.daysMadeUpFor + 1)
        }
    }

    /// The day before the current one, whether settled or not.
    public static func yesterday(at now: Int64) -> UTCDay? {
        UTCDay(millisecondsSinceEpoch: now - Self.dayLength)
    }
}
