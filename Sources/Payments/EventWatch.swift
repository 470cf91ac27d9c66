import Billing
import StripeAPI

/// Events that Stripe could not deliver, or that it delivered to a ledger that was set back since. One that cannot be applied
/// is kept, and holds up no other.
struct EventWatch {
    struct StripeIsAway: Error {}

    /// So many payments in a row that cannot be followed are not the payments' fault.
    private static let failuresMax = 5
    private static let batch: Int64 = 200

    let chores: any EventChores
    let isLive: Bool
    /// All events of these types, of a window; within `JobHold.stepMax`.
    let list: (CreationWindow, _ types: [String]) async throws -> [StripeEventRecord]
    let apply: (StripeEventRecord) async throws -> Void
    /// As a dead letter, because of an error.
    let keep: (StripeEventRecord, _ reason: String, any Error) async throws -> Void
    /// Seconds since 1970.
    let now: () -> Int64
    /// In this pass: enough is known of them until the next one.
    private(set) var keptNow: Set<String> = []

    /// All events, not only those that Stripe could not deliver: what it delivered can be lost with a ledger that was
    /// restored, and an endpoint that is gone has nothing undelivered.
    ///
    /// - Throws: also when nothing can be kept, because the ledger is away; the progress stays where it is then.
    mutating func look(_ hold: JobHold) async throws {
        var poll = EventPoll(progress: hold.progress.flatMap { Int64($0) }, now: self.now())
        while let window = poll.next() {
            let events: [StripeEventRecord]
            do {
                events = try await self.events(of: window, hold)
            } catch let failure as StripeFailure where failure.isOfTime {
                guard poll.halve(window) else { throw failure }
                continue
            }
            let settled = try await self.chores.settledEvents(among: events.map(\.id))
            try await self.applyAll(
                events.filter { !settled.contains($0.id) }.sorted {
                    ($0.createdAt, $0.id) < ($1.createdAt, $1.id)
                }, hold)
            try await hold.note(String(window.progress))
        }
    }

    private func events(of window: EventPoll.Window, _ hold: JobHold) async throws -> [StripeEventRecord] {
        var events: [StripeEventRecord] = []
        for types in StripeEventKind.paymentTypesForListing {
            try await hold.prolong()
            events += try await self.list(CreationWindow(from: window.from, to: window.to), types)
        }
        return events
    }

    /// Those of the last days that were kept because they could not be applied. Afterwards they are a person's.
    mutating func tryAgain(_ hold: JobHold) async throws {
        let events = try await self.chores.unappliedEvents(livemode: self.isLive, limit: Self.batch)
        try await self.applyAll(events.filter { !self.keptNow.contains($0.id) }, hold)
    }

    private mutating func applyAll(_ events: [StripeEventRecord], _ hold: JobHold) async throws {
        var inARow = 0
        var failed: [String: any Error] = [:]
        for event in events {
            try await hold.prolong()
            // Several events are about one payment, and it is not asked about again as soon as this.
            if let error = failed[event.subject] {
                try await self.keep(event, because: error)
                continue
            }
            do {
                try await self.apply(event)
                inARow = 0
            } catch {
                // Whoever is told to stop has not failed.
                try Task.checkCancellation()
                try await self.keep(event, because: error)
                failed[event.subject] = error
                inARow += 1
                guard inARow < Self.failuresMax else { throw StripeIsAway() }
            }
        }
    }

    private mutating func keep(_ event: StripeEventRecord, because error: any Error) async throws {
        try await self.keep(event, StripeEventRecord.notApplied + Self.word(error), error)
        self.keptNow.insert(event.id)
    }

    /// Bounded: part of a metric label.
    private static func word(_ error: any Error) -> String {
        // What is not Stripe's is the ledger's.
        guard let failure = error as? StripeFailure else { return "ledger" }
        if failure.isOfTime { return "timeout" }
        return failure.kind == .unreadableReply ? "unreadable" : failure.label
    }
}

extension StripeFailure {
    /// It took too long: between two calls, or in the middle of one.
    var isOfTime: Bool {
        switch self.kind {
        case .outOfTime, .unreachable(.timedOut): true
        default: false
        }
    }
}

extension StripeEventRecord {
    /// What it is about.
    fileprivate var subject: String {
        guard case .payment(let hint) = self.kind else { return self.id }
        return hint.paymentIntent ?? hint.session ?? self.id
    }
}
