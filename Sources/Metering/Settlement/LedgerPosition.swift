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

    /// In the same place, and on the same timeline or a later one, it lost what it said it had.
    public func isSetBack(from heard: LedgerPosition) -> Bool {
        guard self.origin == heard.origin, self.timeline >= heard.timeline else { return false }
        guard self.generation == heard.generation else { return self.generation < heard.generation }
        return self.timeline == heard.timeline && self.flushed < heard.flushed
    }
}
