/// What the journal knows of a segment in use. Not generic, as `Journal` is: the path of every record should not
/// pay for that.
struct HeldSegment: Sendable {
    enum State: Hashable {
        case good
        /// An fsync failed; what matters must be written again before anything after it counts as durable.
        case failed
        /// As `failed`, and written again.
        case rewritten
    }

    let id: UInt64
    let capacity: Int
    let seed: UInt32
    let firstSequence: UInt64
    let createdAtMilliseconds: Int64
    var state: State = .good
    /// Bytes written from the beginning.
    var used = JournalFormat.segmentHeaderBytes
    var lastSequence: UInt64
    var syncedThrough: UInt64
    /// Open exchanges whose OPEN stands here.
    var openCount = 0
    var outcomes: OutcomeMarks
    /// Its OPENs were copied; it may go when this sequence is durable.
    var carriedThrough: UInt64?
    /// The watermark when it was written again; outcomes above it count where they were copied to.
    var supersededAbove: UInt64?

    init(
        id: UInt64, capacity: Int, seed: UInt32, firstSequence: UInt64, createdAtMilliseconds: Int64
    ) {
        self.id = id
        self.capacity = capacity
        self.seed = seed
        self.firstSequence = firstSequence
        self.createdAtMilliseconds = createdAtMilliseconds
        self.lastSequence = firstSequence - 1
        self.syncedThrough = firstSequence - 1
        self.outcomes = OutcomeMarks(
            first: firstSequence, room: capacity / JournalFormat.acknowledgementBytes)
    }

    var freeBytes: Int { self.capacity - self.used }
    var isOnDisk: Bool { self.syncedThrough == self.lastSequence }
    /// On disk, or written again elsewhere.
    var needsNoSync: Bool { self.state == .rewritten || (self.state == .good && self.isOnDisk) }
}

/// Outcomes written again after a sync error. Their callers know the old numbers only, so acknowledging all of
/// the old ones acknowledges the copies.
struct OutcomeRewrite: Hashable {
    /// The last outcome of the failed segment.
    var originalsThrough: UInt64
    var copies: ClosedRange<UInt64>
}
