/// Goes through the records of one segment, and past damage to what is valid behind it. Decides nothing: whether
/// damage may be is `JournalRecovery`'s to say.
struct RecordWalker<Segment: JournalSegment> {
    enum Step: Hashable {
        case record(JournalRecord)
        /// Nothing valid stands in this range, but a valid record follows it.
        case gap(Range<Int>)
        /// No valid record from here on.
        /// - torn: something other than zero stands at this place.
        case end(at: Int, torn: Bool)
    }

    private let segment: Segment
    private let seed: UInt32
    /// Records are looked for before this offset.
    private let limit: Int
    private(set) var offset = JournalFormat.segmentHeaderBytes
    /// The sequence that the next record has if nothing is missing.
    private(set) var nextSequence: UInt64
    /// The first record may have any later sequence, as the header that names it is damaged.
    private var knowsSequence: Bool

    /// - Parameter firstSequence: as the header says; `orLater` when it cannot be read.
    init(
        _ segment: Segment, seed: UInt32, limit: Int? = nil, firstSequence: UInt64, orLater: Bool = false
    ) {
        self.segment = segment
        self.seed = seed
        self.limit = limit ?? segment.capacity
        self.nextSequence = firstSequence
        self.knowsSequence = !orLater
    }

    mutating func next() -> Step {
        let (offset, seed, limit, expected) = (self.offset, self.seed, self.limit, self.nextSequence)
        let sequences = expected...(self.knowsSequence ? expected : .max)
        let record = self.segment.withBytes(0..<limit) {
            JournalRecord.read($0, at: offset, seed: seed, sequences: sequences)
        }
        if let record { return .record(self.pass(record)) }
        let (found, torn) = self.segment.withBytes(0..<limit) { bytes in
            (
                Self.search(bytes, from: offset, seed: seed, sequences: expected ... .max),
                offset + 8 <= limit && UInt32(truncatingIfNeeded: bytes.word(at: offset)) != 0
            )
        }
        guard let found else { return .end(at: offset, torn: torn) }
        self.offset = found.offset
        self.nextSequence = found.sequence
        return .gap(offset..<found.offset)
    }

    private mutating func pass(_ record: JournalRecord) -> JournalRecord {
        self.offset = record.end
        self.nextSequence = record.sequence &+ 1
        self.knowsSequence = true
        return record
    }

    /// The first valid record at or after `from`. A lone bit decides nothing: what is searched is mostly zeros,
    /// and everything else must pass the CRC.
    private static func search(
        _ bytes: UnsafeRawBufferPointer, from: Int, seed: UInt32, sequences: ClosedRange<UInt64>
    ) -> JournalRecord? {
        var at = from
        while at + JournalFormat.recordHeaderBytes <= bytes.count {
            if bytes.word(at: at) != 0,
                let found = JournalRecord.read(bytes, at: at, seed: seed, sequences: sequences)
            {
                return found
            }
            at += 8
        }
        return nil
    }
}

extension RecordWalker: Sendable where Segment: Sendable {}
