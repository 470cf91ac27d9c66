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
    /// When it was begun, on the clock of this process that is never set.
    let begunAtMilliseconds: Int64
    var state: State = .good
    /// Bytes written from the beginning.
    var used = JournalFormat.segmentHeaderBytes
    var lastSequence: UInt64
    var syncedThrough: UInt64
    /// Open exchanges whose OPEN stands here.
    var openCount = 0
    /// The unacknowledged outcomes that were recorded here, wherever they stand now. Copies are not among them.
    var outcomes: OutcomeMarks
    /// What must outlive it was copied; the copies end here. It may go when this sequence is durable.
    var copiesThrough: UInt64?
    /// The watermark when it was written again; outcomes above it count where they were copied to.
    var supersededAbove: UInt64?

    init(
        id: UInt64, capacity: Int, seed: UInt32, firstSequence: UInt64, begunAtMilliseconds: Int64
    ) {
        self.id = id
        self.capacity = capacity
        self.seed = seed
        self.firstSequence = firstSequence
        self.begunAtMilliseconds = begunAtMilliseconds
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
