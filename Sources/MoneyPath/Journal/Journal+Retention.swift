// How long segments are kept.
extension Journal {
    /// Segments that may be deleted, oldest first: acknowledged, without open exchanges, and left for longer than
    /// the retention (rule J6). Delete them in this order, stop at the first that cannot be, and tell `retired`.
    ///
    /// Their age is counted on a clock that is never set, so a wrong wall clock neither deletes nor keeps them.
    /// An open exchange older than the retention does not keep its segment: its OPEN is copied to the end.
    public mutating func retirable(steadyMilliseconds: Int64) -> [UInt64] {
        self.steadyNow = max(self.steadyNow, steadyMilliseconds)
        var ids: [UInt64] = []
        for index in self.segments.indices.dropLast() {
            guard self.mayRetire(index) else { break }
            ids.append(self.segments[index].id)
        }
        return ids
    }

    private mutating func mayRetire(_ index: Int) -> Bool {
        let held = self.segments[index]
        let leftAt = self.segments[index + 1].begunAtMilliseconds
        guard self.steadyNow - leftAt >= self.limits.retentionMilliseconds, held.outcomes.count == 0,
            held.needsNoSync
        else { return false }
        if held.openCount > 0 {
            guard case .copied = self.copyForward(index, abandoning: false) else { return false }
            self.segments[index].copiesThrough = self.lastSequence
        }
        // The copies must be on disk before the original goes.
        guard let copies = self.segments[index].copiesThrough else { return true }
        return self.durableSequence >= copies
    }

    /// Segments after `id` that were left and need no sync any more: their files may be closed. Only as far as
    /// that is true of all before them.
    public func finished(after id: UInt64) -> [Segment] {
        guard let first = self.segments.first?.id else { return [] }
        var finished: [Segment] = []
        var index = id < first ? 0 : Int(id - first) + 1
        while index < self.segments.count - 1, self.segments[index].needsNoSync {
            finished.append(self.files[index])
            index += 1
        }
        return finished
    }

    /// The file of this segment is deleted.
    public mutating func retired(_ segment: UInt64) {
        guard let first = self.segments.first, first.id == segment else {
            preconditionFailure("segments are deleted oldest first")
        }
        self.segments.removeFirst()
        self.files.removeFirst()
    }
}
