import Billing

/// What a replay has in memory at a time: one UTC day of events, or what little is left of longer ago. Times are seconds
/// since 1970.
struct ReplayPortion: Sendable, Hashable {
    private static let dayLength: Int64 = 86_400
    /// Events are kept for 90 days; what is older was dead then, and there is little of it.
    private static let daysMax: Int64 = 120

    var from: Int64?
    /// Not included; nil: up to now.
    var to: Int64?
    /// nil: it is more than one.
    var day: UTCDay?

    /// All of them, in order.
    static func days(from: Int64, to: Int64?, now: Int64) -> [ReplayPortion] {
        var portions: [ReplayPortion] = []
        var begin = from
        let firstDay = (now / Self.dayLength - Self.daysMax) * Self.dayLength
        if from < firstDay {
            begin = min(firstDay, to ?? firstDay)
            portions.append(ReplayPortion(from: from, to: begin, day: nil))
        }
        let end = min(to ?? now, now)
        while begin < end {
            let day = begin / Self.dayLength
            let next = (day + 1) * Self.dayLength
            portions.append(
                ReplayPortion(
                    from: begin, to: next < end ? next : to, day: UTCDay(daysSinceEpoch: day)))
            begin = next
        }
        return portions
    }
}

/// How far a replay has come. An event that was not read stays where it is, so nothing behind it is called done.
struct ReplayProgress {
    /// Everything that happened before is applied, or kept for a person.
    private(set) var doneUntil: Int64?
    private var isHeldUp: Bool

    /// - Parameter isWhole: it applies all events of its time; one that leaves some out, or only rehearses, gets nothing
    ///   done.
    init(isWhole: Bool) { self.isHeldUp = !isWhole }

    mutating func add(_ event: ReplayedEvent) {
        if case .unread = event.result { self.isHeldUp = true }
    }

    mutating func end(_ portion: ReplayPortion, now: Int64) {
        // An event is listed a while after it was made, and of what is yet to happen nothing is done.
        if !self.isHeldUp { self.doneUntil = min(portion.to ?? now, now - EventPoll.overlapSeconds) }
    }
}
