import Metering

/// What is to be brought to disk next.
public struct JournalSync<Segment: JournalSegment> {
    public let segment: Segment
    /// The last record that was written when this was asked for.
    public let through: UInt64
}

extension JournalSync: Sendable where Segment: Sendable {}

extension Journal {
    /// The oldest segment that is not wholly on disk: fsync it outside the lock, then call `synced` or
    /// `syncFailed`. nil: everything is on disk. One at a time.
    public mutating func nextSync() -> JournalSync<Segment>? {
        guard let first = self.segments.first?.id else { return nil }
        var index = Int(max(self.firstUnsynced, first) - first)
        while index < self.segments.count {
            let held = self.segments[index]
            if held.state == .good && !held.isOnDisk {
                return JournalSync(segment: self.files[index], through: held.lastSequence)
            }
            if index < self.segments.count - 1 { self.firstUnsynced = held.id + 1 }
            index += 1
        }
        return nil
    }

    /// The segment that is written to; nil before the first record.
    public var currentSegmentID: UInt64? { self.segments.last?.id }

    /// The fsync that `nextSync` asked for succeeded.
    public mutating func synced(_ sync: JournalSync<Segment>) {
        let index = self.index(of: sync.segment.id)
        guard self.segments[index].state == .good else { return }
        self.segments[index].syncedThrough = max(self.segments[index].syncedThrough, sync.through)
        self.advanceDurable()
        self.acknowledgeCopiesOnDisk()
    }

    public enum SyncFailedAction: Sendable, Hashable {
        /// What mattered in the segment stands again.
        case rewritten
        /// There is no room for it: it follows with the next spare.
        case waitsForSpare
        case ignored
    }

    /// The fsync of this segment failed. It is never tried again on that file (the kernel may have dropped the
    /// pages and say yes): its un-ACKed outcomes and open exchanges are written again elsewhere (rule J4).
    public mutating func syncFailed(_ segment: UInt64) -> SyncFailedAction {
        let index = self.index(of: segment)
        guard self.segments[index].state == .good else { return .ignored }
        self.segments[index].state = .failed
        self.failedCount += 1
        self.rewriteFailed()
        return self.segments[index].state == .rewritten ? .rewritten : .waitsForSpare
    }

    /// Whether a failed segment waits for room.
    public var hasFailedSegment: Bool { self.failedCount > 0 }

    /// Writes again what failed segments hold, oldest first, as far as there is room.
    mutating func rewriteFailed() {
        guard self.failedCount > 0 else { return }
        for index in self.segments.indices where self.segments[index].state == .failed {
            guard self.rewrite(index) else { return }
        }
    }

    private mutating func rewrite(_ index: Int) -> Bool {
        let watermark = self.watermark
        guard case .copied = self.copyForward(index, abandoning: true) else { return false }
        self.segments[index].state = .rewritten
        self.failedCount -= 1
        self.segments[index].supersededAbove = watermark
        self.segments[index].copiesThrough = self.lastSequence
        self.rewrittenThrough = self.lastSequence
        return true
    }

    /// Everything up to the first record that is neither on disk nor copied to where it is on disk.
    private mutating func advanceDurable() {
        guard !self.hasFailedSegment else { return }
        let pending = self.nextSync().map { sync in
            self.segments[self.index(of: sync.segment.id)].syncedThrough
        }
        var reached = pending ?? self.lastSequence
        defer { self.durableSequence = max(self.durableSequence, reached) }
        guard reached < self.rewrittenThrough else { return }
        // Newest first: copies may themselves stand in a segment that failed and was copied.
        for held in self.segments.reversed() where held.state == .rewritten && held.syncedThrough < reached {
            if reached < held.copiesThrough ?? 0 { reached = held.syncedThrough }
        }
    }

    /// The first record, to be brought to disk before anything else is written: a power cut may then take whatever
    /// follows, and a journal without any note was damaged by something else.
    /// - Precondition: there is a spare, and no record.
    public mutating func begin() {
        precondition(self.lastSequence == 0, "a journal begins once")
        guard let note = self.append(.durable(through: 0), []) else {
            preconditionFailure("a journal begins in a spare")
        }
        self.durableNote = (note.sequence, 0)
    }

    /// Nothing was written but how it began.
    public var isUnused: Bool {
        self.lastSequence == self.durableNote.sequence && self.durableNote.through == 0
    }

    /// Writes down how far the journal is known to be on disk, for a recovery after a power cut: call it after
    /// syncs, about once per second. Says nothing when there is no news but the last note itself, so an idle journal
    /// rests; without room it is left for the next time.
    /// - Returns: whether something was written.
    @discardableResult
    public mutating func noteDurable() -> Bool {
        let (sequence, through) = self.durableNote
        let isNews =
            self.durableSequence > sequence
            || (self.durableSequence == sequence && sequence > through + 1)
        guard isNews, self.hasRoom(for: JournalFormat.durableBytes, keeping: self.limits.reserveBytes),
            let note = self.append(.durable(through: self.durableSequence), [])
        else { return false }
        self.durableNote = (note.sequence, self.durableSequence)
        return true
    }
}
