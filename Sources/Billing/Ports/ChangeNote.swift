/// Who changes something, and why: what the audit log keeps of each change beside what was changed.
public struct ChangeNote: Sendable, Hashable {
    /// `staff:NAME`, `admin-token`, or `cli:USER`; 1 to 256 bytes.
    public var actor: String
    /// For people; see `Reason.isValid`.
    public var reason: String
    /// The request that does it, if it is one.
    public var request: String?

    public init(actor: String, reason: String, request: String? = nil) {
        self.actor = actor
        self.reason = reason
        self.request = request
    }
}
