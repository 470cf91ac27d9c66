import Metering

// Records that must outlive their segment are copied to the end of the journal.
extension Journal {
    enum CopyAction: Hashable {
        case copied
        case noRoom
    }

    /// Copies the open exchanges of a segment, all or none.
    ///
    /// - Parameter abandoning: its fsync failed: copy its un-ACKed outcomes as well, and say behind the copies that
    ///   they replace it. Money that is spent goes before promises, so they may take room that is reserved.
    mutating func copyForward(_ index: Int, abandoning: Bool) -> CopyAction {
        let source = self.segments[index]
        let file = self.files[index]
        let (records, lost) = self.recordsToKeep(source, file, outcomes: abandoning)
        let bytes = records.reduce(JournalFormat.abandonmentBytes) {
            $0 + JournalFormat.padded($1.length) + JournalFormat.progressBytes
        }
        let promised = abandoning ? 0 : self.reservedBytes + self.limits.reserveBytes
        guard self.usableBytes >= bytes + promised else { return .noRoom }
        // From here on this must succeed.
        self.recordsLost += lost
        let replaced = self.copies.filter { $0.at == source.id }
        self.copies.removeAll { $0.at == source.id }
        for record in records {
            switch record.type {
            case .outcome:
                let copy = self.copy(record, of: file)
                self.note(copy.sequence, of: record.sequence, in: source, replaced)
            case .open: self.moveOpen(self.copy(record, of: file))
            case .abandonment: _ = self.copy(record, of: file)
            case .progress, .acknowledgement, .durable:
                preconditionFailure("recordsToKeep() keeps none of these")
            }
        }
        if abandoning {
            let head = JournalRecordHead.abandonment(segment: source.id, watermark: self.watermark)
            guard self.append(head, []) != nil else { preconditionFailure("room was made before") }
        }
        return .copied
    }

    /// Remembers what the copy of an outcome is a copy of: of a record of this segment, or of one before it, of
    /// which a copy stood here.
    private mutating func note(
        _ copy: UInt64, of sequence: UInt64, in source: HeldSegment, _ replaced: [OutcomeCopies]
    ) {
        self.lastCopy = copy
        var origin = source.outcomes.contains(sequence) ? (home: source.id, original: sequence) : nil
        for copies in replaced where origin == nil {
            origin = copies.original(of: sequence).map { (copies.home, $0) }
        }
        // Else it was acknowledged, and its copy only serves a new ledger generation.
        guard let origin, origin.original > self.acknowledgedThrough else { return }
        let pair = OutcomeCopies.Pair(original: origin.original, copy: copy)
        let (last, at) = (self.copies.count - 1, self.segments[self.segments.count - 1].id)
        if last >= 0, self.copies[last].home == origin.home, self.copies[last].at == at,
            self.copies[last].lastOriginal < pair.original
        {
            self.copies[last].append(pair)
        } else {
            self.copies.append(OutcomeCopies(home: origin.home, at: at, first: pair))
        }
    }

    private func recordsToKeep(
        _ source: HeldSegment, _ file: Segment, outcomes: Bool
    ) -> (kept: [JournalRecord], lost: UInt64) {
        var walker = RecordWalker(
            file, seed: source.seed, limit: source.used, firstSequence: source.firstSequence)
        var (kept, lost): ([JournalRecord], UInt64) = ([], 0)
        while true {
            let before = walker.nextSequence
            switch walker.next() {
            case .record(let record):
                if self.mustKeep(record, of: file, outcomes) { kept.append(record) }
            case .gap: lost += walker.nextSequence - before
            case .end: return (kept, lost + source.lastSequence + 1 - before)
            }
        }
    }

    private func mustKeep(_ record: JournalRecord, of source: Segment, _ outcomes: Bool) -> Bool {
        switch record.type {
        case .outcome: return outcomes && record.sequence > self.watermark
        case .open:
            let hold = source.withBytes(0..<source.capacity) { record.hold($0) }
            guard let open = self.openExchanges[hold] else { return false }
            return open.segment == source.id && open.offset == record.offset
        case .abandonment:
            // Without it a recovery would judge a failed segment by what is left of it.
            let abandoned = source.withBytes(0..<source.capacity) { record.word(0, $0) }
            return outcomes && abandoned >= self.segments[0].id
        case .progress, .acknowledgement, .durable: return false
        }
    }

    private mutating func copy(_ record: JournalRecord, of source: Segment) -> JournalRecord {
        let (head, text) = source.withBytes(0..<source.capacity) { bytes -> (JournalRecordHead, [UInt8]) in
            if record.type == .abandonment {
                return (.abandonment(segment: record.word(0, bytes), watermark: record.word(1, bytes)), [])
            }
            let hold = record.hold(bytes)
            return (record.type == .open ? .open(hold) : .outcome(hold), Array(bytes[record.settlement]))
        }
        guard let copy = self.append(head, text) else { preconditionFailure("room was made before") }
        return copy
    }

    /// The OPEN of an exchange stands here now; its last PROGRESS goes with it.
    private mutating func moveOpen(_ copy: JournalRecord) {
        let last = self.segments.count - 1
        let file = self.files[last]
        let hold = file.withBytes(0..<file.capacity) { copy.hold($0) }
        guard let open = self.openExchanges[hold] else { return }
        self.segments[self.index(of: open.segment)].openCount -= 1
        self.segments[last].openCount += 1
        self.openExchanges[hold]?.segment = self.segments[last].id
        self.openExchanges[hold]?.offset = copy.offset
        guard let progress = open.progress else { return }
        guard self.append(.progress(hold, progress), []) != nil else {
            preconditionFailure("room was made before")
        }
    }
}
