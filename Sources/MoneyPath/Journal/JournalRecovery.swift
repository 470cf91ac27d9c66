import Metering

extension RecoveredBoot {
    /// Reads the journal of an ended boot (rules J2, J7, J8). Looks at nothing but the records.
    ///
    /// - Parameter segments: all that there are, by ascending id.
    public init(
        _ segments: [Segment], of boot: BootID, mode: JournalRecoveryMode = .strict
    ) throws(JournalDamage) {
        var pass = RecoveryPass<Segment>(boot: boot)
        for segment in segments { pass.read(segment) }
        pass.judgeAbandonments()
        let verdict = pass.judge()
        if mode == .strict, let worst = verdict.damage.first { throw worst }
        self.init(boot: boot)
        self.watermark = pass.watermark
        self.lastSequence = pass.lastSequence
        self.unpostedHolds = pass.unpostedHolds
        self.tornTail = verdict.tornTail
        self.skipped = verdict.damage
        self.holes = verdict.holes
        self.missingRecords = verdict.missing
        self.durableSequence = pass.durable
        self.parts = pass.parts()
        try self.settleOrphans(pass.open, mode)
        if let place = pass.undecodable {
            self.skipped.append(.undecodable(segment: place.segment, offset: place.offset))
        }
        if mode == .strict, let place = pass.undecodable ?? self.firstUnreadable() {
            throw .undecodable(segment: place.segment, offset: place.offset)
        }
    }

    /// Among what is still to be posted. What was posted is only ever read again for a new ledger generation.
    private func firstUnreadable() -> JournalPlace? {
        var reading = self.unacknowledged()
        while !reading.next(limit: 1_000).isEmpty {}
        return reading.firstUnreadable
    }

    private init(boot: BootID) { self.boot = boot }

    private mutating func settleOrphans(
        _ open: [HoldID: RecoveryPass<Segment>.Opened], _ mode: JournalRecoveryMode
    ) throws(JournalDamage) {
        for opened in open.values.sorted(by: { $0.record.sequence < $1.record.sequence }) {
            if let orphan = opened.settlement() {
                self.orphans.append(orphan)
                continue
            }
            let damage = JournalDamage.undecodable(segment: opened.segment.id, offset: opened.record.offset)
            guard mode == .salvage else { throw damage }
            self.skipped.append(damage)
        }
    }
}

/// One pass over the segments of a boot: gathers what the records say, and where something is wrong.
struct RecoveryPass<Segment: JournalSegment> {
    /// An OPEN whose end has not been seen.
    struct Opened {
        var segment: Segment
        var record: JournalRecord
        var progress: JournalProgress?

        /// What is settled now: the OPEN with its last PROGRESS; nil when it cannot be read.
        func settlement() -> Settlement? {
            guard
                var settlement = self.segment.withBytes(
                    0..<self.segment.capacity, { self.record.settlement($0) })
            else { return nil }
            guard let progress = self.progress else { return settlement }
            settlement.usage.output = progress.output
            settlement.charge = progress.charge
            settlement.shadow = progress.shadow
            return settlement
        }
    }

    /// What was found in one segment.
    struct Found {
        var segment: Segment
        var header: SegmentHeader.Reading
        var seed: UInt32
        var firstSequence: UInt64
        /// The sequence behind its last record.
        var nextSequence: UInt64
        var records = 0
        /// Where something invalid stands before a valid record, with the sequences that are missing there.
        var gaps: [(offset: Int, missing: Range<UInt64>)] = []
        /// Where the records end.
        var end = 0
        var torn = false
    }

    let boot: BootID
    var found: [Found] = []
    var open: [HoldID: Opened] = [:]
    /// Outcomes above the watermark, and some below it that were not dropped yet.
    private var ends: [(sequence: UInt64, hold: HoldID)] = []
    private var endsToDropAt = 4_096
    var watermark: UInt64 = 0
    /// What ABANDONs say: segments that were written again, with the watermark of that time.
    var abandonments: [(segment: UInt64, watermark: UInt64, sequence: UInt64)] = []
    /// Those of them that hold.
    var abandoned: [UInt64: UInt64] = [:]
    var lastSequence: UInt64 = 0
    /// What the newest DURABLE says; nil: there is none.
    var durable: UInt64?
    /// The first PROGRESS with amounts that no exchange has.
    private(set) var undecodable: JournalPlace?

    init(boot: BootID) { self.boot = boot }

    mutating func read(_ segment: Segment) {
        let seed = SegmentHeader.seed(boot: self.boot, segment: segment.id)
        let reading = SegmentHeader.read(segment, of: self.boot)
        var first = self.lastSequence + 1
        var orLater = true
        if case .header(let header) = reading {
            (first, orLater) = (header.firstSequence, false)
            self.watermark = max(self.watermark, header.watermark)
        }
        var found = Found(
            segment: segment, header: reading, seed: seed, firstSequence: first, nextSequence: first)
        var walker = RecordWalker(segment, seed: seed, firstSequence: first, orLater: orLater)
        reading: while true {
            let (offset, expected) = (walker.offset, walker.nextSequence)
            switch walker.next() {
            case .record(let record):
                // Where the head is damaged, the first record may come later than expected.
                if record.sequence > expected { found.gaps.append((offset, expected..<record.sequence)) }
                found.records += 1
                self.take(record, of: segment)
            case .gap(let range):
                found.gaps.append((range.lowerBound, expected..<walker.nextSequence))
            case .end(let offset, let torn):
                (found.end, found.torn) = (offset, torn)
                break reading
            }
        }
        found.nextSequence = walker.nextSequence
        self.found.append(found)
    }

    private mutating func take(_ record: JournalRecord, of segment: Segment) {
        self.lastSequence = record.sequence
        segment.withBytes(0..<segment.capacity) { bytes in
            switch record.type {
            case .open:
                let hold = record.hold(bytes)
                self.open[hold] = Opened(segment: segment, record: record)
            case .progress:
                if let progress = record.progress(bytes) {
                    self.open[record.hold(bytes)]?.progress = progress
                } else {
                    let place = JournalPlace(segment: segment.id, offset: record.offset)
                    self.undecodable = self.undecodable ?? place
                }
            case .outcome:
                let hold = record.hold(bytes)
                self.open[hold] = nil
                self.ends.append((record.sequence, hold))
                self.dropPostedEnds()
            case .acknowledgement: self.watermark = max(self.watermark, record.word(0, bytes))
            case .abandonment:
                self.abandonments.append((record.word(0, bytes), record.word(1, bytes), record.sequence))
            case .durable: self.durable = max(self.durable ?? 0, record.word(0, bytes))
            }
        }
    }

    var unpostedHolds: Set<HoldID> {
        self.ends.reduce(into: Set(self.open.keys)) { holds, end in
            if end.sequence > self.watermark { holds.insert(end.hold) }
        }
    }

    /// Now and then, so that memory is a matter of the backlog, not of the retention.
    private mutating func dropPostedEnds() {
        guard self.ends.count >= self.endsToDropAt else { return }
        let watermark = self.watermark
        self.ends.removeAll { $0.sequence <= watermark }
        self.endsToDropAt = max(4_096, 2 * self.ends.count)
    }

    func parts() -> [JournalReading<Segment>.Part] {
        self.found.filter { $0.records > 0 }
            .map { found in
                var orLater = true
                if case .header = found.header { orLater = false }
                return JournalReading.Part(
                    segment: found.segment, seed: found.seed, firstSequence: found.firstSequence,
                    orLater: orLater, limit: found.segment.capacity,
                    lastSequence: found.nextSequence &- 1, supersededAbove: self.abandoned[found.segment.id])
            }
    }
}
