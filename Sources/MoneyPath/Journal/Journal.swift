import Metering

/// The journal of one boot (DESIGN §6, MONEY_PATH J1–J8): what must survive this process until the ledger has it.
///
/// A value without I/O: records go into preallocated segments at once, and the owner is told what to bring to
/// disk (`nextSync`), when to prepare a segment (`wantsSpare`) and which may go (`retirable`). One lock around it.
///
/// Life of an exchange: `reserve`, then either `giveBackReservation`, or `open`, any number of `progress`, and
/// `end`. Then the settler posts the outcome and calls `acknowledge`.
public struct Journal<Segment: JournalSegment> {
    public struct Limits: Sendable, Hashable {
        /// Segments are kept so long after they were left, for a ledger that was set back (rule J6).
        public var retentionMilliseconds: Int64
        /// Largest outcomes for which room stays when everything else is reserved: those of no reservation.
        public var unreservedOutcomes: Int
        /// ACKs for which room stays.
        public var acknowledgements: Int

        public init(
            retentionMilliseconds: Int64 = 72 * 3_600_000, unreservedOutcomes: Int = 16,
            acknowledgements: Int = 64
        ) {
            precondition(
                unreservedOutcomes >= 0 && acknowledgements >= 0, "the configuration checks its ranges")
            self.retentionMilliseconds = retentionMilliseconds
            self.unreservedOutcomes = unreservedOutcomes
            self.acknowledgements = acknowledgements
        }

        var reserveBytes: Int {
            self.unreservedOutcomes * JournalFormat.recordBytesMax
                + self.acknowledgements * JournalFormat.acknowledgementBytes
        }
    }

    /// An exchange between `open` and `end`.
    struct OpenExchange {
        /// Where its OPEN stands.
        var segment: UInt64
        var offset: Int
        /// The last one written.
        var progress: JournalProgress?
    }

    public let boot: BootID
    public let limits: Limits
    /// Oldest first, ids without gaps; the last one is written to.
    var segments: [HeldSegment] = []
    /// Their bytes, in the same places.
    var files: [Segment] = []
    /// Prepared, in the order in which they will be used.
    var spares: [Segment] = []
    /// Bytes that records can surely take in the spares.
    var spareUsableBytes = 0
    var nextSegmentID: UInt64 = 1
    var nextSequence: UInt64 = 1
    var openExchanges: [HoldID: OpenExchange] = [:]
    /// Reservations whose OPEN is not written.
    var unopened = 0
    /// Every outcome that was recorded up to here is posted.
    var acknowledgedThrough: UInt64 = 0
    /// Every outcome that stands up to here is posted: copies included, so this is what a recovery may go by.
    /// Never falls.
    public internal(set) var watermark: UInt64 = 0
    /// What the last ACK or segment header says.
    var watermarkWritten: UInt64 = 0
    /// Where outcomes stand again because of a sync error, until they are acknowledged.
    var copies: [OutcomeCopies] = []
    /// The last copy of an outcome that was ever made.
    var lastCopy: UInt64 = 0
    /// The end of the last copy of a failed segment.
    var rewrittenThrough: UInt64 = 0
    /// Every record up to here is on disk, or stands again in one that is.
    public internal(set) var durableSequence: UInt64 = 0
    /// The last DURABLE record: where it stands, and what it says.
    var durableNote: (sequence: UInt64, through: UInt64) = (0, 0)
    /// All segments before this one are on disk or failed.
    var firstUnsynced: UInt64 = 1
    /// No segment before this one has an unacknowledged outcome.
    var firstMarked: UInt64 = 1
    /// Segments whose fsync failed and that are not written again.
    var failedCount = 0
    /// Wall clock in milliseconds since 1970, as last told. For the headers only: it may be set at any time.
    var now: Int64
    /// A clock of this process that is never set, in milliseconds: the age of segments is counted by it.
    var steadyNow: Int64
    /// The last attempt at a spare failed: say so, and try again in a while.
    public internal(set) var isSpareMissing = false

    /// Outcomes that are not acknowledged.
    public internal(set) var unacknowledged = 0
    /// PROGRESS records not written for want of space; the exchange would be settled from an older one.
    public internal(set) var progressSkipped = 0
    /// Records that could not be read back after a sync error.
    public internal(set) var recordsLost: UInt64 = 0

    /// A journal without segments: `reserve` says no until `add(spare:)`.
    ///
    /// - Parameters:
    ///   - nowMilliseconds: the wall clock, since 1970.
    ///   - steadyMilliseconds: a clock that is never set, from any beginning.
    public init(
        boot: BootID, limits: Limits = Limits(), nowMilliseconds: Int64, steadyMilliseconds: Int64
    ) {
        self.boot = boot
        self.limits = limits
        self.now = nowMilliseconds
        self.steadyNow = steadyMilliseconds
    }

    /// Both clocks, at least once a minute.
    public mutating func tick(nowMilliseconds: Int64, steadyMilliseconds: Int64) {
        self.now = nowMilliseconds
        self.steadyNow = max(self.steadyNow, steadyMilliseconds)
    }

    /// Exchanges between `open` and `end`.
    public var openCount: Int { self.openExchanges.count }
    /// Sequence of the newest record; 0: none.
    public var lastSequence: UInt64 { self.nextSequence - 1 }

    // MARK: An exchange

    /// Sets room aside for OPEN and the largest outcome (rule J3). false: stop admitting.
    public mutating func reserve() -> Bool {
        guard self.hasRoomForExchange else { return false }
        self.unopened += 1
        return true
    }

    /// Whether `reserve` would say yes.
    public var hasRoomForExchange: Bool {
        self.usableBytes >= self.reservedBytes + JournalFormat.exchangeBytes + self.limits.reserveBytes
    }

    /// Ends a reservation of which nothing was written.
    public mutating func giveBackReservation() {
        precondition(self.unopened > 0, "each exchange gives back its own reservation, once, before OPEN")
        self.unopened -= 1
    }

    /// Before the first byte goes upstream. Returns the sequence, or nil when a sync error took the reserved
    /// room: then the exchange is refused and gives its reservation back.
    ///
    /// - Parameter opening: what would be settled if this process died now: ORPHAN, authority 1.
    public mutating func open(_ opening: EncodedSettlement) -> UInt64? {
        precondition(self.unopened > 0, "an exchange reserves before it opens")
        precondition(self.openExchanges[opening.hold] == nil, "a hold is made for one exchange")
        precondition(
            opening.isOpening, "OPEN is what a recovery would settle")
        guard let record = self.append(.open(opening.hold), opening.bytes) else { return nil }
        self.unopened -= 1
        let segment = self.segments[self.segments.count - 1].id
        self.openExchanges[opening.hold] = OpenExchange(segment: segment, offset: record.offset)
        self.segments[self.segments.count - 1].openCount += 1
        return record.sequence
    }

    public enum ProgressAction: Sendable, Hashable {
        case written
        /// No room beside the reservations; counted.
        case skipped
        /// The exchange has no OPEN, or ended before.
        case ignored
    }

    /// How far an open exchange has come.
    public mutating func progress(_ hold: HoldID, _ progress: JournalProgress) -> ProgressAction {
        guard self.openExchanges[hold] != nil else { return .ignored }
        guard self.hasRoom(for: JournalFormat.progressBytes, keeping: self.limits.reserveBytes),
            self.append(.progress(hold, progress), []) != nil
        else {
            self.progressSkipped += 1
            return .skipped
        }
        self.openExchanges[hold]?.progress = progress
        return .written
    }

    /// The outcome of an exchange. Returns its sequence, or nil when there is no room at all: the caller then
    /// posts it without journal and withholds the last chunk until that is done (C10).
    ///
    /// - Parameter reserved: takes the reservation of its exchange with it.
    public mutating func end(_ outcome: EncodedSettlement, reserved: Bool) -> UInt64? {
        let hadRoom = self.leave(outcome.hold, reserved: reserved)
        let length = JournalFormat.recordHeaderBytes + JournalFormat.holdBytes + outcome.bytes.count
        // What is promised to others is theirs, unless this one was promised as much.
        guard hadRoom || self.hasRoom(for: JournalFormat.padded(length), keeping: 0),
            let record = self.append(.outcome(outcome.hold), outcome.bytes)
        else { return nil }
        self.markOutcome(record.sequence)
        return record.sequence
    }

    /// Ends the reservation, in whichever state it is; false when there was none.
    private mutating func leave(_ hold: HoldID, reserved: Bool) -> Bool {
        if let open = self.openExchanges.removeValue(forKey: hold) {
            self.segments[self.index(of: open.segment)].openCount -= 1
            return true
        }
        guard reserved else { return false }
        precondition(self.unopened > 0, "each exchange ends once")
        self.unopened -= 1
        return true
    }

    mutating func markOutcome(_ sequence: UInt64) {
        self.segments[self.segments.count - 1].outcomes.mark(sequence)
        self.unacknowledged += 1
    }

    func index(of segment: UInt64) -> Int {
        guard let first = self.segments.first?.id, segment >= first,
            segment - first < UInt64(self.segments.count)
        else { preconditionFailure("a segment with an open exchange is not retired") }
        return Int(segment - first)
    }
}

extension Journal: Sendable where Segment: Sendable {}

// For callers that hold no lock.
extension Journal {
    public mutating func open(_ opening: Settlement) -> UInt64? { self.open(EncodedSettlement(opening)) }

    public mutating func end(_ outcome: Settlement, reserved: Bool) -> UInt64? {
        self.end(EncodedSettlement(outcome), reserved: reserved)
    }
}
