/// WEBM (Matroska, RFC 9559) with one audio track of Opus or Vorbis. The packets in its blocks are counted; durations
/// and timestamps are not read.
///
/// What contains other elements is simply entered: nothing depends on where a parent ends, and live recordings do not say
/// it.
struct WebMMeter: Sendable {
    static let signature: UInt32 = 0x1a45_dfa3
    private static let privateMax = 65_536
    private static let unknownSize = Int64.max

    private enum Codec: Sendable {
        case opus
        case vorbis(VorbisPackets)
    }

    private struct Track: Sendable {
        var number: UInt64 = 0
        var isAudio = false
        var isEncoded = false
        var codecName: [UInt8] = []
        var setup: [UInt8] = []
    }

    private var open: Track?
    private var number: UInt64?
    private var codec: Codec?
    private var clock = SampleClock()

    mutating func step(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        guard bytes.count >= 12 else {
            // The smallest blocks at the end of a file are shorter.
            return .need(12)
        }
        return try self.element(bytes)
    }

    /// A block that is not whole gives no sound; neither does one of fewer than 12 bytes at the end of the file, in which
    /// there is no room for more than a moment.
    func finish() throws(AudioFault) -> Int64 {
        guard self.codec != nil else { throw .damaged }
        return self.clock.milliseconds
    }

    private mutating func element(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        let idLength = bytes[0].leadingZeroBitCount + 1
        guard idLength <= 4 else { throw .damaged }
        let id = (0..<idLength).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[$1]) }
        let (size, sizeLength) = try Self.variableNumber(bytes, idLength)
        let header = idLength + sizeLength
        switch id {
        case 0x1853_8067, 0xa0: return .advance(Int64(header))  // Segment, BlockGroup
        case 0x1654_ae6b: return .advance(Int64(header))  // Tracks
        case 0x1f43_b675:  // Cluster
            try self.closeTrack()
            return .advance(Int64(header))
        case 0xae:  // TrackEntry
            try self.closeTrack()
            self.open = Track()
            return .advance(Int64(header))
        default:
            break
        }
        guard size != Self.unknownSize else { throw .damaged }
        switch id {
        case 0xd7, 0x83, 0x86, 0x63a2, 0x6d80:
            return try self.member(id, bytes, header, size)
        case 0xa1, 0xa3:  // Block, SimpleBlock
            try self.closeTrack()
            return try self.block(bytes, header, size)
        default:
            return .advance(Int64(header) + size)
        }
    }

    /// Something that a TrackEntry says.
    private mutating func member(
        _ id: UInt32, _ bytes: UnsafeRawBufferPointer, _ header: Int, _ size: Int64
    ) throws(AudioFault) -> MeterStep {
        guard size <= Int64(Self.privateMax) else { throw .damaged }
        let end = header + Int(size)
        guard bytes.count >= end else { return .need(end) }
        guard var track = self.open else { return .advance(Int64(end)) }
        let value = bytes[header..<end]
        switch id {
        case 0xd7: track.number = try Self.unsigned(value)
        case 0x83: track.isAudio = try Self.unsigned(value) == 2
        case 0x86: track.codecName = Array(value.prefix(32))
        case 0x63a2: track.setup = Array(value)
        default: track.isEncoded = true
        }
        self.open = track
        return .advance(Int64(end))
    }

    /// An integer of an element: 0 to 8 bytes, where none stand for 0 (RFC 8794 §7.2).
    private static func unsigned(_ value: Slice<UnsafeRawBufferPointer>) throws(AudioFault) -> UInt64 {
        guard value.count <= 8 else { throw .damaged }
        return value.reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func closeTrack() throws(AudioFault) {
        guard let track = self.open else { return }
        self.open = nil
        guard track.isAudio else {
            // Whatever its type says, a decoder of sound could play it.
            guard !track.codecName.starts(with: "A_".utf8) else { throw .unmeasuredContent }
            return
        }
        guard self.codec == nil, !track.isEncoded, track.number > 0 else { throw .unmeasuredContent }
        switch String(decoding: track.codecName, as: UTF8.self) {
        case "A_OPUS": self.codec = .opus
        case "A_VORBIS": self.codec = .vorbis(try Self.vorbis(track.setup))
        default: throw .unmeasuredContent
        }
        self.number = track.number
    }

    /// The three header packets in one piece: the sizes of the first two, then all of them.
    private static func vorbis(_ setup: [UInt8]) throws(AudioFault) -> VorbisPackets {
        try MediaBytes.look(at: setup) { (bytes) throws(AudioFault) in
            // The first packet always has 30 bytes.
            guard bytes.count > 32, bytes[0] == 2, bytes[1] == 30 else { throw .damaged }
            var at = 2
            while at < bytes.count, bytes[at] == 255 { at += 1 }
            guard bytes.count >= at + 31 else { throw .damaged }
            var packets = try VorbisPackets(
                identification: UnsafeRawBufferPointer(rebasing: bytes[(at + 1)..<(at + 31)]))
            try packets.takeSetup(
                tail: UnsafeRawBufferPointer(rebasing: bytes.suffix(VorbisPackets.setupTailBytes)))
            return packets
        }
    }

    private mutating func block(
        _ bytes: UnsafeRawBufferPointer, _ header: Int, _ size: Int64
    ) throws(AudioFault) -> MeterStep {
        // Track, time, flags, and what is looked at of the packet.
        let looked = header + Int(min(size, 8 + 3 + Int64(OpusPacket.headBytes)))
        guard bytes.count >= looked else { return .need(looked) }
        let block = UnsafeRawBufferPointer(rebasing: bytes[header..<looked])
        let end = MeterStep.advance(Int64(header) + size)
        guard block.count >= 4 else { throw .damaged }
        let (number, length) = try Self.variableNumber(block, 0)
        guard UInt64(number) == self.number else { return end }
        guard block.count >= length + 3 else { throw .damaged }
        // Several packets in one block.
        guard block[length + 2] & 0x06 == 0 else { throw .unmeasuredContent }
        let head = UnsafeRawBufferPointer(rebasing: block[(length + 3)...])
        switch self.codec {
        case .opus:
            self.clock.add(try OpusPacket.samples(head), at: OpusPacket.rate)
        case .vorbis(var packets):
            guard let first = head.first else { break }
            self.clock.add(try packets.samples(first: first), at: packets.rate)
            self.codec = .vorbis(packets)
        case nil:
            throw .damaged
        }
        return end
    }

    /// A number of 1 to 8 bytes whose leading zeros tell how many; all ones stand for an unknown size.
    private static func variableNumber(
        _ bytes: UnsafeRawBufferPointer, _ at: Int
    ) throws(AudioFault) -> (value: Int64, length: Int) {
        guard at < bytes.count else { throw .damaged }
        let length = bytes[at].leadingZeroBitCount + 1
        guard length <= 8, at + length <= bytes.count else { throw .damaged }
        var value = length == 8 ? 0 : Int64(bytes[at]) & (0x7f >> Int64(length - 1))
        for index in 1..<length { value = value << 8 | Int64(bytes[at + index]) }
        return (value == (1 << Int64(7 * length)) - 1 ? Self.unknownSize : value, length)
    }
}
