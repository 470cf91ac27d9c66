/// Finds the payload in a chunked body without copying it. Strict: hexadecimal digits only, CRLF only, no
/// extensions (nothing that matters sends them, and they are where parsers disagree), bounded trailers,
/// which are dropped, and none that says where the message or its connection ends.
struct ChunkedDecoder: Sendable {
    enum Step: Equatable {
        /// Payload at this range; go on at `consumedTo`.
        case payload(Range<Int>, consumedTo: Int)
        /// Everything up to here is consumed; call again with more.
        case needMore(consumedTo: Int)
        /// The body, its trailers and its last line ended here.
        case end(consumedTo: Int)
        case invalid(HeadFault)
    }

    private enum State: Equatable {
        case size(digits: Int)
        case sizeLF
        case data
        case dataCR, dataLF
        /// At the start of a trailer line, or of the last blank line.
        case trailerStart
        case trailerName
        case trailerValue
        case trailerLF
        case endLF
        case ended
    }

    private static let trailerBytesMax = 8 << 10
    /// 2^52 bytes: far beyond any body, far below overflow.
    private static let sizeDigitsMax = 13

    private var state: State = .size(digits: 0)
    private var left = 0
    private var trailerBytes = 0
    private var trailerName = TrailerName()

    init() {}

    mutating func next(in bytes: UnsafeRawBufferPointer, from start: Int) -> Step {
        var at = start
        while at < bytes.count {
            if self.state == .data {
                let count = min(self.left, bytes.count - at)
                self.left -= count
                if self.left == 0 { self.state = .dataCR }
                return .payload(at..<at + count, consumedTo: at + count)
            }
            guard self.take(bytes[at]) else { return .invalid(.badChunk) }
            at += 1
            if self.state == .ended { return .end(consumedTo: at) }
        }
        return .needMore(consumedTo: at)
    }

    /// One byte outside of payload; false when it may not stand here.
    private mutating func take(_ byte: UInt8) -> Bool {
        switch self.state {
        case .size(let digits): return self.takeSize(byte, digits)
        case .sizeLF:
            guard byte == 0x0a else { return false }
            self.state = self.left == 0 ? .trailerStart : .data
        case .dataCR:
            guard byte == 0x0d else { return false }
            self.state = .dataLF
        case .dataLF:
            guard byte == 0x0a else { return false }
            self.state = .size(digits: 0)
            self.left = 0
        case .trailerStart:
            guard byte == 0x0d || Characters.isToken(byte) else { return false }
            self.state = byte == 0x0d ? .endLF : .trailerName
            if byte != 0x0d { self.trailerName = TrailerName(first: byte) }
        case .trailerName:
            if byte == UInt8(ascii: ":") {
                guard !self.trailerName.framesMessage else { return false }
                self.state = .trailerValue
            } else {
                guard Characters.isToken(byte) else { return false }
                self.trailerName.append(byte)
            }
        case .trailerValue:
            guard byte == 0x0d || Characters.isFieldValue(byte) else { return false }
            if byte == 0x0d { self.state = .trailerLF }
        case .trailerLF:
            guard byte == 0x0a else { return false }
            self.state = .trailerStart
        case .endLF:
            guard byte == 0x0a else { return false }
            self.state = .ended
        case .data, .ended:
            return false
        }
        return self.countTrailer()
    }

    private mutating func takeSize(_ byte: UInt8, _ digits: Int) -> Bool {
        let value: Int
        switch byte {
        case 0x30...0x39: value = Int(byte - 0x30)
        case 0x61...0x66: value = Int(byte - 0x57)
        case 0x41...0x46: value = Int(byte - 0x37)
        case 0x0d where digits > 0:
            self.state = .sizeLF
            return true
        default: return false
        }
        guard digits < Self.sizeDigitsMax else { return false }
        self.left = self.left << 4 | value
        self.state = .size(digits: digits + 1)
        return true
    }

    private mutating func countTrailer() -> Bool {
        switch self.state {
        case .trailerName, .trailerValue, .trailerLF:
            self.trailerBytes += 1
            return self.trailerBytes <= Self.trailerBytesMax
        default:
            return true
        }
    }
}

/// The name of a trailer, byte by byte, as far as it matters: whether it is one of a few.
private struct TrailerName {
    private static let framing: [StaticString] = ["content-length", "transfer-encoding", "connection"]

    private var count = 0
    /// One bit for each of them that it begins like.
    private var alike: UInt8 = 0b111

    init() {}

    init(first byte: UInt8) { self.append(byte) }

    mutating func append(_ byte: UInt8) {
        let lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
        for (bit, name) in Self.framing.enumerated()
        where self.count >= name.utf8CodeUnitCount || name.utf8Start[self.count] != lower {
            self.alike &= ~(1 << bit)
        }
        self.count += 1
    }

    /// A sender must not put it into trailers (RFC 9110 §6.5.1), and some receivers would believe it.
    var framesMessage: Bool {
        Self.framing.enumerated().contains { bit, name in
            self.alike & 1 << bit != 0 && self.count == name.utf8CodeUnitCount
        }
    }
}
