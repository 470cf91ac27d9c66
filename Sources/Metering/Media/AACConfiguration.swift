/// What the description of an AAC track says of each of its frames.
struct AACConfiguration: Sendable, Equatable {
    /// Of the core decoder: the same time whether or not a frame is extended to twice the rate.
    var rate: Int64
    var channels: Int64

    private static let rates: [Int64] = [
        96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
    ]

    /// Reads the body of `stsd`, which must describe one kind of sample: `mp4a` with AAC in it.
    init(sampleDescriptions body: UnsafeRawBufferPointer) throws(AudioFault) {
        guard body.count >= 8 + 36, MediaBytes.big32(body, 4) == 1 else { throw .unmeasuredContent }
        guard MediaBytes.starts(body, "mp4a", at: 12) else { throw .unmeasuredContent }
        // Version 1 has 16 bytes more; version 2 is QuickTime's own.
        let version = MediaBytes.big16(body, 24)
        guard version < 2 else { throw .unmeasuredContent }
        var at = 8 + 36 + (version == 1 ? 16 : 0)
        while body.count >= at + 8 {
            let size = Int(MediaBytes.big32(body, at))
            guard size >= 8, body.count >= at + size else { throw .damaged }
            if MediaBytes.starts(body, "esds", at: at + 4), size >= 12 {
                try self.init(descriptors: UnsafeRawBufferPointer(rebasing: body[(at + 12)..<(at + size)]))
                return
            }
            at += size
        }
        throw .unmeasuredContent
    }

    /// Reads an ES_Descriptor, and in it the decoder's configuration (ISO/IEC 14496-1 §7.2.6).
    private init(descriptors bytes: UnsafeRawBufferPointer) throws(AudioFault) {
        var at = 0
        while let (tag, length) = Self.descriptor(bytes, &at) {
            switch tag {
            case 3:
                guard bytes.count >= at + 3, bytes[at + 2] & 0xe0 == 0 else { throw .unmeasuredContent }
                at += 3
            case 4:
                // MPEG-4 audio, or AAC LC of MPEG-2, which is the same.
                guard bytes.count >= at + 13, [0x40, 0x67].contains(bytes[at]) else {
                    throw .unmeasuredContent
                }
                at += 13
            case 5:
                guard bytes.count >= at + length else { throw .damaged }
                var bits = ForwardBits(UnsafeRawBufferPointer(rebasing: bytes[at..<at + length]))
                try self.init(&bits)
                return
            default:
                at += length
            }
        }
        throw .damaged
    }

    private static func descriptor(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> (UInt8, Int)? {
        guard at < bytes.count else { return nil }
        let tag = bytes[at]
        at += 1
        var length = 0
        for _ in 0..<4 {
            guard at < bytes.count else { return nil }
            let byte = bytes[at]
            at += 1
            length = length << 7 | Int(byte & 0x7f)
            if byte & 0x80 == 0 { return (tag, length) }
        }
        return nil
    }

    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    private init(_ bits: inout ForwardBits) throws(AudioFault) {
        var type = bits.take(5)
        self.rate = try Self.rate(&bits)
        self.channels = Int64(bits.take(4))
        if type == 5 || type == 29 {
            _ = try Self.rate(&bits)
            type = bits.take(5)
        }
        // Main, LC, SSR, LTP: frames of 1,024 samples. Others have other lengths, which one bit more decides here too.
        guard 1...4 ~= type, bits.take(1) == 0, !bits.isShort, 1...7 ~= self.channels else {
            throw .unmeasuredContent
        }
        if self.channels == 7 { self.channels = 8 }
    }

    private static func rate(_ bits: inout ForwardBits) throws(AudioFault) -> Int64 {
        let index = Int(bits.take(4))
        let rate = index == 15 ? Int64(bits.take(24)) : index < Self.rates.count ? Self.rates[index] : 0
        guard SampleClock.rates ~= rate else { throw .damaged }
        return rate
    }
}

/// Bits from the first of the first byte, most significant first.
private struct ForwardBits {
    private let bytes: UnsafeRawBufferPointer
    private var taken = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// More was taken than there is.
    var isShort: Bool { self.taken > self.bytes.count * 8 }

    mutating func take(_ count: Int) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            let byte = self.taken / 8 < self.bytes.count ? self.bytes[self.taken / 8] : 0
            value = value << 1 | UInt32(byte >> (7 - UInt8(self.taken % 8)) & 1)
            self.taken += 1
        }
        return value
    }
}
