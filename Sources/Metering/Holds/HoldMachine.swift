/// The life of one hold as its owner sees it. Every exit path of an exchange ends in exactly one outcome,
/// whatever the order in which the client, the upstream, the hold store and the clock report.
///
/// A duplicate or late event is an action, never a trap: both sides of a proxy can end an exchange.
public struct HoldMachine: Sendable {
    public enum State: Sendable, Hashable {
        /// PLACE is on its way. Can become `held`, `refused`, `abandoned`.
        case placing
        /// Nobody waits for the grant any more. Can become `refused` (a late grant is given back).
        case abandoned
        /// The amount is set aside. Can become `final` or `void`.
        case held(Millicredits)
        /// No hold and no settlement: 402, 503, or given back before anything was sent.
        case refused
        case final
        case void
    }

    public private(set) var state: State = .placing

    public init() {}

    public enum PlacedAction: Sendable, Hashable {
        /// Send the request upstream.
        case proceed
        /// The client left while the hold was being placed: give it back, nothing was sent.
        case giveBack
        /// This answer came twice, or after the end.
        case ignore
    }

    /// The hold store granted `amount`.
    public mutating func placed(_ amount: Millicredits) -> PlacedAction {
        switch self.state {
        case .placing:
            self.state = .held(amount)
            return .proceed
        case .abandoned:
            self.state = .refused
            return .giveBack
        case .held, .refused, .final, .void:
            return .ignore
        }
    }

    /// The hold store raised the hold; nothing happens when it ended, or is as large already.
    public mutating func extended(to total: Millicredits) {
        guard case .held(let amount) = self.state, total > amount else { return }
        self.state = .held(total)
    }

    public enum RefusedAction: Sendable, Hashable {
        /// Tell the client why.
        case answer
        /// Nobody is there to be told.
        case drop
        case ignore
    }

    /// The hold store refused, or could not answer.
    public mutating func refused() -> RefusedAction {
        switch self.state {
        case .placing:
            self.state = .refused
            return .answer
        case .abandoned:
            self.state = .refused
            return .drop
        case .held, .refused, .final, .void:
            return .ignore
        }
    }

    public enum AbandonAction: Sendable, Hashable {
        /// The grant is still under way; it will be given back when it comes.
        case waitForGrant
        /// The hold exists: end the exchange with its evidence.
        case end
        case nothing
    }

    /// The client went away.
    public mutating func clientGone() -> AbandonAction {
        switch self.state {
        case .placing:
            self.state = .abandoned
            return .waitForGrant
        case .held:
            return .end
        case .abandoned, .refused, .final, .void:
            return .nothing
        }
    }

    public enum EndAction: Sendable, Hashable {
        /// Record the outcome, then RELEASE the hold of this amount.
        case void(hold: Millicredits)
        /// Record the outcome, then CAPTURE against the hold of this amount.
        case capture(Usage, hold: Millicredits, estimatedBecause: EstimateReason?)
        /// The exchange ended before; the first outcome stands.
        case ignoreDuplicate
    }

    /// The exchange is over. From here on its settlement must succeed.
    public mutating func end(
        _ cause: EndCause, _ evidence: ExchangeEvidence, inputEstimate: Int64
    ) -> EndAction {
        guard case .held(let amount) = self.state else { return .ignoreDuplicate }
        switch Outcome(cause, evidence, inputEstimate: inputEstimate) {
        case .void:
            self.state = .void
            return .void(hold: amount)
        case .final(let usage, let reason):
            self.state = .final
            return .capture(usage, hold: amount, estimatedBecause: reason)
        }
    }

    /// Whether a settlement row exists or will exist.
    public var isSettled: Bool { self.state == .final || self.state == .void }
}
