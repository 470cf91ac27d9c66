import Billing
import StripeAPI
import Synchronization
import Testing

@testable import Payments

/// Stored events, and nothing else of a ledger.
private final class FakeRecords: PaymentReplaying {
    private let stored: [StoredEvent]
    private let state = Mutex(0)

    init(_ stored: [StoredEvent] = []) { self.stored = stored }

    /// The most events that were asked for at a time.
    var queries: Int { self.state.withLock { $0 } }

    func purchases(_ query: PurchaseQuery) async throws -> [PurchaseLine] { [] }

    func events(_ query: StoredEventQuery) async throws -> [StoredEvent] {
        self.state.withLock { $0 += 1 }
        return self.stored.filter {
            query.outcomes.contains($0.outcome) && $0.record.createdAt >= query.from ?? .min
                && $0.record.createdAt < query.to ?? .max
        }
    }

    func event(_ id: String) async throws -> StoredEvent? { self.stored.first { $0.record.id == id } }

    func rehearse(
        _ hint: PaymentHint, event: StripeEventRecord, reader: any PaymentReading
    ) async throws -> Rehearsal { Rehearsal(outcome: .upToDate) }
}

private struct NoReader: PaymentReading {
    struct Never: Error {}

    func payment(_ paymentIntent: String) throws -> PaymentSnapshot { throw Never() }
    func session(_ id: String) throws -> SessionSnapshot { throw Never() }
}

/// A replay of a long time: what it tells, and in which order.
@Suite struct ReplayRunTests {
    private static let day: Int64 = 86_400
    /// In the middle of a UTC day.
    private static let now: Int64 = 20_700 * day + 43_200

    private static func event(_ id: String, at createdAt: Int64) -> StripeEventRecord {
        StripeEventRecord(
            id: id, type: "charge.refunded", livemode: false, createdAt: createdAt, source: .replay,
            kind: .payment(PaymentHint(paymentIntent: "pi_1", session: nil, purchase: nil)))
    }

    /// One an hour, `hours` ago and on.
    private static func hourly(_ hours: Int64) -> [StripeEventRecord] {
        (0..<hours).map { Self.event("evt_\(1000 + $0)", at: Self.now - (hours - $0) * 3600) }
    }

    private final class World: Sendable {
        let log = Mutex<[String]>([])
        func note(_ text: String) { self.log.withLock { $0.append(text) } }
    }

    private func ports(
        _ events: [StripeEventRecord], _ world: World = World(),
        failing: @escaping @Sendable (String) -> (any Error)? = { _ in nil }
    ) -> ReplayPorts {
        ReplayPorts(
            isLive: false, now: { Self.now },
            list: { window, types, _ in
                world.note("list")
                #expect((window.to ?? Self.now) - window.from <= Self.day)
                return events.filter {
                    types.contains($0.type) && $0.createdAt >= window.from && $0.createdAt < window.to ?? .max
                }
            },
            event: { id in throw StripeFailure(.notFound(parameter: id)) },
            apply: { event in
                if let error = failing(event.id) { throw error }
                world.note(event.id)
                return .upToDate
            }, reader: { NoReader() })
    }

    private func run(
        _ ports: ReplayPorts, _ selection: PaymentReplay.Selection, records: FakeRecords = FakeRecords(),
        types: Set<String> = [], isRehearsal: Bool = false
    ) async throws -> (events: [ReplayedEvent], parts: [ReplayedPart]) {
        var steps: [ReplayStep] = []
        try await PaymentReplay(ports, records: records).run(
            selection, types: types, isRehearsal: isRehearsal
        ) {
            steps.append($0)
        }
        return (
            steps.compactMap { if case .event(let event) = $0 { event } else { nil } },
            steps.compactMap { if case .part(let part) = $0 { part } else { nil } }
        )
    }

    @Test(arguments: [PaymentReplay.Selection.happened(from: now - 5 * day, to: nil), .undelivered])
    func eachDayIsAppliedBeforeTheNextIsRead(_ selection: PaymentReplay.Selection) async throws {
        let (world, events) = (World(), Self.hourly(100))
        let told = try await self.run(self.ports(events, world), selection)
        #expect(told.events.map(\.event.id) == events.map(\.id))
        #expect(told.parts.map(\.events).reduce(0, +) == 100 && told.parts.map(\.events).max() == 24)
        #expect(told.parts.last?.day == UTCDay(daysSinceEpoch: 20_700))
        #expect(told.parts.last?.doneUntil == Self.now - EventPoll.overlapSeconds)
        #expect(told.parts.dropLast().allSatisfy { $0.doneUntil.map { $0 % Self.day == 0 } ?? false })
        // At no time more than a day is in memory.
        let log = world.log.withLock { $0 }
        let runs = log.split(separator: "list", omittingEmptySubsequences: true)
        #expect(runs.allSatisfy { $0.count <= 24 } && runs.count >= 5)
    }

    /// A day with more events than can be listed in time is listed by halves, and nothing of it is missed or done twice.
    @Test(arguments: [StripeFailure(.outOfTime), StripeFailure(.unreachable(.timedOut(sent: true)))])
    func aDayWithTooManyEventsIsListedInPieces(_ failure: StripeFailure) async throws {
        let events = Self.hourly(100)
        var ports = self.ports(events)
        let list = ports.list
        ports.list = { window, types, onlyUndelivered in
            guard (window.to ?? Self.now) - window.from <= 7200 else { throw failure }
            return try await list(window, types, onlyUndelivered)
        }
        let told = try await self.run(ports, .happened(from: Self.now - 5 * Self.day, to: nil))
        #expect(told.events.map(\.event.id) == events.map(\.id))
        #expect(told.parts.last?.doneUntil == Self.now - EventPoll.overlapSeconds)
        // Where not even a minute can be listed, it ends, and says so.
        ports.list = { _, _, _ in throw failure }
        let never = ports
        await #expect(throws: PaymentReplay.Failure.unlisted(failure.label)) {
            try await self.run(never, .undelivered)
        }
    }

    /// What was not read is open, and nothing behind it is called done, whatever comes after.
    @Test func nothingIsDoneBeyondWhatWasNotRead() async throws {
        let events = Self.hourly(100)
        let ports = self.ports(events, failing: { $0 == "evt_1050" ? StripeFailure(.outOfTime) : nil })
        let told = try await self.run(ports, .happened(from: Self.now - 5 * Self.day, to: nil))
        #expect(told.events.count == 100 && told.events.filter(\.isOpen).map(\.event.id) == ["evt_1050"])
        let open = events[50].createdAt
        let done = told.parts.compactMap(\.doneUntil)
        #expect(done.allSatisfy { $0 <= open } && done.last == open - open % Self.day)
    }

    @Test func aFirstDayThatWasNotReadIsNotDone() async throws {
        let ports = self.ports(Self.hourly(30), failing: { _ in StripeFailure(.outOfTime) })
        let told = try await self.run(ports, .happened(from: Self.now - 30 * 3600, to: nil))
        #expect(told.parts.count == 2 && told.parts.allSatisfy { $0.doneUntil == nil })
    }

    /// Events of other types of that time were not applied.
    @Test func aReplayOfSomeTypesIsNotDone() async throws {
        let told = try await self.run(
            self.ports(Self.hourly(30)), .happened(from: Self.now - 2 * Self.day, to: nil),
            types: ["charge.refunded"])
        #expect(told.events.count == 30 && told.parts.count == 3)
        #expect(told.parts.allSatisfy { $0.doneUntil == nil })
    }

    /// Whatever the end of the selection is: what is not listed yet, or has not happened yet, is not done.
    @Test(arguments: [now - 1, now + 1, now + 3600, now + 11 * 3600])
    func nothingIsDoneBeyondNow(_ to: Int64) async throws {
        let selection = PaymentReplay.Selection.happened(from: Self.now - 2 * Self.day, to: to)
        let told = try await self.run(self.ports(Self.hourly(30)), selection)
        #expect(told.events.count == 30 && told.parts.last?.doneUntil == Self.now - EventPoll.overlapSeconds)
    }

    @Test func aRehearsalDoesNothing() async throws {
        let told = try await self.run(
            self.ports(Self.hourly(30)), .happened(from: Self.now - 2 * Self.day, to: nil), isRehearsal: true)
        #expect(told.events.count == 30 && told.parts.allSatisfy { $0.doneUntil == nil })
    }

    /// A ledger that is lost in the middle ends it; what was told until then is true.
    @Test func aLedgerThatIsAwayEndsIt() async throws {
        struct Away: Error {}
        let ports = self.ports(Self.hourly(100), failing: { $0 == "evt_1050" ? Away() : nil })
        var last: Int64?
        await #expect(throws: Away.self) {
            try await PaymentReplay(ports, records: FakeRecords()).run(
                .happened(from: Self.now - 5 * Self.day, to: nil), isRehearsal: false
            ) { if case .part(let part) = $0 { last = part.doneUntil } }
        }
        #expect(try #require(last) <= Self.hourly(100)[50].createdAt)
    }

    /// Stripe has forgotten it; the ledger has not.
    @Test func whatOnlyTheLedgerKnowsIsInItsPlace() async throws {
        let old = Self.event("evt_old", at: Self.now - 60 * Self.day)
        let oldest = Self.event("evt_oldest", at: Self.now - 400 * Self.day)
        let records = FakeRecords(
            [old, oldest].map {
                StoredEvent(
                    record: $0, outcome: .dead, reason: "x", attempts: 1,
                    cursor: .init(receivedAt: 0, id: $0.id))
            })
        let told = try await self.run(
            self.ports(Self.hourly(3)), .happened(from: 0, to: nil), records: records)
        #expect(told.events.map(\.event.id) == ["evt_oldest", "evt_old", "evt_1000", "evt_1001", "evt_1002"])
        #expect(told.parts.first?.day == nil && told.parts.count == 122)
        let dead = try await self.run(self.ports([]), .dead(from: nil, to: nil), records: records)
        #expect(dead.events.map(\.event.id) == ["evt_oldest", "evt_old"] && dead.parts.isEmpty)
    }

    /// (from, to, days): every second of the selection is in one portion.
    @Test(
        arguments: [
            (now - day, nil, 2), (now - 10, now - 5, 1), (now - 3 * day, now - day, 3), (now, nil, 0),
            (now + day, nil, 0), (now - 200 * day, now - 150 * day, 1),
            (20_690 * day, 20_692 * day, 2),
        ] as [(Int64, Int64?, Int)])
    func aTimeIsCutAtMidnight(_ from: Int64, _ to: Int64?, _ count: Int) {
        let portions = ReplayPortion.days(from: from, to: to, now: Self.now)
        #expect(portions.count == count)
        for (portion, next) in zip(portions, portions.dropFirst()) { #expect(portion.to == next.from) }
        guard let first = portions.first, let last = portions.last else { return }
        #expect(first.from == from && last.to == to)
    }
}
