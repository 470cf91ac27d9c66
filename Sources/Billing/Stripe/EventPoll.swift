/// Which of Stripe's events are read next: window after window, so that as many as there are fit into memory, and what was
/// read once need not be read again after a crash. All times are seconds since 1970.
public struct EventPoll: Sendable, Hashable {
    public struct Window: Sendable, Hashable {
        public var from: Int64
        /// Not included; nil: up to now.
        public var to: Int64?
        /// To be noted once every event of it is applied or kept.
        public var progress: Int64
    }

    /// The most; less where there is too much of it.
    public static let windowSeconds: Int64 = 6 * 3600
    /// No account has more events in it than can be listed.
    public static let windowSecondsMin: Int64 = 60
    /// After so many that were read, one of twice the width is tried.
    private static let windowsBeforeGrowth = 4
    /// An event is listed a while after it was made, and its first delivery may still be under way.
    public static let overlapSeconds: Int64 = 3600
    /// Stripe keeps events for 30 days.
    public static let keptSeconds: Int64 = 29 * 86_400
    /// Of a ledger that nobody has looked for before.
    public static let firstLookSeconds: Int64 = 3 * 86_400

    private let now: Int64
    /// nil: everything is read.
    private var from: Int64?
    private var width = windowSeconds
    private var windowsOfThisWidth = 0

    /// - Parameter progress: as it was noted last; nil: never.
    public init(progress: Int64?, now: Int64) {
        self.now = now
        let noted = progress ?? now - Self.firstLookSeconds
        self.from = min(max(noted, now - Self.keptSeconds), now - Self.overlapSeconds)
    }

    /// nil: everything is read.
    public mutating func next() -> Window? {
        guard let from else { return nil }
        self.grow()
        let to = from + self.width
        guard to < self.now else {
            self.from = nil
            return Window(from: from, to: nil, progress: self.now - Self.overlapSeconds)
        }
        self.from = to
        return Window(from: from, to: to, progress: min(to, self.now - Self.overlapSeconds))
    }

    /// The window could not be read in its time: half of it comes next.
    ///
    /// - Returns: false when it is as small as it gets.
    public mutating func halve(_ window: Window) -> Bool {
        let seconds = (window.to ?? self.now) - window.from
        guard seconds > Self.windowSecondsMin else { return false }
        self.width = max(seconds / 2, Self.windowSecondsMin)
        self.windowsOfThisWidth = 0
        self.from = window.from
        return true
    }

    /// Not at once: a window that cannot be read costs all the time that it may take.
    private mutating func grow() {
        if self.windowsOfThisWidth == Self.windowsBeforeGrowth {
            self.width = min(self.width * 2, Self.windowSeconds)
            self.windowsOfThisWidth = 0
        }
        self.windowsOfThisWidth += 1
    }
}
