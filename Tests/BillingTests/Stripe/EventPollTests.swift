import Testing

@testable import Billing

/// No second is left out, none is read for ever, and no listing is longer than a quarter of a day.
@Suite struct EventPollTests {
    private static let (hour, day): (Int64, Int64) = (3600, 86_400)
    private static let now: Int64 = 1_790_000_000

    private func windows(_ progress: Int64?) -> [EventPoll.Window] {
        var poll = EventPoll(progress: progress, now: Self.now)
        var windows: [EventPoll.Window] = []
        while let window = poll.next() { windows.append(window) }
        return windows
    }

    @Test func whoeverIsUpToDateReadsOneWindow() {
        let windows = self.windows(Self.now - Self.hour - 300)
        #expect(windows == [.init(from: Self.now - Self.hour - 300, to: nil, progress: Self.now - Self.hour)])
    }

    @Test(arguments: [
        nil, now - 29 * day, now - 40 * day, now - 12 * hour, now - 6 * hour, now - hour, now + day,
    ])
    func theWindowsFollowEachOtherUpToNow(_ progress: Int64?) throws {
        let windows = self.windows(progress)
        let first = try #require(windows.first)
        #expect(first.from >= Self.now - 29 * Self.day && first.from <= Self.now - Self.hour)
        if let progress { #expect(first.from <= max(progress, Self.now - 29 * Self.day)) }
        for (window, next) in zip(windows, windows.dropFirst()) {
            #expect(window.to == next.from && next.from - window.from == 6 * Self.hour)
            // A pass that dies here begins again at this place, or before it.
            #expect(window.progress <= next.from && window.progress <= next.progress)
        }
        #expect(windows.last?.to == nil && windows.last?.progress == Self.now - Self.hour)
        #expect(try #require(windows.last).from + 6 * Self.hour >= Self.now)
    }

    /// What was noted is where the next pass begins: nothing in between is missed, whatever the clock does.
    @Test func aPassGoesOnWhereTheLastOneEnded() {
        var progress: Int64? = Self.now - 3 * Self.day
        for minute in Int64(0)..<600 {
            var poll = EventPoll(progress: progress, now: Self.now + minute * 60)
            let window = poll.next()
            if let progress, let window { #expect(window.from <= progress) }
            // Only one window of each pass is finished.
            progress = window?.progress
        }
        #expect(progress == Self.now + 599 * 60 - Self.hour)
    }
}
