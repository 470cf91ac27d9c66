/// The spend windows of an account's hash as they were left (`mi`, `m0`…`m60`, `M`, `di`, `D`): the scripts move them on
/// when something is placed or captured, and a reader has to do it for itself.
struct SpendWindows: Sendable, Hashable {
    /// What was spent in a minute, by its number modulo 61.
    private var minutes: [Int64: Int64] = [:]
    private var lastMinute: Int64
    private var hour: Int64
    private var lastDay: Int64?
    private var day: Int64

    private static let ring: Int64 = 61

    /// nil: nothing was loaded or spent yet.
    init?(_ fields: [String: String]) {
        guard let last = fields["mi"].flatMap({ Int64($0) }) else { return nil }
        self.lastMinute = last
        self.hour = fields["M"].flatMap { Int64($0) } ?? 0
        self.lastDay = fields["di"].flatMap { Int64($0) }
        self.day = fields["D"].flatMap { Int64($0) } ?? 0
        for place in 0..<Self.ring {
            self.minutes[place] = fields["m\(place)"].flatMap { Int64($0) }
        }
    }

    /// Millicredits of the last sixty minutes and of the UTC day.
    ///
    /// - Parameter milliseconds: since 1970.
    func spent(at milliseconds: Int64) -> (hour: Int64, day: Int64) {
        let (minute, today) = (milliseconds / 60_000, milliseconds / 86_400_000)
        var hour = self.hour
        if minute > self.lastMinute {
            // Of a minute that comes, its place in the ring still has the one that leaves the window.
            for coming in self.lastMinute + 1...min(self.lastMinute + Self.ring, minute) {
                hour &-= self.minutes[coming % Self.ring] ?? 0
            }
        }
        let isPast = self.lastDay.map { today > $0 } ?? true
        return (max(0, hour), isPast ? 0 : max(0, self.day))
    }
}
