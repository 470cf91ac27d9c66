/// How far the ledger had come when it was asked. On one timeline and in one place it only grows, unless the ledger was
/// set back: by a snapshot of its storage, say, that was restored in place.
public struct LedgerPosition: Sendable, Hashable {
    /// Cluster, database and table; a copy that was restored elsewhere has another.
    public var origin: String
    /// WAL timeline; a promotion or a point-in-time recovery begins a higher one.
    public var timeline: Int64
    /// Of the ledger (rule P7).
    public var generation: Int64
    /// Bytes of WAL that the primary has on its disk: a crash loses none of them.
    public var flushed: Int64

    public init(origin: String, timeline: Int64, generation: Int64, flushed: Int64) {
        self.origin = origin
        self.timeline = timeline
        self.generation = generation
        self.flushed = flushed
    }
}
