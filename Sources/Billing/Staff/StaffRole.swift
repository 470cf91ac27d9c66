/// What a person of the operator's may do; each role may do what those before it may.
public enum StaffRole: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Looks, and changes nothing.
    case viewer
    /// Helps customers: accounts, keys, limits, replays.
    case support
    /// Moves money: adjustments, refunds, rate cards.
    case finance
    /// Everything, the other people included.
    case owner

    public static func < (first: StaffRole, second: StaffRole) -> Bool { first.rank < second.rank }

    private var rank: Int {
        switch self {
        case .viewer: 0
        case .support: 1
        case .finance: 2
        case .owner: 3
        }
    }
}
