import Metering

/// One preallocated piece of the journal, of fixed size: a mapped file, or a simulated one. Fresh segments read
/// as zeros; recycled ones may hold anything, their old records never pass (rule J2).
public protocol JournalSegment {
    /// Position in the boot's journal; counts from 1 without gaps, and is the name of the file.
    var id: UInt64 { get }
    /// Bytes, a multiple of 8 and at least `JournalFormat.segmentBytesMin`.
    var capacity: Int { get }

    /// Puts bytes in place at once: never waits for a disk, never fails.
    /// - Precondition: the journal writes only inside the capacity.
    mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int)

    /// Lends the bytes of a range inside the capacity, as they are now.
    func withBytes<Result>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Result) -> Result
}

/// A settlement with its bytes: made outside of the journal's lock, so that nothing is encoded under it.
public struct EncodedSettlement: Sendable, Hashable {
    public let hold: HoldID
    public let kind: Settlement.Kind
    public let authority: Settlement.Authority
    public let bytes: [UInt8]

    public init(_ settlement: Settlement) {
        self.hold = settlement.hold
        self.kind = settlement.kind
        self.authority = settlement.authority
        self.bytes = settlement.encode()
    }

    /// What a recovery would settle: an orphan, or what is waived however it ends.
    public var isOpening: Bool {
        self.authority == .recovery && (self.kind == .orphan || self.kind == .waived)
    }
}

/// How far a running exchange has come: replaces output, charge and shadow of its OPEN.
public struct JournalProgress: Sendable, Hashable {
    /// Output tokens so far.
    public var output: Int64
    /// What would be charged, and what it would cost, if the exchange ended now.
    public var charge: Charge
    public var shadow: Millicredits

    public init(output: Int64, charge: Charge, shadow: Millicredits) {
        self.output = output
        self.charge = charge
        self.shadow = shadow
    }
}

/// An outcome as it stands in the journal.
public struct JournaledOutcome: Sendable, Hashable {
    /// Position in the boot's journal; `Journal.acknowledge(through:)` takes it.
    public var sequence: UInt64
    public var settlement: Settlement

    public init(sequence: UInt64, settlement: Settlement) {
        self.sequence = sequence
        self.settlement = settlement
    }
}
