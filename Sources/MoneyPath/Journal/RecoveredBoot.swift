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
    /// Every hold that has an OPEN (rule F8).
    public var openedHolds: Set<HoldID> = []
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

    /// Outcomes that are to be posted, with the authority they were written with. A hold that was written twice
    /// (after a sync error) comes once.
    public func unacknowledged() -> JournalReading<Segment> {
        JournalReading(self.parts, from: self.watermark + 1)
    }

    /// Everything was posted or copied elsewhere: only `retained` and `openedHolds` still count.
    public mutating func forgetUnacknowledged() {
        self.watermark = self.lastSequence
        self.orphans = []
    }

    /// All outcomes that there are, for a new ledger generation (rule J6).
    public func retained() -> JournalReading<Segment> { JournalReading(self.parts, from: 1) }
}

extension RecoveredBoot {
    public enum HandOver: Sendable, Hashable {
        /// So many outcomes are in the other journal; when that is on disk up to `through`, this boot needs no recovery.
        case copied(Int, through: UInt64)
        /// The other journal is full after so many. Again later, from the beginning: posting one twice is harmless. Until
        /// then this journal is the only one that has the rest.
        case noRoom(after: Int)
    }

    /// Hands over everything that is to be posted.
    ///
    /// - Parameter take: puts an outcome into the other journal and has it settled; returns its place there, nil: no
    ///   room.
    public func handOver(_ take: (Settlement) -> UInt64?) -> HandOver {
        var reading = self.unacknowledged()
        var (copied, last) = (0, UInt64(0))
        func copy(_ settlement: Settlement) -> Bool {
            guard let sequence = take(settlement) else { return false }
            (copied, last) = (copied + 1, sequence)
            return true
        }
        while true {
            let page = reading.next(limit: 1_000)
            if page.isEmpty { break }
            for outcome in page where !copy(outcome.settlement) { return .noRoom(after: copied) }
        }
        for orphan in self.orphans where !copy(orphan) { return .noRoom(after: copied) }
        return .copied(copied, through: last)
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
