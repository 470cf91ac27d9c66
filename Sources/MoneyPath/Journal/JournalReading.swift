import Metering

/// Reads outcomes out of segments, a bounded number at a time. Needs no lock: it sees what was written when it
/// was made.
public struct JournalReading<Segment: JournalSegment> {
    struct Part {
        var segment: Segment
        var seed: UInt32
        var firstSequence: UInt64
        /// The header that says `firstSequence` is damaged (only a salvage reads such a segment).
        var orLater = false
        var limit: Int
        /// Sequence of its last record.
        var lastSequence: UInt64
        /// Outcomes above it stand again in a later segment.
        var supersededAbove: UInt64?
    }

    private var parts: ArraySlice<Part>
    private var walker: RecordWalker<Segment>?
    private let from: UInt64
    /// Outcomes that are damaged, or written by a newer release.
    public private(set) var unreadable = 0
    /// The first of those.
    public private(set) var firstUnreadable: JournalPlace?

    init(_ parts: [Part], from: UInt64) {
        self.parts = parts.filter { $0.lastSequence >= from }[...]
        self.from = from
    }

    /// The next outcomes in the order in which they were decided, at most `limit`; empty at the end.
    public mutating func next(limit: Int) -> [JournaledOutcome] {
        precondition(limit > 0, "a caller that wants none does not ask")
        var outcomes: [JournaledOutcome] = []
        while outcomes.count < limit, let part = self.parts.first {
            var walker =
                self.walker
                ?? RecordWalker(
                    part.segment, seed: part.seed, limit: part.limit, firstSequence: part.firstSequence,
                    orLater: part.orLater)
            switch walker.next() {
            case .record(let record):
                self.walker = walker
                self.take(record, of: part, into: &outcomes)
            case .gap: self.walker = walker
            case .end:
                self.walker = nil
                self.parts.removeFirst()
            }
        }
        return outcomes
    }

    private mutating func take(
        _ record: JournalRecord, of part: Part, into outcomes: inout [JournaledOutcome]
    ) {
        guard record.type == .outcome, record.sequence >= self.from,
            record.sequence <= part.supersededAbove ?? .max
        else { return }
        guard let settlement = part.segment.withBytes(0..<part.limit, { record.settlement($0) }) else {
            self.unreadable += 1
            let place = JournalPlace(segment: part.segment.id, offset: record.offset)
            self.firstUnreadable = self.firstUnreadable ?? place
            return
        }
        outcomes.append(JournaledOutcome(sequence: record.sequence, settlement: settlement))
    }
}

extension JournalReading.Part: Sendable where Segment: Sendable {}
extension JournalReading: Sendable where Segment: Sendable {}

extension Journal {
    /// All outcomes from this sequence on that are retained, acknowledged or not, each once and where it stands now:
    /// with 1 what a new ledger generation must get again. Make it under the lock, read outside. What the settler
    /// has to read is `backlog(from:limit:)`.
    public func outcomes(from sequence: UInt64) -> JournalReading<Segment> {
        var parts: [JournalReading<Segment>.Part] = []
        for (held, file) in zip(self.segments, self.files) where held.lastSequence >= sequence {
            parts.append(
                .init(
                    segment: file, seed: held.seed, firstSequence: held.firstSequence, limit: held.used,
                    lastSequence: held.lastSequence, supersededAbove: held.supersededAbove))
        }
        return JournalReading(parts, from: sequence)
    }
}
