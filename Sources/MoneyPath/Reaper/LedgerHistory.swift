import Metering

/// What was heard of the ledger's past, by this process or by those of this host before it: tells when the ledger was set
/// back without a new timeline, which it cannot know itself (rule P7, B8). A value; its owner asks and keeps `newest`.
public struct LedgerHistory: Sendable {
    /// nil: the ledger was never heard of.
    public private(set) var newest: LedgerPosition?

    public enum Action: Sendable, Equatable {
        /// It goes on from where it was.
        case advanced
        /// It goes on elsewhere, or on another timeline, and has raised its generation by itself. What is still connected
        /// to where it was must not be asked any more.
        case moved
        /// It lost what it said it had. Have its generation raised above this one, then call `raised`.
        case setBack(from: LedgerPosition)
        /// The answer is of a primary that was replaced: nothing was learned. Connect anew.
        case replaced
    }

    public init(newest: LedgerPosition? = nil) { self.newest = newest }

    /// The ledger answered a question that was asked after the answer before.
    public mutating func heard(_ position: LedgerPosition) -> Action {
        guard let newest = self.newest, newest.origin == position.origin else {
            let isFirst = self.newest == nil
            self.newest = position
            return isFirst ? .advanced : .moved
        }
        if position.isSetBack(from: newest) { return .setBack(from: newest) }
        if position.generation < newest.generation { return .replaced }
        self.newest = position
        return position.timeline == newest.timeline ? .advanced : .moved
    }

    /// It was set back to this position, and has this generation now.
    public mutating func raised(_ position: LedgerPosition, to generation: Int64) {
        self.newest = position
        self.newest?.generation = generation
    }
}
