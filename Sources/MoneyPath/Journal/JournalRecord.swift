import Metering

/// Where a valid record stands.
struct JournalRecord: Hashable {
    var type: JournalRecordType
    var sequence: UInt64
    /// Of its header in the segment.
    var offset: Int
    /// Bytes without padding, header included.
    var length: Int

    /// Where the next record begins.
    var end: Int { self.offset + JournalFormat.padded(self.length) }
    var payload: Range<Int> { self.offset + JournalFormat.recordHeaderBytes..<self.offset + self.length }

    /// The settlement's text in an OPEN or OUTCOME.
    var settlement: Range<Int> { self.payload.lowerBound + JournalFormat.holdBytes..<self.payload.upperBound }

    /// Reads the record at `offset` of `bytes` (a whole segment); nil when nothing valid stands there.
    ///
    /// - Parameter sequences: numbers that may stand here. They are looked at before the CRC, so a search through
    ///   foreign bytes costs little.
    static func read(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, seed: UInt32, sequences: ClosedRange<UInt64>
    ) -> JournalRecord? {
        guard offset + JournalFormat.recordHeaderBytes <= bytes.count else { return nil }
        let lengthAndCRC = bytes.word(at: offset)
        let length = Int(UInt32(truncatingIfNeeded: lengthAndCRC))
        let sequence = bytes.word(at: offset + 8)
        guard sequences.contains(sequence),
            let type = JournalRecordType(rawValue: UInt32(truncatingIfNeeded: bytes.word(at: offset + 16))),
            bytes.word(at: offset + 16) >> 32 == 0, type.lengths.contains(length),
            offset + length <= bytes.count
        else { return nil }
        let record = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
        guard Self.checksum(record, seed: seed) == UInt32(truncatingIfNeeded: lengthAndCRC >> 32) else {
            return nil
        }
        return JournalRecord(type: type, sequence: sequence, offset: offset, length: length)
    }

    /// Of a whole record, but for the four bytes in which it is kept.
    private static func checksum(_ record: UnsafeRawBufferPointer, seed: UInt32) -> UInt32 {
        CRC32C.update(
            CRC32C.update(seed, UnsafeRawBufferPointer(rebasing: record[..<4])),
            UnsafeRawBufferPointer(rebasing: record[8...]))
    }

    /// Writes the record and returns it. The header goes last: a process that dies in between leaves "no more
    /// records".
    ///
    /// - Parameter text: of OPEN and OUTCOME, the settlement; else empty.
    static func write(
        _ head: JournalRecordHead, text: UnsafeRawBufferPointer, sequence: UInt64,
        to segment: inout some JournalSegment, at offset: Int, seed: UInt32
    ) -> JournalRecord {
        let length = head.byteCount + text.count
        precondition(head.type.lengths.contains(length), "SettlementPayload bounds what is encoded")
        precondition(offset + length <= segment.capacity, "the journal makes room first")
        withUnsafeTemporaryAllocation(byteCount: JournalRecordHead.byteCountMax, alignment: 8) { buffer in
            let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<head.byteCount])
            bytes.put(UInt64(length), at: 0)
            bytes.put(sequence, at: 8)
            bytes.put(UInt64(head.type.rawValue), at: 16)
            head.putWords(bytes)
            let crc = CRC32C.update(Self.checksum(UnsafeRawBufferPointer(bytes), seed: seed), text)
            bytes.put(UInt64(length) | UInt64(crc) << 32, at: 0)
            if !text.isEmpty { segment.write(text, at: offset + bytes.count) }
            segment.write(UnsafeRawBufferPointer(bytes), at: offset)
        }
        return JournalRecord(type: head.type, sequence: sequence, offset: offset, length: length)
    }
}

/// The fixed part of a record: its type and numbers.
enum JournalRecordHead {
    case open(HoldID)
    case progress(HoldID, JournalProgress)
    case outcome(HoldID)
    case acknowledgement(watermark: UInt64)
    case abandonment(segment: UInt64, watermark: UInt64)
    case durable(through: UInt64)

    static let byteCountMax = JournalFormat.progressBytes

    var type: JournalRecordType {
        switch self {
        case .open: .open
        case .progress: .progress
        case .outcome: .outcome
        case .acknowledgement: .acknowledgement
        case .abandonment: .abandonment
        case .durable: .durable
        }
    }

    /// Header and numbers.
    var byteCount: Int {
        switch self {
        case .open, .outcome: JournalFormat.recordHeaderBytes + JournalFormat.holdBytes
        case .progress: JournalFormat.progressBytes
        case .acknowledgement: JournalFormat.acknowledgementBytes
        case .abandonment: JournalFormat.abandonmentBytes
        case .durable: JournalFormat.durableBytes
        }
    }

    fileprivate func putWords(_ bytes: UnsafeMutableRawBufferPointer) {
        func put(_ word: UInt64, _ index: Int) {
            bytes.put(word, at: JournalFormat.recordHeaderBytes + 8 * index)
        }
        func put(_ hold: HoldID) {
            put(hold.high, 0)
            put(hold.low, 1)
        }
        switch self {
        case .open(let hold), .outcome(let hold): put(hold)
        case .progress(let hold, let progress):
            put(hold)
            put(UInt64(bitPattern: progress.output), 2)
            put(UInt64(bitPattern: progress.charge.amount.value), 3)
            put(UInt64(bitPattern: progress.charge.cost.value), 4)
            put(UInt64(bitPattern: progress.shadow.value), 5)
        case .acknowledgement(let watermark): put(watermark, 0)
        case .abandonment(let segment, let watermark):
            put(segment, 0)
            put(watermark, 1)
        case .durable(let through): put(through, 0)
        }
    }
}

// Payloads, out of the bytes of a whole segment.
extension JournalRecord {
    /// Of OPEN, PROGRESS, OUTCOME.
    func hold(_ bytes: UnsafeRawBufferPointer) -> HoldID {
        HoldID(
            high: bytes.word(at: self.payload.lowerBound), low: bytes.word(at: self.payload.lowerBound + 8))
    }

    /// Of ACK, ABANDON and DURABLE: their numbers.
    func word(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> UInt64 {
        bytes.word(at: self.payload.lowerBound + 8 * index)
    }

    /// Of PROGRESS; nil when it holds amounts that no exchange has.
    func progress(_ bytes: UnsafeRawBufferPointer) -> JournalProgress? {
        func number(_ index: Int) -> Int64 { Int64(bitPattern: self.word(2 + index, bytes)) }
        guard let amount = Millicredits(exactly: number(1)), amount >= .zero,
            let shadow = Millicredits(exactly: number(3))
        else { return nil }
        return JournalProgress(
            output: number(0), charge: Charge(amount: amount, cost: PicoUSD(number(2))), shadow: shadow)
    }

    /// Of OPEN and OUTCOME; nil when a newer release wrote it, or the two holds differ.
    func settlement(_ bytes: UnsafeRawBufferPointer) -> Settlement? {
        guard let settlement = try? Settlement(decoding: bytes[self.settlement]),
            settlement.hold == self.hold(bytes)
        else { return nil }
        return settlement
    }
}
