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
    /// The tail rule: only the last segment may end in a torn record, and only if no valid record follows.
    case strict
    /// Take every valid record and report what was skipped.
    case salvage
}
