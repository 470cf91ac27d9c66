import Billing

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

/// A part of a replay is over.
public struct ReplayedPart: Sendable, Hashable {
    /// nil: longer ago than days are told apart.
    public var day: UTCDay?
    public var events: Int
    /// Seconds since 1970: everything that happened before is applied, or kept for a person; nil: nothing is known to be,
    /// or it is a rehearsal, or of some types only.
    public var doneUntil: Int64?

    public init(day: UTCDay?, events: Int, doneUntil: Int64?) {
        self.day = day
        self.events = events
        self.doneUntil = doneUntil
    }
}

/// What a replay tells on its way.
public enum ReplayStep: Sendable, Hashable {
    /// In the order in which they happened.
    case event(ReplayedEvent)
    case part(ReplayedPart)
}
