import Metering

/// What the journal of a boot says, after it ended.
public struct RecoveredBoot<Segment: JournalSegment> {
    public let boot: BootID
    /// Every outcome up to here was posted, and Redis knew.
    public var watermark: UInt64 = 0
    /// Sequence of the last record; 0: none.
    public var lastSequence: UInt64 = 0
    /// Exchanges without an end, settled from their last PROGRESS: authority 1.
    public var orphans: [Settlement] = []
    /// Holds with an OPEN without an acknowledged end: those that the ledger may not have yet. All others with an OPEN
    /// have a row of authority 1 or 2.
    public var unpostedHolds: Set<HoldID> = []
    /// Where the last segment ends in a record that was not written whole.
    public var tornTail: JournalPlace?
    /// What a salvage went past; empty otherwise.
    public var skipped: [JournalDamage] = []
    /// Damage that is none: a power cut took records of which nobody was ever told that they are on disk.
    public var holes: [JournalDamage] = []
    /// Records that are missing in the holes.
    public var missingRecords: UInt64 = 0
    /// Every record up to here was on disk, as the journal says itself; nil: it does not say.
    public var durableSequence: UInt64?
    var parts: [JournalReading<Segment>.Part] = []

    /// Nothing was written, whole or in part, but how it began.
    public var isUnused: Bool {
        let hasBegun = self.lastSequence == 1 && self.durableSequence == 0
        return (self.lastSequence == 0 || hasBegun) && self.tornTail == nil && self.isComplete
    }

    /// Outcomes that are to be posted, with the authority they were written with. A hold that was written twice
    /// (after a sync error) comes once.
    public func unacknowledged() -> JournalReading<Segment> {
        JournalReading(self.parts, from: self.watermark + 1)
    }

    /// Everything was posted or copied elsewhere: only `retained`, `unpostedHolds` and OPENs still count.
    public mutating func forgetUnacknowledged() {
        self.watermark = self.lastSequence
        self.orphans = []
    }

    /// All outcomes that there are, for a new ledger generation (rule J6).
    public func retained() -> JournalReading<Segment> { JournalReading(self.parts, from: 1) }
}

extension RecoveredBoot {
    /// Everything that is to be posted, for another journal.
    public func handOver() -> JournalHandOver<Segment> { JournalHandOver(self) }

    /// Nothing was skipped, and there are no holes: what is not here never was, so a hold without OPEN never went upstream (rule F8).
    public var isComplete: Bool { self.skipped.isEmpty && self.holes.isEmpty }

    /// Every hold that has an OPEN (rule F8). Reads the whole journal each time: three days of ids are no set to keep.
    public var openedHolds: Set<HoldID> {
        var holds: Set<HoldID> = []
        self.forEachOpened { holds.insert($0) }
        return holds
    }

    /// Those of these holds that have an OPEN. Reads the whole journal.
    public func opened(among asked: Set<HoldID>) -> Set<HoldID> {
        var holds: Set<HoldID> = []
        self.forEachOpened { if asked.contains($0) { holds.insert($0) } }
        return holds
    }

    private func forEachOpened(_ body: (HoldID) -> Void) {
        for part in self.parts {
            var walker = RecordWalker(
                part.segment, seed: part.seed, limit: part.limit, firstSequence: part.firstSequence,
                orLater: part.orLater)
            reading: while true {
                switch walker.next() {
                // Where an OPEN is damaged, a PROGRESS proves it.
                case .record(let record) where record.type == .open || record.type == .progress:
                    body(part.segment.withBytes(0..<part.limit) { record.hold($0) })
                case .record, .gap: continue
                case .end: break reading
                }
            }
        }
    }
}

extension RecoveredBoot: Sendable where Segment: Sendable {}

/// A byte of a segment.
public struct JournalPlace: Sendable, Hashable {
    public var segment: UInt64
    public var offset: Int

    public init(segment: UInt64, offset: Int) {
        self.segment = segment
        self.offset = offset
    }
}

public enum JournalRecoveryMode: Sendable, Hashable {
    /// The tail rule: only the last segment may end in a torn record, and only if no valid record follows. Behind
    /// the last DURABLE there may be holes as well, since pages reach a disk in any order.
    case strict
    /// Take every valid record and report what was skipped.
    case salvage
}
