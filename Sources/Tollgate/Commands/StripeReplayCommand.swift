import ArgumentParser
import Billing
import Foundation
import Payments

struct StripeReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Apply events of Stripe again; exit 1 when some still need a person.",
        discussion: """
            Without a selection: events that no endpoint has taken yet. With --since, all of that time, those that Stripe \
            has forgotten (after 30 days) included: their purchases are read again. With --dead, those that need a \
            person. A time is gone through day by day; stderr tells how far it is, and up to when everything is done \
            unless --type leaves some of it out. Nothing is granted or taken twice, however often this is run.

            Times are a UTC day (2026-11-12), an instant (2026-11-12T08:30:00Z), or how long ago: 90m, 2h, 3d.
            Leaves one entry in the audit log, unless with --dry-run.
            Reads DATABASE_URL, STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET, STRIPE_API_BASE.
            """)

    @Option(help: "Events that happened at this time or later.")
    var since: String?
    @Option(help: "Events that happened before this time.")
    var until: String?
    @Option(help: "One event, evt_….")
    var event: String?
    @Option(help: "Only events of this type; may be repeated.")
    var type: [String] = []
    @Flag(help: "Events that were kept for a person.")
    var dead = false
    @Flag(help: "Say what would be posted, and post nothing.")
    var dryRun = false

    @OptionGroup var why: OptionalReason

    func validate() throws {
        let now = Clock.wallMilliseconds() / 1000
        for (name, text) in [("--since", self.since), ("--until", self.until)] {
            if let text, MomentOption(text, now: now) == nil {
                throw ValidationError(
                    "\(name) must be a day (2026-11-12), an instant (2026-11-12T08:30:00Z), or 90m, 2h, 3d ago"
                )
            }
        }
        if let event {
            guard StripeEventKind.isID(event, prefix: "evt_") else {
                throw ValidationError("--event must be an id of an event: evt_…")
            }
            guard self.since == nil, self.until == nil, self.type.isEmpty, !self.dead else {
                throw ValidationError("--event names one event; no other selection goes with it")
            }
        }
        if self.until != nil, self.since == nil, !self.dead {
            throw ValidationError("--until needs --since or --dead")
        }
        for type in self.type where !StripeEventKind.paymentTypes.contains(type) {
            throw ValidationError("--type \(type) is not a type that payments are followed by")
        }
    }

    func run() async throws {
        let selection = self.selection(now: Clock.wallMilliseconds() / 1000)
        try await reporting {
            try await PaymentSession.with { parts in
                // The wish, before what it does: each event is applied in a transaction of its own.
                if !self.dryRun {
                    try await parts.ledger.noteReplay(self.subject, note: self.why.note("stripe replay"))
                }
                var summary = ReplaySummary()
                do throws {
                    try await parts.replay.run(selection, types: Set(self.type), isRehearsal: self.dryRun) {
                        switch $0 {
                        case .event(let event):
                            summary.add(event)
                            print(ReplaySummary.line(event))
                            fflush(nil)
                        case .part(let part): complain("replay: " + ReplaySummary.text(of: part))
                        }
                    }
                } catch let failure as PaymentReplay.Failure {
                    try Self.fail(failure)
                }
                print(summary.text)
                guard summary.open == 0 else { throw Exit.checkFailed }
            }
        }
    }

    /// As the audit log names what is applied again.
    private var subject: String {
        if let event { return "event:\(event)" }
        let times = [self.since.map { " since \($0)" }, self.until.map { " until \($0)" }]
        let kind = self.dead ? "dead" : self.since == nil ? "undelivered" : "all"
        let types = self.type.isEmpty ? "" : " of " + self.type.joined(separator: ",")
        return String(("events:\(kind)" + times.compactMap { $0 }.joined() + types).prefix(320))
    }

    private func selection(now: Int64) -> PaymentReplay.Selection {
        let from = self.since.flatMap { MomentOption($0, now: now)?.seconds }
        let to = self.until.flatMap { MomentOption($0, now: now)?.seconds }
        if let event { return .event(event) }
        if self.dead { return .dead(from: from, to: to) }
        guard let from else { return .undelivered }
        return .happened(from: from, to: to)
    }

    private static func fail(_ failure: PaymentReplay.Failure) throws -> Never {
        switch failure {
        case .notConfigured:
            complain("STRIPE_SECRET_KEY is not set")
            throw Exit.badConfiguration
        case .unknownEvent:
            complain("neither Stripe nor the ledger knows this event")
            throw Exit.checkFailed
        case .unlisted(let reason):
            complain("Stripe could not be read: \(reason)")
            throw Exit.unavailable
        }
    }
}

/// What a replay prints.
struct ReplaySummary {
    private(set) var events = 0
    private(set) var posted = 0
    /// That still need a person, or another replay.
    private(set) var open = 0

    mutating func add(_ event: ReplayedEvent) {
        self.events += 1
        if event.isOpen { self.open += 1 }
        switch event.result {
        case .settled(.posted): self.posted += 1
        case .rehearsed(let rehearsal): if case .posted = rehearsal.outcome { self.posted += 1 }
        case .settled, .unread: break
        }
    }

    var text: String { "\(self.events) events, \(self.posted) with postings, \(self.open) open" }

    /// For stderr, while it lasts.
    static func text(of part: ReplayedPart) -> String {
        let what = "\(part.day.map(String.init(describing:)) ?? "longer ago"): \(part.events) events"
        guard let doneUntil = part.doneUntil else { return what }
        let time = Date(timeIntervalSince1970: TimeInterval(doneUntil)).formatted(.iso8601)
        return what + "; done until \(time)"
    }

    /// Id, type, time, what came of it; by tabs.
    static func line(_ event: ReplayedEvent) -> String {
        let time = Date(timeIntervalSince1970: TimeInterval(event.event.createdAt))
            .formatted(.iso8601)
        return [event.event.id, event.event.type, time, self.words(event.result)].joined(separator: "\t")
    }

    private static func words(_ result: ReplayedEvent.Result) -> String {
        switch result {
        case .settled(let outcome): self.words(outcome)
        case .unread(let reason): "not read: \(reason)"
        case .rehearsed(let rehearsal):
            rehearsal.postings.isEmpty
                ? "would be " + self.words(rehearsal.outcome)
                : "would post " + rehearsal.postings.joined(separator: ", ")
        }
    }

    private static func words(_ outcome: PaymentOutcome) -> String {
        switch outcome {
        case .repeated: "applied before"
        case .ignored: "ignored"
        case .upToDate: "up to date"
        case .posted(let count, _, let purchase): "posted \(count) for purchase \(purchase.id)"
        case .dead(let reason): "dead: \(reason)"
        }
    }
}
