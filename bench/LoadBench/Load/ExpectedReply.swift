/// What the upstream answers to a template, asked directly: every reply through a lane is held against it.
public struct ExpectedReply: Sendable, Equatable {
    public var digest: UInt64
    public var bodyBytes: Int
    /// What the exchange costs; nil where nothing is charged.
    public var dueMillicredits: Int64?

    public init(digest: UInt64, bodyBytes: Int, dueMillicredits: Int64?) {
        self.digest = digest
        self.bodyBytes = bodyBytes
        self.dueMillicredits = dueMillicredits
    }
}
