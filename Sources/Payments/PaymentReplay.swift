import Billing
import StripeAPI

/// An event that was applied again, or rehearsed.
public struct ReplayedEvent: Sendable, Hashable {
    public enum Result: Sendable, Hashable {
        case settled(PaymentOutcome)
        case rehearsed(Rehearsal)
        /// Stripe was not to be read just now; a bounded word. The event is as it was.
        case unread(String)
    }

    public var event: StripeEventRecord
    public var result: Result

    public init(event: StripeEventRecord, result: Result) {
        self.event = event
        self.result = result
    }

    /// A person, or another replay, still has to do something about it.
    public var isOpen: Bool {
        switch self.result {
        case .settled(.dead), .unread: true
        case .rehearsed(let rehearsal): if case .dead = rehearsal.outcome { true } else { false }
        case .settled: false
        }
    }
}

/// Applies events again: those that Stripe has, and those that are stored here and that Stripe has forgotten. What an
/// event says is never needed again: the purchase that it names is read anew.
public struct PaymentReplay: Sendable {
    public enum Selection: Sendable, Hashable {
        case event(String)
        /// That no endpoint has answered with a 2xx, as far back as Stripe knows.
        case undelivered
        /// Seconds since 1970, the end not included.
        case happened(from: Int64, to: Int64?)
        case dead(from: Int64?, to: Int64?)
    }

    public enum Failure: Error, Sendable, Hashable {
        case notConfigured
        /// Neither Stripe nor the ledger knows it.
        case unknownEvent
        /// Stripe does not list its events; a bounded word.
        case unlisted(String)
    }

    private static let pageSize: Int64 = 500
    /// Stripe keeps events for 30 days.
    private static let eventSecondsMax: Int64 = 29 * 86_400

    private let desk: PaymentDesk
    private let records: any PaymentReplaying

    public init(desk: PaymentDesk, records: any PaymentReplaying) {
        self.desk = desk
        self.records = records
    }

    /// - Parameters:
    ///   - types: only of these; empty means all that payments need.
    ///   - isRehearsal: says what would be posted, and commits nothing.
    ///   - tell: called after each event, in the order in which they happened.
    /// - Throws: `Failure`, and what the ledger throws; what was applied until then stays.
    public func run(
        _ selection: Selection, types: Set<String> = [], isRehearsal: Bool, tell: (ReplayedEvent) -> Void
    ) async throws {
        guard let stripe = self.desk.stripe else { throw Failure.notConfigured }
        for event in try await self.events(selection, types, stripe) {
            try Task.checkCancellation()
            tell(ReplayedEvent(event: event, result: try await self.apply(event, isRehearsal, stripe)))
        }
    }

    // MARK: Which

    private func events(
        _ selection: Selection, _ types: Set<String>, _ stripe: StripeClient
    ) async throws -> [StripeEventRecord] {
        let oldest = self.desk.now() / 1000 - Self.eventSecondsMax
        var found: [String: StripeEventRecord] = [:]
        switch selection {
        case .event(let id):
            return [try await self.single(id, stripe)]
        case .undelivered:
            try await self.list(CreationWindow(from: oldest), types, onlyUndelivered: true, stripe, &found)
        case .happened(let from, let to):
            try await self.collect(.init(outcomes: [.applied, .dead], from: from, to: to, limit: 0), &found)
            try await self.list(
                CreationWindow(from: max(from, oldest), to: to), types, onlyUndelivered: false, stripe, &found
            )
        case .dead(let from, let to):
            try await self.collect(.init(outcomes: [.dead], from: from, to: to, limit: 0), &found)
        }
        return found.values.filter { types.isEmpty || types.contains($0.type) }
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }

    private func single(_ id: String, _ stripe: StripeClient) async throws -> StripeEventRecord {
        let stored = try await self.records.event(id)
        do throws(StripeFailure) {
            let event = try await stripe.run(RetrieveEvent(id))
            return StripeEventRecord(event, isLive: stripe.isLive, source: .replay)
        } catch {
            guard let stored else {
                if case .notFound = error.kind { throw Failure.unknownEvent }
                throw Failure.unlisted(error.label)
            }
            return stored.replayed
        }
    }

    private func list(
        _ window: CreationWindow, _ types: Set<String>, onlyUndelivered: Bool, _ stripe: StripeClient,
        _ found: inout [String: StripeEventRecord]
    ) async throws {
        for portion in StripeEventKind.paymentTypesForListing {
            let wanted = types.isEmpty ? portion : portion.filter(types.contains)
            guard !wanted.isEmpty else { continue }
            do throws(StripeFailure) {
                let events = try await stripe.run(
                    ListEvents(created: window, types: wanted, onlyUndelivered: onlyUndelivered))
                for event in events {
                    found[event.id] = StripeEventRecord(event, isLive: stripe.isLive, source: .replay)
                }
            } catch {
                throw Failure.unlisted(error.label)
            }
        }
    }

    private func collect(
        _ query: StoredEventQuery, _ found: inout [String: StripeEventRecord]
    ) async throws {
        var query = query
        query.limit = Self.pageSize
        while true {
            let page = try await self.records.events(query)
            for stored in page { found[stored.record.id] = stored.replayed }
            guard let last = page.last, page.count == Self.pageSize else { return }
            query.before = last.cursor
        }
    }

    // MARK: What comes of it

    private func apply(
        _ event: StripeEventRecord, _ isRehearsal: Bool, _ stripe: StripeClient
    ) async throws -> ReplayedEvent.Result {
        // Test money and live money never meet: with this key there is nothing to read.
        guard event.livemode == stripe.isLive else {
            return Self.result(.dead(reason: PaymentDoubt.wrongLivemode.rawValue), isRehearsal)
        }
        do {
            guard case .unusable(let defect) = event.kind else {
                return isRehearsal
                    ? .rehearsed(try await self.rehearse(event, stripe))
                    : .settled(try await self.desk.apply(event, stripe))
            }
            if !isRehearsal { _ = try await self.desk.apply(event, stripe) }
            // Kept before, it still names no payment.
            return Self.result(.dead(reason: defect.rawValue), isRehearsal)
        } catch let failure as StripeFailure {
            guard isRehearsal, !failure.mayRetry else { return .unread(failure.label) }
            return .rehearsed(Rehearsal(outcome: .dead(reason: failure.label)))
        }
    }

    private func rehearse(_ event: StripeEventRecord, _ stripe: StripeClient) async throws -> Rehearsal {
        guard case .payment(let hint) = event.kind else { return Rehearsal(outcome: .ignored) }
        return try await self.records.rehearse(
            hint, event: event, reader: StripePaymentReader(stripe: stripe))
    }

    private static func result(_ outcome: PaymentOutcome, _ isRehearsal: Bool) -> ReplayedEvent.Result {
        isRehearsal ? .rehearsed(Rehearsal(outcome: outcome)) : .settled(outcome)
    }
}

extension StoredEvent {
    /// To be applied once more by what is stored of it.
    var replayed: StripeEventRecord {
        var record = self.record
        record.source = .replay
        // Stored without a name, it was one that ought to have had one.
        if self.outcome == .dead, self.hint == nil { record.kind = .unusable(self.defect) }
        return record
    }

    private var defect: StripeEventKind.Defect {
        self.reason.flatMap { StripeEventKind.Defect(rawValue: $0) } ?? .namesNoPayment
    }
}
