/// Which exchanges of an account are asked for, newest first.
public struct UsageQuery: Sendable, Hashable {
    public var account: AccountID
    /// As requested; nil: all.
    public var model: String?
    /// Admitted at this moment or later, milliseconds since 1970.
    public var from: Int64?
    /// Admitted before this moment, milliseconds since 1970.
    public var to: Int64?
    /// Older than this hold: the last one of the page before.
    public var before: HoldID?
    public var limit: Int64

    public init(
        account: AccountID, model: String? = nil, from: Int64? = nil, to: Int64? = nil, before: HoldID? = nil,
        limit: Int64
    ) {
        self.account = account
        self.model = model
        self.from = from
        self.to = to
        self.before = before
        self.limit = limit
    }
}
