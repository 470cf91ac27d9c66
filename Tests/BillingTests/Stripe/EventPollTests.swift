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

    /// An account with many events: the windows get smaller until they are read, and none of it is left out.
    @Test(arguments: [1, 59, 60, 61, 3599, 6 * hour, 7 * hour])
    func aWindowThatIsTooMuchIsHalved(_ readable: Int64) {
        var poll = EventPoll(progress: Self.now - 2 * Self.day, now: Self.now)
        var (reached, asked, failed) = (Self.now - 2 * Self.day, 0, 0)
        while let window = poll.next() {
            asked += 1
            #expect(window.from == reached && window.progress <= window.to ?? Self.now)
            let seconds = (window.to ?? Self.now) - window.from
            #expect(seconds <= EventPoll.windowSeconds)
            guard seconds > max(readable, EventPoll.windowSecondsMin) else {
                reached = window.to ?? Self.now
                continue
            }
            failed += 1
            let isHalved = poll.halve(window)
            #expect(isHalved)
        }
        #expect(reached == Self.now)
        // Most of the time goes into reading, not into finding out what can be read.
        #expect(failed <= 9 + asked / 4)
        #expect(readable < 6 * Self.hour || asked == 8 && failed == 0)
    }

    @Test func aMinuteIsNotHalved() {
        var poll = EventPoll(progress: Self.now - 2 * Self.hour, now: Self.now)
        var seconds: [Int64] = []
        while let window = poll.next() {
            seconds.append((window.to ?? Self.now) - window.from)
            if !poll.halve(window) { break }
        }
        #expect(seconds == [7200, 3600, 1800, 900, 450, 225, 112, 60])
    }

    /// One busy hour does not make the rest of the month slow.
    @Test func afterABusyHourTheWindowsGrowAgain() {
        var poll = EventPoll(progress: Self.now - 20 * Self.day, now: Self.now)
        var windows: [EventPoll.Window] = []
        while let window = poll.next() {
            windows.append(window)
            guard windows.count <= 9 else { continue }
            let isHalved = poll.halve(window)
            #expect(isHalved)
        }
        #expect(windows.count < 9 + 4 * 9 + 80 && windows[9].to == windows[9].from + 60)
        #expect(windows.suffix(40).dropLast().allSatisfy { $0.to == $0.from + 6 * Self.hour })
    }
}
