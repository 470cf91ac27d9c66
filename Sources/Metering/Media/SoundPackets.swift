/// Lengths of packets of the codecs that OGG and WEBM carry, told by the packets themselves.
enum OpusPacket {
    /// Samples per second of all Opus (RFC 6716).
    static let rate: Int64 = 48000
    /// Bytes of a packet that are looked at.
    static let headBytes = 2

    /// Samples in a packet, by its table of contents (RFC 6716 §3.1, §3.2).
    ///
    /// - Parameters:
    ///   - head: the first two bytes, or as many as there are.
    static func samples(_ head: UnsafeRawBufferPointer) throws(AudioFault) -> Int64 {
        guard let contents = head.first else { return 0 }
        let configuration = Int(contents >> 3)
        let perFrame: Int64 =
            switch configuration {
            case 0..<12: [480, 960, 1920, 2880][configuration & 3]
            case 12..<16: [480, 960][configuration & 1]
            default: 120 << Int64(configuration & 3)
            }
        switch contents & 3 {
        case 0: return perFrame
        case 1, 2: return 2 * perFrame
        default:
            guard head.count >= 2 else { throw .damaged }
            let samples = perFrame * Int64(head[1] & 0x3f)
            // No packet is longer than 120 ms.
            guard samples > 0, samples <= 5760 else { throw .damaged }
            return samples
        }
    }
}

/// Counts the samples of Vorbis packets: each gives a quarter of its own block and of the one before.
struct VorbisPackets: Sendable {
    /// Of the setup packet only the end is read, where the modes stand.
    static let setupTailBytes = 400

    let rate: Int64
    private let blocks: (short: Int64, long: Int64)
    /// Whether each mode has long blocks.
    private var modes: [Bool] = []
    private var last: Int64?

    /// Reads the first packet (Vorbis I §4.2.2).
    init(identification bytes: UnsafeRawBufferPointer) throws(AudioFault) {
        guard bytes.count >= 30, bytes[0] == 1, MediaBytes.starts(bytes, "vorbis", at: 1) else {
            throw .damaged
        }
        self.rate = Int64(MediaBytes.little32(bytes, 12))
        let (short, long) = (bytes[28] & 15, bytes[28] >> 4)
        guard SampleClock.rates ~= self.rate, 6...13 ~= short, short <= long, long <= 13 else {
            throw .damaged
        }
        self.blocks = (1 << Int64(short), 1 << Int64(long))
    }

    /// Reads the modes off the end of the setup packet, backwards, as FFmpeg does: what stands before them could be read
    /// only after everything else in the packet.
    mutating func takeSetup(tail: UnsafeRawBufferPointer) throws(AudioFault) {
        var bits = BackwardBits(tail)
        // The last bit that is set frames the packet.
        repeat {
            guard bits.left > 97 else { throw .damaged }
        } while bits.take(1) == 0
        var found: [Bool] = []
        var modes: [Bool] = []
        while bits.left >= 97 {
            guard bits.take(8) <= 63, bits.take(16) == 0, bits.take(16) == 0 else { break }
            found.append(bits.take(1) == 1)
            guard found.count <= 64 else { break }
            var count = bits
            if Int(count.take(6)) + 1 == found.count { modes = found }
        }
        guard !modes.isEmpty else { throw .damaged }
        self.modes = modes.reversed()
    }

    /// Samples that come with a packet of sound.
    mutating func samples(first byte: UInt8) throws(AudioFault) -> Int64 {
        guard byte & 1 == 0 else { throw .damaged }
        let bits = Int.bitWidth - (self.modes.count - 1).leadingZeroBitCount
        let mode = Int(byte >> 1) & ((1 << bits) - 1)
        guard mode < self.modes.count else { throw .damaged }
        let block = self.modes[mode] ? self.blocks.long : self.blocks.short
        defer { self.last = block }
        return self.last.map { ($0 + block) / 4 } ?? 0
    }
}

/// Bits from the last of the last byte to the first of the first, most significant first.
private struct BackwardBits {
    private let bytes: UnsafeRawBufferPointer
    private var taken = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var left: Int { self.bytes.count * 8 - self.taken }

    /// 0 for what is not there.
    mutating func take(_ count: Int) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            var bit: UInt32 = 0
            if self.left > 0 {
                let byte = self.bytes[self.bytes.count - 1 - self.taken / 8]
                bit = UInt32(byte >> (7 - UInt8(self.taken % 8)) & 1)
            }
            self.taken += 1
            value = value << 1 | bit
        }
        return value
    }
}
