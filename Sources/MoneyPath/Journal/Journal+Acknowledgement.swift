// What is posted need not be posted again.
extension Journal {
    /// Every outcome that was recorded with a number up to `sequence` is in the ledger, and Redis answered POSTED
    /// (rule J5). Smaller numbers than before are ignored.
    public mutating func acknowledge(through sequence: UInt64) {
        precondition(sequence < self.nextSequence, "only what was written is posted")
        if sequence > self.acknowledgedThrough {
            self.acknowledgedThrough = sequence
            self.unacknowledged -= self.unmark(through: sequence)
            self.copies.removeAll { $0.lastOriginal <= sequence }
        }
        self.watermark = max(self.watermark, self.acknowledgedThrough)
        self.passCopies()
        self.writeWatermark()
    }

    /// Something came to disk: copies, perhaps, of what is posted.
    mutating func acknowledgeCopiesOnDisk() {
        guard self.watermark < self.lastCopy else { return }
        self.passCopies()
        self.writeWatermark()
    }

    /// Copies of what is posted are posted: the watermark passes them, up to the first record, original or copy,
    /// of an outcome that is not.
    ///
    /// Not before they are on disk: a power cut that takes copies brings the originals back, and those above the number
    /// of the last posted one are not posted just because their copies would stand behind the watermark.
    private mutating func passCopies() {
        guard self.watermark < self.lastCopy, self.rewrittenThrough <= self.durableSequence else { return }
        let posted = self.firstUnposted.map { $0 - 1 } ?? self.lastCopy
        self.watermark = max(self.watermark, min(posted, self.lastCopy))
    }

    private mutating func unmark(through sequence: UInt64) -> Int {
        var removed = 0
        var index = self.firstMarkedIndex
        while index < self.segments.count, self.segments[index].firstSequence <= sequence {
            removed += self.segments[index].outcomes.remove(through: sequence)
            if index < self.segments.count - 1 { self.segments[index].outcomes.releaseIfEmpty() }
            index += 1
        }
        self.skipUnmarked()
        return removed
    }

    /// The first number at which an unacknowledged outcome stands now.
    private var firstUnposted: UInt64? {
        var first: UInt64?
        for held in self.segments[self.firstMarkedIndex...] {
            guard let mark = held.outcomes.firstMarked else { continue }
            // What is behind an original that stands where it was recorded, stands behind it.
            guard held.state == .rewritten else { return min(first ?? .max, mark) }
            let copy = self.copies.lazy.filter { $0.home == held.id }.compactMap { $0.firstCopy(from: mark) }
                .min()
            first = min(first ?? .max, copy ?? mark)
        }
        return first
    }

    var firstMarkedIndex: Int {
        guard let first = self.segments.first?.id else { return 0 }
        return Int(max(first, self.firstMarked) - first)
    }

    /// Only the current segment gets new marks, so those left empty stay so.
    private mutating func skipUnmarked() {
        var index = self.firstMarkedIndex
        while index < self.segments.count - 1, self.segments[index].outcomes.count == 0 { index += 1 }
        if index < self.segments.count { self.firstMarked = self.segments[index].id }
    }

    /// Without room it stays unwritten until the next call or segment: a replay would post a little again, which
    /// is harmless.
    private mutating func writeWatermark() {
        guard self.watermark > self.watermarkWritten,
            self.hasRoom(for: JournalFormat.acknowledgementBytes, keeping: 0),
            self.append(.acknowledgement(watermark: self.watermark), []) != nil
        else { return }
        self.watermarkWritten = self.watermark
    }
}
