import Metering

/// How a journal lies on disk. All numbers are little-endian, everything begins at a multiple of 8.
///
///     segment   magic 8 · version 4 · CRC 4 · boot 16 · segment id 8 · first sequence 8 · created ms 8
///               · watermark 8, then records
///     record    length 4 (this header included; 0: no more records) · CRC 4 · sequence 8 · type 4 · zero 4,
///               then the payload
///     OPEN      hold 16 · settlement (see `SettlementPayload`)
///     PROGRESS  hold 16 · output 8 · amount 8 · cost 8 · shadow 8
///     OUTCOME   hold 16 · settlement
///     ACK       watermark 8: every outcome up to this sequence is posted, and Redis knows (rule J5)
///     ABANDON   segment id 8 · watermark 8: what was above the watermark in that segment stands again before
///               this record, and damage there is no damage (rule J4)
///     DURABLE   sequence 8: every record up to this one is on disk, or stands again in one that is. A power cut
///               takes only what is above it
///
/// A record's CRC begins with boot and segment id, and covers all of the record but itself (rule J2).
public enum JournalFormat {
    public static let version: UInt32 = 1
    public static let segmentHeaderBytes = 64
    public static let recordHeaderBytes = 24
    static let magic: UInt64 = 0x3130_4e52_4a54_4754  // "TGTJRN01"
    static let holdBytes = 16
    /// Header and hold of the longest record, unpadded.
    static let recordLengthMax = recordHeaderBytes + holdBytes + SettlementPayload.encodedBytesMax
    /// No record takes more of a segment.
    public static let recordBytesMax = padded(recordLengthMax)
    /// What one exchange may write before it is reserved no more: OPEN and the largest outcome.
    public static let exchangeBytes = 2 * recordBytesMax
    static let progressBytes = recordHeaderBytes + holdBytes + 32
    static let acknowledgementBytes = recordHeaderBytes + 8
    static let abandonmentBytes = recordHeaderBytes + 16
    static let durableBytes = recordHeaderBytes + 8
    /// Room for the reserves and two exchanges; less would never admit anybody.
    public static let segmentBytesMin = segmentHeaderBytes + 8 * recordBytesMax

    static func padded(_ length: Int) -> Int { (length + 7) & ~7 }
}

enum JournalRecordType: UInt32 {
    case open = 1, progress, outcome, acknowledgement, abandonment, durable

    /// Lengths that a record of this type can have.
    var lengths: ClosedRange<Int> {
        switch self {
        case .open, .outcome:
            (JournalFormat.recordHeaderBytes + JournalFormat.holdBytes + 1)...JournalFormat.recordLengthMax
        case .progress: JournalFormat.progressBytes...JournalFormat.progressBytes
        case .acknowledgement: JournalFormat.acknowledgementBytes...JournalFormat.acknowledgementBytes
        case .abandonment: JournalFormat.abandonmentBytes...JournalFormat.abandonmentBytes
        case .durable: JournalFormat.durableBytes...JournalFormat.durableBytes
        }
    }
}

/// The head of a segment, written when its first record is due.
struct SegmentHeader: Hashable {
    var boot: BootID
    var segment: UInt64
    /// Sequence of the first record.
    var firstSequence: UInt64
    /// When the segment before this one was left, milliseconds since 1970.
    var createdAtMilliseconds: Int64
    /// Acknowledged at that time.
    var watermark: UInt64

    enum Reading: Hashable {
        case header(SegmentHeader)
        /// Never written.
        case zeros
        /// Torn, flipped, or of another segment, whose file was used again.
        case damaged
    }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeTemporaryAllocation(byteCount: JournalFormat.segmentHeaderBytes, alignment: 8) { bytes in
            bytes.put(JournalFormat.magic, at: 0)
            bytes.put(UInt64(JournalFormat.version), at: 8)
            bytes.put(self.boot.high, at: 16)
            bytes.put(self.boot.low, at: 24)
            bytes.put(self.segment, at: 32)
            bytes.put(self.firstSequence, at: 40)
            bytes.put(UInt64(bitPattern: self.createdAtMilliseconds), at: 48)
            bytes.put(self.watermark, at: 56)
            let crc = Self.checksum(UnsafeRawBufferPointer(bytes))
            bytes.put(UInt64(JournalFormat.version) | UInt64(crc) << 32, at: 8)
            return body(UnsafeRawBufferPointer(bytes))
        }
    }

    static func read(_ segment: some JournalSegment, of boot: BootID) -> Reading {
        segment.withBytes(0..<JournalFormat.segmentHeaderBytes) { bytes in
            if bytes.allSatisfy({ $0 == 0 }) { return .zeros }
            let versionAndCRC = bytes.word(at: 8)
            guard bytes.word(at: 0) == JournalFormat.magic,
                UInt32(truncatingIfNeeded: versionAndCRC) == JournalFormat.version,
                UInt32(truncatingIfNeeded: versionAndCRC >> 32) == Self.checksum(bytes)
            else { return .damaged }
            let header = SegmentHeader(
                boot: BootID(high: bytes.word(at: 16), low: bytes.word(at: 24)), segment: bytes.word(at: 32),
                firstSequence: bytes.word(at: 40),
                createdAtMilliseconds: Int64(bitPattern: bytes.word(at: 48)), watermark: bytes.word(at: 56))
            guard header.boot == boot, header.segment == segment.id else { return .damaged }
            return .header(header)
        }
    }

    /// Where the CRCs of a segment's records begin.
    static func seed(boot: BootID, segment: UInt64) -> UInt32 {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { bytes in
            bytes.put(boot.high, at: 0)
            bytes.put(boot.low, at: 8)
            bytes.put(segment, at: 16)
            return CRC32C.update(0, UnsafeRawBufferPointer(bytes))
        }
    }

    /// Of everything but the four bytes in which it is kept.
    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        CRC32C.update(
            CRC32C.update(0, UnsafeRawBufferPointer(rebasing: bytes[..<12])),
            UnsafeRawBufferPointer(rebasing: bytes[16...]))
    }
}

extension UnsafeRawBufferPointer {
    func word(at offset: Int) -> UInt64 {
        UInt64(littleEndian: self.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

extension UnsafeMutableRawBufferPointer {
    func put(_ word: UInt64, at offset: Int) {
        self.storeBytes(of: word.littleEndian, toByteOffset: offset, as: UInt64.self)
    }
}
