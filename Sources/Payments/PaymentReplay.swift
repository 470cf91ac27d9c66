import Billing
import StripeAPI

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

        /// It goes day by day.
        var isOfTime: Bool {
            switch self {
            case .undelivered, .happened: true
            case .event, .dead: false
            }
        }
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

    /// nil: no key is set.
    private let ports: ReplayPorts?
    private let records: any PaymentReplaying

    public init(desk: PaymentDesk, records: any PaymentReplaying) {
        self.init(ReplayPorts(desk), records: records)
    }

    init(_ ports: ReplayPorts?, records: any PaymentReplaying) {
        self.ports = ports
        self.records = records
    }

    /// Day by day where the selection is of a time, so that a long one shows how far it is and needs no more memory than
    /// its busiest day.
    ///
    /// - Parameters:
    ///   - types: only of these; empty means all that payments need.
    ///   - isRehearsal: says what would be posted, and commits nothing.
    /// - Throws: `Failure`, and what the ledger throws; what was applied until then stays.
    public func run(
        _ selection: Selection, types: Set<String> = [], isRehearsal: Bool, tell: (ReplayStep) -> Void
    ) async throws {
        guard let ports else { throw Failure.notConfigured }
        var progress = ReplayProgress(isWhole: types.isEmpty && !isRehearsal)
        let now = ports.now()
        for portion in self.portions(of: selection, now: now) {
            let events = try await self.events(selection, portion, types, now, ports)
            for event in events {
                try Task.checkCancellation()
                let replayed = ReplayedEvent(
                    event: event, result: try await self.apply(event, isRehearsal, ports))
                progress.add(replayed)
                tell(.event(replayed))
            }
            progress.end(portion, now: now)
            guard selection.isOfTime else { continue }
            tell(
                .part(
                    ReplayedPart(
                        day: portion.day, events: events.count,
                        doneUntil: progress.doneUntil)))
        }
    }

    // MARK: Which

    private func portions(of selection: Selection, now: Int64) -> [ReplayPortion] {
        switch selection {
        case .event: [ReplayPortion()]
        case .undelivered: ReplayPortion.days(from: now - Self.eventSecondsMax, to: nil, now: now)
        case .happened(let from, let to): ReplayPortion.days(from: from, to: to, now: now)
        // Few, and all of them are here.
        case .dead(let from, let to): [ReplayPortion(from: from, to: to)]
        }
    }

    private func events(
        _ selection: Selection, _ portion: ReplayPortion, _ types: Set<String>, _ now: Int64,
        _ ports: ReplayPorts
    ) async throws -> [StripeEventRecord] {
        var found: [String: StripeEventRecord] = [:]
        switch selection {
        case .event(let id):
            return [try await self.single(id, ports)]
        case .undelivered:
            try await self.list(portion, types, onlyUndelivered: true, now, ports, &found)
            try await self.leaveDismissed(portion, &found)
        case .happened:
            try await self.collect([.applied, .dead], portion, &found)
            try await self.list(portion, types, onlyUndelivered: false, now, ports, &found)
            try await self.leaveDismissed(portion, &found)
        case .dead:
            try await self.collect([.dead], portion, &found)
        }
        return found.values.filter { types.isEmpty || types.contains($0.type) }
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }

    private func single(_ id: String, _ ports: ReplayPorts) async throws -> StripeEventRecord {
        let stored = try await self.records.event(id)
        do {
            return try await ports.event(id)
        } catch let failure as StripeFailure {
            guard let stored else {
                if case .notFound = failure.kind { throw Failure.unknownEvent }
                throw Failure.unlisted(failure.label)
            }
            return stored.replayed
        }
    }

    private func list(
        _ portion: ReplayPortion, _ types: Set<String>, onlyUndelivered: Bool, _ now: Int64,
        _ ports: ReplayPorts, _ found: inout [String: StripeEventRecord]
    ) async throws {
        let oldest = now - Self.eventSecondsMax
        guard portion.to.map({ $0 > oldest }) ?? true else { return }
        let window = CreationWindow(from: max(portion.from ?? oldest, oldest), to: portion.to)
        for some in StripeEventKind.paymentTypesForListing {
            let wanted = types.isEmpty ? some : some.filter(types.contains)
            guard !wanted.isEmpty else { continue }
            do {
                for event in try await ports.all(window, wanted, onlyUndelivered, now: now) {
                    found[event.id] = event
                }
            } catch let failure as StripeFailure {
                throw Failure.unlisted(failure.label)
            }
        }
    }

    /// Who wants what was dismissed names it.
    private func leaveDismissed(
        _ portion: ReplayPortion, _ found: inout [String: StripeEventRecord]
    ) async throws {
        var dismissed: [String: StripeEventRecord] = [:]
        try await self.collect([.dismissed], portion, &dismissed)
        for id in dismissed.keys { found[id] = nil }
    }

    private func collect(
        _ outcomes: Set<EventOutcome>, _ portion: ReplayPortion, _ found: inout [String: StripeEventRecord]
    ) async throws {
        var query = StoredEventQuery(
            outcomes: outcomes, from: portion.from, to: portion.to, limit: Self.pageSize)
        while true {
            let page = try await self.records.events(query)
            for stored in page { found[stored.record.id] = stored.replayed }
            guard let last = page.last, page.count == Self.pageSize else { return }
            query.before = last.cursor
        }
    }

    // MARK: What comes of it

    private func apply(
        _ event: StripeEventRecord, _ isRehearsal: Bool, _ ports: ReplayPorts
    ) async throws -> ReplayedEvent.Result {
        // Test money and live money never meet: with this key there is nothing to read.
        guard event.livemode == ports.isLive else {
            return Self.result(.dead(reason: PaymentDoubt.wrongLivemode.rawValue), isRehearsal)
        }
        do {
            guard case .unusable(let defect) = event.kind else {
                return isRehearsal
                    ? .rehearsed(try await self.rehearse(event, ports))
                    : .settled(try await ports.apply(event))
            }
            if !isRehearsal { _ = try await ports.apply(event) }
            // Kept before, it still names no payment.
            return Self.result(.dead(reason: defect.rawValue), isRehearsal)
        } catch let failure as StripeFailure {
            guard isRehearsal, !failure.mayRetry else { return .unread(failure.label) }
            return .rehearsed(Rehearsal(outcome: .dead(reason: failure.label)))
        }
    }

    private func rehearse(_ event: StripeEventRecord, _ ports: ReplayPorts) async throws -> Rehearsal {
        guard case .payment(let hint) = event.kind else { return Rehearsal(outcome: .ignored) }
        return try await self.records.rehearse(
            hint, event: event, reader: ports.reader())
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
        if [.dead, .dismissed].contains(self.outcome), self.hint == nil {
            record.kind = .unusable(self.defect)
        }
        return record
    }

    private var defect: StripeEventKind.Defect {
        self.reason.flatMap { StripeEventKind.Defect(rawValue: $0) } ?? .namesNoPayment
    }
}
