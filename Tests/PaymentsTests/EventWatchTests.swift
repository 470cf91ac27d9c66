import Billing
import StripeAPI
import Synchronization
import Testing

@testable import Payments

/// Stripe's list and a ledger, as far as events go.
private final class FakeEvents: EventChores {
    private struct State {
        var kept: [String: String] = [:]
        var applied: [String] = []
        var progress: String?
        var holder: String?
        var taken = 0
    }

    private let state = Mutex(State())

    var applied: [String] { self.state.withLock { $0.applied } }
    var kept: [String: String] { self.state.withLock { $0.kept } }
    var progress: String? { self.state.withLock { $0.progress } }
    var taken: Int { self.state.withLock { $0.taken } }

    func apply(_ event: StripeEventRecord) {
        self.state.withLock {
            $0.applied.append(event.id)
            $0.kept[event.id] = nil
        }
    }

    func keep(_ event: StripeEventRecord, _ reason: String) {
        self.state.withLock { $0.kept[event.id] = reason }
    }

    func give(_ job: String, to holder: String) { self.state.withLock { $0.holder = holder } }

    func settledEvents(among ids: [String]) async throws -> Set<String> {
        self.state.withLock { state in Set(ids.filter { state.applied.contains($0) || state.kept[$0] != nil })
        }
    }

    func unappliedEvents(livemode: Bool, limit: Int64) async throws -> [StripeEventRecord] {
        self.state.withLock { $0.kept.keys.sorted().map { .event($0, at: 0) } }
    }

    func takeJob(_ job: String, for holder: String, seconds: Int64) async throws -> JobLease? {
        self.state.withLock { state in
            guard state.holder == nil || state.holder == holder else { return nil }
            (state.holder, state.taken) = (holder, state.taken + 1)
            return JobLease(progress: state.progress)
        }
    }

    func endJob(_ job: String, by holder: String) async throws {}

    func noteProgress(of job: String, by holder: String, _ progress: String) async throws {
        self.state.withLock { if $0.holder == holder { $0.progress = progress } }
    }
}

extension StripeEventRecord {
    fileprivate static func event(
        _ id: String, at createdAt: Int64, payment: String? = nil
    ) -> StripeEventRecord {
        StripeEventRecord(
            id: id, type: "charge.refunded", livemode: false, createdAt: createdAt, source: .poll,
            kind: .payment(PaymentHint(paymentIntent: payment ?? "pi_\(id)", session: nil, purchase: nil)))
    }
}

/// One event that cannot be applied must not hold up those behind it.
@Suite struct EventWatchTests {
    private struct Unreadable: Error {}
    private static let now: Int64 = 1_790_000_000
    private static let hour: Int64 = 3600

    /// - Parameters:
    ///   - broken: events that cannot be applied.
    ///   - steps: how far the clock goes with each event.
    private func watch(
        _ ledger: FakeEvents, _ events: [StripeEventRecord], failing: @escaping (String) -> (any Error)?,
        listed: @escaping (CreationWindow) throws -> Void = { _ in }, keeps: Bool = true
    ) -> EventWatch {
        EventWatch(
            chores: ledger, isLive: false,
            list: { window, types in
                guard types.contains("charge.refunded") else { return [] }
                try listed(window)
                return events.filter { $0.createdAt >= window.from && $0.createdAt < window.to ?? .max }
            },
            apply: { event in
                if let error = failing(event.id) { throw error }
                ledger.apply(event)
            },
            keep: { event, reason, _ in
                guard keeps else { throw Unreadable() }
                ledger.keep(event, reason)
            },
            now: { Self.now })
    }

    private func hold(_ ledger: FakeEvents) async throws -> JobHold {
        try #require(try await JobHold("payments:test", by: "a", ledger))
    }

    private static func events(_ count: Int64, apart seconds: Int64 = 600) -> [StripeEventRecord] {
        (0..<count).map { .event("evt_\(100 + $0)", at: Self.now - (count - $0) * seconds) }
    }

    @Test func whatCannotBeAppliedIsKeptAndTheRestIsApplied() async throws {
        let (ledger, events) = (FakeEvents(), Self.events(40, apart: 3600))
        let broken = ["evt_103", "evt_110"]
        var watch = self.watch(ledger, events) { id in
            broken.contains(id) ? StripeFailure(id == "evt_103" ? .unreadableReply : .outOfTime) : nil
        }
        try await watch.look(try await self.hold(ledger))
        #expect(ledger.applied == events.map(\.id).filter { !broken.contains($0) })
        #expect(ledger.kept == ["evt_103": "not_applied_unreadable", "evt_110": "not_applied_timeout"])
        #expect(ledger.progress == "\(Self.now - Self.hour)")
        // Not at once, else each would cost its time twice.
        try await watch.tryAgain(try await self.hold(ledger))
        #expect(ledger.applied.count == 38 && ledger.kept.count == 2)
        #expect(ledger.kept == ["evt_103": "not_applied_unreadable", "evt_110": "not_applied_timeout"])
        // They are tried again by the next pass, and only they.
        var later = self.watch(ledger, events) { _ in nil }
        try await later.look(try await self.hold(ledger))
        #expect(ledger.applied.count == 38)
        try await later.tryAgain(try await self.hold(ledger))
        #expect(ledger.applied.suffix(2) == ["evt_103", "evt_110"] && ledger.kept.isEmpty)
    }

    /// A long absence is read in pieces, and what is done is noted.
    @Test func aLongTimeIsReadWindowByWindow() async throws {
        let ledger = FakeEvents()
        let windows = Mutex<[CreationWindow]>([])
        var watch = self.watch(
            ledger, Self.events(3), failing: { _ in nil }, listed: { w in windows.withLock { $0.append(w) } })
        try await watch.look(try await self.hold(ledger))
        #expect(windows.withLock { $0.count } == 12)
        #expect(windows.withLock { $0.allSatisfy { ($0.to ?? Self.now) - $0.from <= 6 * Self.hour } })
    }

    /// One account at Stripe may sell more than credits: what cannot be listed in its time is listed in smaller pieces,
    /// else each pass would fail at the same place for ever.
    @Test(arguments: [StripeFailure(.outOfTime), StripeFailure(.unreachable(.timedOut(sent: true)))])
    func aWindowWithTooManyEventsIsReadInPieces(_ failure: StripeFailure) async throws {
        let (ledger, events) = (FakeEvents(), Self.events(200))
        let longest = Mutex<Int64>(0)
        var watch = self.watch(
            ledger, events, failing: { _ in nil },
            listed: { window in
                let seconds = (window.to ?? Self.now) - window.from
                guard seconds <= 1500 else { throw failure }
                longest.withLock { $0 = max($0, seconds) }
            })
        try await watch.look(try await self.hold(ledger))
        #expect(ledger.applied == events.map(\.id) && ledger.progress == "\(Self.now - Self.hour)")
        #expect(longest.withLock { $0 } > 1000)
    }

    /// What was read until then is noted, and nothing else is done for ever.
    @Test func aListThatIsAlwaysTooLongEndsThePass() async throws {
        let (ledger, events) = (FakeEvents(), Self.events(200))
        let asked = Mutex(0)
        let end = Self.now - 20 * Self.hour
        var watch = self.watch(
            ledger, events, failing: { _ in nil },
            listed: { window in
                asked.withLock { $0 += 1 }
                if window.to ?? Self.now > end { throw StripeFailure(.outOfTime) }
            })
        await #expect(throws: StripeFailure(.outOfTime)) {
            try await watch.look(try await self.hold(ledger))
        }
        let progress = try #require(ledger.progress.flatMap { Int64($0) })
        #expect(progress <= end && progress > end - 120 && asked.withLock { $0 } < 100)
        #expect(ledger.applied == events.filter { $0.createdAt < progress }.map(\.id))
    }

    /// Another instance would begin while this one still waits for Stripe.
    @Test func aLeaseOutlivesAListing() async throws {
        let ledger = FakeEvents()
        let clock = Mutex(ContinuousClock.now)
        let hold = try #require(
            try await JobHold("payments:test", by: "a", ledger, now: { clock.withLock { $0 } }))
        // Each lists for as long as it may: between two of them the lease is renewed.
        var renewedAt = clock.withLock { $0 }
        var taken = ledger.taken
        for _ in 0..<40 {
            clock.withLock { $0 = $0.advanced(by: .seconds(7)) }
            try await hold.prolong()
            if ledger.taken > taken { (taken, renewedAt) = (ledger.taken, clock.withLock { $0 }) }
            let end = clock.withLock { $0.advanced(by: JobHold.stepMax) }
            #expect(renewedAt.duration(to: end) < .seconds(JobHold.seconds))
        }
        #expect(taken > 3)
    }

    /// Nothing can be kept: the next pass reads it all again from where the last window ended.
    @Test func whileTheLedgerIsAwayTheProgressStays() async throws {
        let (ledger, events) = (FakeEvents(), Self.events(20, apart: 3600))
        var watch = self.watch(
            ledger, events, failing: { $0 == "evt_112" ? Unreadable() : nil }, keeps: false)
        await #expect(throws: Unreadable.self) { try await watch.look(try await self.hold(ledger)) }
        let progress = try #require(ledger.progress.flatMap { Int64($0) })
        #expect(progress <= events[12].createdAt && progress > events[12].createdAt - 7 * Self.hour)
        #expect(ledger.kept.isEmpty && !ledger.applied.contains("evt_113"))
    }

    /// When Stripe is away as a whole, asking on is of no use; and no number of broken events stops it for good.
    @Test func manyFailuresInARowEndThePassAndNotTheWatch() async throws {
        let (ledger, events) = (FakeEvents(), Self.events(14, apart: 60))
        let broken = Set(events.prefix(12).map(\.id))
        var watch = self.watch(ledger, events) { broken.contains($0) ? Unreadable() : nil }
        for kept in [5, 10] {
            await #expect(throws: EventWatch.StripeIsAway.self) {
                try await watch.look(try await self.hold(ledger))
            }
            #expect(ledger.kept.count == kept && ledger.applied.isEmpty)
        }
        try await watch.look(try await self.hold(ledger))
        #expect(ledger.kept.count == 12 && ledger.applied == ["evt_112", "evt_113"])
        #expect(Set(ledger.kept.values) == ["not_applied_ledger"])
    }

    /// Of a payment that cannot be read, Stripe sends five events and more.
    @Test func aPaymentThatCannotBeFollowedIsAskedAboutOnce() async throws {
        let ledger = FakeEvents()
        let events = (0..<9).map { StripeEventRecord.event("evt_\($0)", at: Self.now - 99, payment: "pi_x") }
        let asked = Mutex(0)
        var watch = self.watch(ledger, events + Self.events(2, apart: 1)) { id in
            guard id.count == 5 else { return nil }
            asked.withLock { $0 += 1 }
            return StripeFailure(.apiError(status: 500))
        }
        try await watch.look(try await self.hold(ledger))
        #expect(asked.withLock { $0 } == 1 && ledger.kept.count == 9)
        #expect(Set(ledger.kept.values) == ["not_applied_api_error"])
        #expect(ledger.applied == ["evt_100", "evt_101"])
    }

    @Test func aPassWithoutItsLeaseStops() async throws {
        let (ledger, events) = (FakeEvents(), Self.events(30, apart: 60))
        let clock = Mutex(ContinuousClock.now)
        let hold = try #require(
            try await JobHold("payments:test", by: "a", ledger, now: { clock.withLock { $0 } }))
        var watch = self.watch(ledger, events) { id in
            clock.withLock { $0 = $0.advanced(by: .seconds(20)) }
            // Another instance has taken it, as it may when ours has run out.
            if id == "evt_110" { ledger.give("payments:test", to: "b") }
            return nil
        }
        await #expect(throws: JobHold.Lost.self) { try await watch.look(hold) }
        #expect(ledger.applied.count >= 11 && ledger.applied.count <= 14)
        // Prolonged now and then before that, not with each event.
        #expect(ledger.taken >= 3 && ledger.taken <= 5)
    }
}
