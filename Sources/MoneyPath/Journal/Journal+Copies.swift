import Metering

// Records that must outlive their segment are copied to the end of the journal.
extension Journal {
    enum CopyAction: Hashable {
        /// With the sequences of the outcomes among them.
        case copied(outcomes: ClosedRange<UInt64>?)
        case noRoom
    }

    /// Copies the un-ACKed outcomes and open exchanges of a segment, all or none.
    ///
    /// - Parameter abandoning: its fsync failed: say behind the copies that they replace it. Money that is spent
    ///   goes before promises, so the copies may take room that is reserved.
    mutating func copyForward(_ index: Int, abandoning: Bool) -> CopyAction {
        let source = self.segments[index]
        let file = self.files[index]
        let (records, lost) = self.recordsToKeep(source, file)
        let bytes = records.reduce(JournalFormat.abandonmentBytes) {
            $0 + JournalFormat.padded($1.length) + JournalFormat.progressBytes
        }
        let promised = abandoning ? 0 : self.reservedBytes + self.limits.reserveBytes
        guard self.usableBytes >= bytes + promised else { return .noRoom }
        // From here on this must succeed.
        self.recordsLost += lost
        var copies: ClosedRange<UInt64>?
        for record in records {
            let sequence = self.copy(record, of: file)
            if record.type == .outcome { copies = (copies?.lowerBound ?? sequence)...sequence }
        }
        if abandoning {
            let head = JournalRecordHead.abandonment(segment: source.id, watermark: self.watermark)
            guard self.append(head, []) != nil else { preconditionFailure("room was made before") }
        }
        return .copied(outcomes: copies)
    }

    private func recordsToKeep(
        _ source: HeldSegment, _ file: Segment
    ) -> (kept: [JournalRecord], lost: UInt64) {
        var walker = RecordWalker(
            file, seed: source.seed, limit: source.used, firstSequence: source.firstSequence)
        var (kept, lost): ([JournalRecord], UInt64) = ([], 0)
        while true {
            let before = walker.nextSequence
            switch walker.next() {
            case .record(let record):
                if self.mustKeep(record, of: file) { kept.append(record) }
            case .gap: lost += walker.nextSequence - before
            case .end: return (kept, lost + source.lastSequence + 1 - before)
            }
        }
    }

    private func mustKeep(_ record: JournalRecord, of source: Segment) -> Bool {
        switch record.type {
        case .outcome: return record.sequence > self.watermark
        case .open:
            let hold = source.withBytes(0..<source.capacity) { record.hold($0) }
            guard let open = self.openExchanges[hold] else { return false }
            return open.segment == source.id && open.offset == record.offset
        case .progress, .acknowledgement, .abandonment, .durable: return false
        }
    }

    /// Returns the sequence of the copy.
    private mutating func copy(_ record: JournalRecord, of source: Segment) -> UInt64 {
        let (hold, text) = source.withBytes(0..<source.capacity) { bytes in
            (record.hold(bytes), Array(bytes[record.settlement]))
        }
        let head: JournalRecordHead = record.type == .open ? .open(hold) : .outcome(hold)
        guard let copy = self.append(head, text) else { preconditionFailure("room was made before") }
        let last = self.segments.count - 1
        if record.type == .outcome {
            self.markOutcome(copy.sequence)
        } else if let open = self.openExchanges[hold] {
            self.segments[self.index(of: open.segment)].openCount -= 1
            self.segments[last].openCount += 1
            self.openExchanges[hold]?.segment = self.segments[last].id
            self.openExchanges[hold]?.offset = copy.offset
            if let progress = open.progress, self.append(.progress(hold, progress), []) == nil {
                preconditionFailure("room was made before")
            }
        }
        return copy.sequence
    }
}
