/// What the header of a FLAC frame says (RFC 9639 §9.1).
struct FLACFrameHeader: Equatable {
    static let bytesMax = 16

    var samples: Int64
    /// nil: as STREAMINFO says.
    var rate: Int64?
    /// Of the frame, or of its first sample.
    var number: UInt64
    var countsSamples: Bool
    /// Bytes of the header.
    var size: Int

    /// nil: no header that checks out begins here, or it has not come in whole.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 6, bytes[0] == 0xff, bytes[1] & 0xfe == 0xf8 else { return nil }
        let (sizeCode, rateCode) = (Int(bytes[2] >> 4), Int(bytes[2] & 15))
        guard sizeCode != 0, rateCode != 15, bytes[3] >> 4 < 11, bytes[3] & 1 == 0 else { return nil }
        var at = 4
        guard let number = Self.number(bytes, &at) else { return nil }
        let extra = (sizeCode == 6 ? 1 : sizeCode == 7 ? 2 : 0)
        let extraRate = rateCode == 12 ? 1 : rateCode == 13 || rateCode == 14 ? 2 : 0
        guard bytes.count > at + extra + extraRate else { return nil }
        switch sizeCode {
        case 1: self.samples = 192
        case 2...5: self.samples = 576 << (sizeCode - 2)
        case 6: self.samples = Int64(bytes[at]) + 1
        case 7: self.samples = Int64(MediaBytes.big16(bytes, at)) + 1
        default: self.samples = 256 << (sizeCode - 8)
        }
        at += extra
        let value =
            extraRate == 1 ? Int64(bytes[at]) : extraRate == 2 ? Int64(MediaBytes.big16(bytes, at)) : 0
        switch rateCode {
        case 0: self.rate = nil
        case 1...11:
            self.rate =
                [
                    88200, 176_400, 192_000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000,
                ][rateCode - 1]
        case 12: self.rate = value * 1000
        case 13: self.rate = value
        default: self.rate = value * 10
        }
        at += extraRate
        guard self.rate != 0, Self.checksum(bytes, at) == bytes[at] else { return nil }
        self.number = number
        self.countsSamples = bytes[1] & 1 == 1
        self.size = at + 1
    }

    /// A number of up to 36 bits, written as UTF-8 writes characters.
    private static func number(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> UInt64? {
        let first = bytes[at]
        at += 1
        guard first >= 0x80 else { return UInt64(first) }
        let length = (~first).leadingZeroBitCount
        guard 2...7 ~= length, bytes.count >= at + length - 1 else { return nil }
        var number = UInt64(first) & (length == 7 ? 0 : 0x7f >> UInt64(length))
        for _ in 1..<length {
            guard bytes[at] & 0xc0 == 0x80 else { return nil }
            number = number << 6 | UInt64(bytes[at] & 0x3f)
            at += 1
        }
        return number
    }

    private static func checksum(_ bytes: UnsafeRawBufferPointer, _ count: Int) -> UInt8 {
        var sum: UInt8 = 0
        for index in 0..<count {
            sum ^= bytes[index]
            for _ in 0..<8 { sum = sum & 0x80 == 0 ? sum << 1 : sum << 1 ^ 7 }
        }
        return sum
    }
}

/// Walks FLAC frames, which do not say how long they are: one ends where its checksum comes out and another, or the end,
/// follows. Every byte must be part of a frame that checks out.
struct FLACFrames: Sendable {
    private static let table: [UInt16] = (0..<256).map { byte in
        (0..<8).reduce(UInt16(byte) << 8) { sum, _ in sum & 0x8000 == 0 ? sum << 1 : sum << 1 ^ 0x8005 }
    }

    private var clock = SampleClock()
    /// Of the stream; 0: not told.
    private let rate: Int64
    private var isInFrame = false
    private var sum: UInt16 = 0
    /// Number of the next frame, or of its first sample.
    private var next: UInt64?
    private var countsSamples = false

    init(rate: Int64) { self.rate = rate }

    /// No frame has begun.
    var isEmpty: Bool { self.next == nil }

    /// Looks at `bytes` as far as it can without seeing more. Returns how many it is through with.
    ///
    /// - Parameter isLast: no more bytes come.
    mutating func walk(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws(AudioFault) -> Int {
        var at = 0
        var sum = self.sum
        defer { self.sum = sum }
        try Self.table.withUnsafeBufferPointer { (table) throws(AudioFault) in
            while at < bytes.count {
                let isFull = bytes.count - at >= FLACFrameHeader.bytesMax
                guard isFull || isLast else { return }
                if !self.isInFrame
                    || (bytes[at] == 0xff && at + 1 < bytes.count && bytes[at + 1] & 0xfe == 0xf8)
                {
                    let window = UnsafeRawBufferPointer(rebasing: bytes[at...])
                    if try self.begins(FLACFrameHeader(window), sumIsZero: sum == 0) { sum = 0 }
                }
                sum = sum << 8 ^ table[Int(sum >> 8) ^ Int(bytes[at])]
                at += 1
            }
        }
        return at
    }

    /// Whether a frame begins at such a header.
    private mutating func begins(_ header: FLACFrameHeader?, sumIsZero: Bool) throws(AudioFault) -> Bool {
        guard let header else {
            guard self.isInFrame else { throw .damaged }
            return false
        }
        let isExpected = self.next.map { $0 == header.number && header.countsSamples == self.countsSamples }
        guard sumIsZero || !self.isInFrame else {
            // Looks like the next frame, though the one before is not over: some decoder would go on here.
            if isExpected ?? true { throw .damaged }
            return false
        }
        guard let rate = header.rate ?? (self.rate > 0 ? self.rate : nil) else { throw .damaged }
        self.clock.add(header.samples, at: rate)
        self.isInFrame = true
        self.countsSamples = header.countsSamples
        self.next = header.number &+ (header.countsSamples ? UInt64(header.samples) : 1)
        return true
    }

    /// No more bytes come; all were walked.
    func finish() throws(AudioFault) -> SampleClock {
        guard !self.isInFrame || self.sum == 0 else { throw .damaged }
        return self.clock
    }
}

/// A native FLAC file: its metadata is passed over, of STREAMINFO only the rate is believed.
struct FLACMeter: Sendable {
    private enum State: Sendable { case signature, metadata, frames }

    private var state: State = .signature
    private var frames: FLACFrames?

    mutating func step(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        switch self.state {
        case .signature:
            self.state = .metadata
            return .advance(4)
        case .metadata:
            return try self.metadata(bytes)
        case .frames:
            guard bytes.count >= FLACFrameHeader.bytesMax else { return .need(FLACFrameHeader.bytesMax) }
            return .advance(Int64(try self.walk(bytes, isLast: false)))
        }
    }

    mutating func finish(_ rest: UnsafeRawBufferPointer, missing: Int64) throws(AudioFault) -> Int64 {
        guard self.state == .frames, missing == 0 else { throw .damaged }
        _ = try self.walk(rest, isLast: true)
        guard let frames else { throw .damaged }
        return try frames.finish().milliseconds
    }

    private mutating func walk(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws(AudioFault) -> Int {
        guard var frames = self.frames else { throw .damaged }
        defer { self.frames = frames }
        return try frames.walk(bytes, isLast: isLast)
    }

    private mutating func metadata(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        guard bytes.count >= 4 else { return .need(4) }
        let size = Int64(MediaBytes.big24(bytes, 1))
        if self.frames == nil {
            guard bytes[0] & 0x7f == 0, size >= 34 else { throw .damaged }
            guard bytes.count >= 18 else { return .need(18) }
            self.frames = FLACFrames(rate: try Self.rate(bytes, 4))
        }
        if bytes[0] & 0x80 != 0 { self.state = .frames }
        return .advance(4 + size)
    }

    /// The rate of a STREAMINFO block that begins at `offset`; 0: not told.
    static func rate(_ bytes: UnsafeRawBufferPointer, _ offset: Int) throws(AudioFault) -> Int64 {
        let rate = Int64(MediaBytes.big32(bytes, offset + 10) >> 12)
        guard rate <= SampleClock.rates.upperBound else { throw .damaged }
        return rate
    }
}
