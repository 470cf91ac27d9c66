import Metering

/// An account whose spend of one UTC day a person should look at. It is served all the same.
public struct AccountReview: Sendable, Hashable {
    public enum State: String, Sendable, Hashable, CaseIterable { case open, cleared, suspended }

    public var id: Int64
    public var account: AccountID
    /// The account's external name.
    public var user: String
    public var day: UTCDay
    /// Charged on that day, when it was flagged.
    public var spent: Millicredits
    /// Of the days before, rounded down.
    public var mean: Millicredits
    public var multiplier: Int64
    public var state: State
    /// Milliseconds since 1970.
    public var openedAt: Int64
    /// Who decided, and why; nil while it is open.
    public var decision: FlagChange?

    public init(
        id: Int64, account: AccountID, user: String, day: UTCDay, spent: Millicredits, mean: Millicredits,
        multiplier: Int64, state: State, openedAt: Int64, decision: FlagChange?
    ) {
        self.id = id
        self.account = account
        self.user = user
        self.day = day
        self.spent = spent
        self.mean = mean
        self.multiplier = multiplier
        self.state = state
        self.openedAt = openedAt
        self.decision = decision
    }
}

public enum ReviewRefusal: Error, Sendable, Hashable {
    /// Nothing of this user is open.
    case noOpenReview
    /// One of this user is open, but not the one that was seen.
    case anotherIsOpen
    case invalidReason
    case ledgerUnavailable
}

/// Decides about accounts that were flagged. Each decision is in the audit log.
///
/// A decision is of the review that was seen, `seen`; nil: of whichever is open.
public protocol ReviewDesk: Sendable {
    /// Newest first.
    ///
    /// - Parameter state: nil: all.
    func reviews(_ state: AccountReview.State?, limit: Int64) async throws(ReviewRefusal) -> [AccountReview]

    /// It was in order: the account is not flagged again for that day.
    func clearReview(
        of user: String, seen: Int64?, _ note: ChangeNote
    ) async throws(ReviewRefusal) -> AccountReview

    /// It was not: the account is suspended, in the same transaction.
    func suspendReviewed(
        _ user: String, seen: Int64?, _ note: ChangeNote
    ) async throws(ReviewRefusal) -> AccountReview
}
