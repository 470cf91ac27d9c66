/// An entry of the audit log.
public struct AuditEntry: Sendable, Hashable {
    public var number: Int64
    /// Microseconds since 1970.
    public var at: Int64
    public var actor: String
    public var action: String
    public var subject: String
    /// JSON, as it was stored.
    public var before: String
    public var after: String
    public var reason: String
    public var request: String?
    public var previousHash: [UInt8]
    public var hash: [UInt8]

    public init(
        number: Int64, at: Int64, actor: String, action: String, subject: String, before: String,
        after: String,
        reason: String, request: String?, previousHash: [UInt8], hash: [UInt8]
    ) {
        self.number = number
        self.at = at
        self.actor = actor
        self.action = action
        self.subject = subject
        self.before = before
        self.after = after
        self.reason = reason
        self.request = request
        self.previousHash = previousHash
        self.hash = hash
    }
}

/// Which entries, newest first.
public struct AuditQuery: Sendable, Hashable {
    public var actor: String?
    public var action: String?
    public var subject: String?
    /// The last one of the page before.
    public var before: Int64?
    public var limit: Int64

    public init(
        actor: String? = nil, action: String? = nil, subject: String? = nil, before: Int64? = nil,
        limit: Int64
    ) {
        self.actor = actor
        self.action = action
        self.subject = subject
        self.before = before
        self.limit = limit
    }
}

public protocol AuditReading: Sendable {
    func auditEntries(_ query: AuditQuery) async throws -> [AuditEntry]
    /// Goes through the whole log.
    ///
    /// - Parameters:
    ///   - heads: hashes that were noted earlier; each must be that of an entry.
    ///   - progress: called now and then with the number of the last entry that was looked at.
    func verifyAudit(
        heads: [[UInt8]], progress: @escaping @Sendable (Int64) -> Void
    ) async throws -> AuditVerdict
}
