// What is posted need not be posted again.
extension Journal {
    /// Every outcome that was given a sequence up to `sequence` is in the ledger, and Redis answered POSTED
    /// (rule J5). Smaller numbers than before are ignored.
    public mutating func acknowledge(through sequence: UInt64) {
        precondition(sequence < self.nextSequence, "only what was written is posted")
        var reached = max(self.watermark, sequence)
        self.unacknowledged -= self.unmark(through: reached)
        // Copies follow their originals. In between may stand outcomes of others: those come first.
        while let rewrite = self.rewrites.first, reached >= rewrite.originalsThrough {
            if let next = self.firstUnacknowledged, next < rewrite.copies.lowerBound { break }
            reached = max(reached, rewrite.copies.upperBound)
            self.unacknowledged -= self.unmark(through: reached)
            self.rewrites.removeFirst()
        }
        self.watermark = reached
        self.writeWatermark()
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

    private var firstUnacknowledged: UInt64? {
        for held in self.segments[self.firstMarkedIndex...] {
            if let first = held.outcomes.firstMarked { return first }
        }
        return nil
    }

    private var firstMarkedIndex: Int {
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
