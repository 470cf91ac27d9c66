/// OGG (RFC 3533): one stream of Opus, Vorbis or FLAC, or several one after the other.
///
/// Packets are counted; the granule positions, which a writer can set as it likes, are not read. Of the sound before
/// the first pre-skip of Opus only what the first stream declares is taken off.
struct OggMeter: Sendable {
    private enum Codec: Sendable {
        case opus(packets: Int64)
        case vorbis(VorbisPackets, packets: Int64)
        case flac(FLACFrames, pending: [UInt8], packets: Int64)
    }

    private static let headMax = 64
    private static let sequenceBytes = 27
    private var serial: UInt32?
    private var codec: Codec?
    private var clock = SampleClock()
    private var preSkip: Int64?
    /// The packet that is being read: its first bytes, its last ones where they are needed, and whether it began.
    private var head: [UInt8] = []
    private var tail: [UInt8] = []
    private var isInPacket = false

    mutating func step(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        guard bytes.count >= Self.sequenceBytes else { return .need(Self.sequenceBytes) }
        guard MediaBytes.starts(bytes, "OggS"), bytes[4] == 0 else { throw .damaged }
        let segments = Int(bytes[26])
        let bodyStart = Self.sequenceBytes + segments
        guard bytes.count >= bodyStart else { return .need(bodyStart) }
        let size = bytes[Self.sequenceBytes..<bodyStart].reduce(bodyStart) { $0 + Int($1) }
        guard bytes.count >= size else { return .need(size) }
        // A decoder passes over a page that does not check out, and so hears another stream.
        guard OggChecksum.fits(UnsafeRawBufferPointer(rebasing: bytes[..<size])) else { throw .damaged }
        try self.beginPage(flags: bytes[5], serial: MediaBytes.little32(bytes, 14))
        var at = bodyStart
        for segment in Self.sequenceBytes..<bodyStart {
            let length = Int(bytes[segment])
            try self.take(UnsafeRawBufferPointer(rebasing: bytes[at..<at + length]))
            at += length
            if length < 255 { try self.endPacket() }
        }
        return .advance(Int64(size))
    }

    /// A page that is not whole gives no sound.
    func finish() throws(AudioFault) -> Int64 {
        var clock = self.clock
        if case .flac(let frames, _, _) = self.codec { clock = try Self.close(frames, clock) }
        var preSkip = SampleClock()
        preSkip.add(self.preSkip ?? 0, at: OpusPacket.rate)
        return max(0, clock.milliseconds - preSkip.milliseconds)
    }

    private mutating func beginPage(flags: UInt8, serial: UInt32) throws(AudioFault) {
        let continues = flags & 1 != 0
        if flags & 2 != 0 {
            // Another stream begins; one that began at the same time would be one beside it.
            guard !continues, !self.isInPacket else { throw .damaged }
            guard self.serial == nil || self.hasSound, self.serial != serial else { throw .unmeasuredContent }
            if case .flac(let frames, _, _) = self.codec { self.clock = try Self.close(frames, self.clock) }
            self.serial = serial
            self.codec = nil
            return
        }
        guard serial == self.serial else { throw .unmeasuredContent }
        guard continues == self.isInPacket else { throw .damaged }
    }

    private var hasSound: Bool {
        switch self.codec {
        case .opus(let packets): packets > 2
        case .vorbis(_, let packets): packets > 3
        case .flac(_, _, let packets): packets > 1
        case nil: false
        }
    }

    private static func close(_ frames: FLACFrames, _ clock: SampleClock) throws(AudioFault) -> SampleClock {
        let sound = try frames.finish()
        var clock = clock
        clock.add(sound.milliseconds, at: 1000)
        return clock
    }

    // MARK: Packets

    private mutating func take(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) {
        self.isInPacket = true
        if self.head.count < Self.headMax {
            self.head.append(contentsOf: bytes.prefix(Self.headMax - self.head.count))
        }
        switch self.codec {
        case .vorbis(_, packets: 2):
            self.tail.append(contentsOf: bytes)
            if self.tail.count > 4 * VorbisPackets.setupTailBytes {
                self.tail.removeFirst(self.tail.count - VorbisPackets.setupTailBytes)
            }
        case .flac(_, pending: _, let packets) where packets > 0:
            try self.takeFLAC(bytes)
        default:
            break
        }
    }

    /// Metadata packets begin with a block type, frames with 0xff; behind the first frame there are only frames.
    private mutating func takeFLAC(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) {
        guard case .flac(var frames, var pending, let packets) = self.codec, !bytes.isEmpty else { return }
        guard self.head.first == 0xff else {
            guard frames.isEmpty else { throw .damaged }
            return
        }
        self.codec = nil
        pending.append(contentsOf: bytes)
        let used = try MediaBytes.look(at: pending) { (bytes) throws(AudioFault) in
            try frames.walk(bytes, isLast: false)
        }
        pending.removeFirst(used)
        self.codec = .flac(frames, pending: pending, packets: packets)
    }

    private mutating func endPacket() throws(AudioFault) {
        let head = self.head
        self.isInPacket = false
        self.head.removeAll(keepingCapacity: true)
        try MediaBytes.look(at: head) { (head) throws(AudioFault) in try self.end(head) }
    }

    private mutating func end(_ head: UnsafeRawBufferPointer) throws(AudioFault) {
        switch self.codec {
        case nil:
            self.codec = try self.begin(head)
        case .opus(let packets):
            self.codec = .opus(packets: packets + 1)
            guard packets >= 2 else { return }
            let samples = try OpusPacket.samples(head)
            self.clock.add(samples, at: OpusPacket.rate)
        case .vorbis(var packets, let count):
            if count == 2 {
                guard head.first == 5 else { throw .damaged }
                try MediaBytes.look(at: self.tail) { (tail) throws(AudioFault) in
                    try packets.takeSetup(
                        tail: UnsafeRawBufferPointer(rebasing: tail.suffix(VorbisPackets.setupTailBytes)))
                }
                self.tail = []
            } else if count > 2, let first = head.first {
                let samples = try packets.samples(first: first)
                self.clock.add(samples, at: packets.rate)
            }
            self.codec = .vorbis(packets, packets: count + 1)
        case .flac(var frames, let pending, let packets):
            // A packet ends with its frame, so the next bytes are not needed to know where it ends.
            try MediaBytes.look(at: pending) { (rest) throws(AudioFault) in
                _ = try frames.walk(rest, isLast: true)
            }
            self.codec = .flac(frames, pending: [], packets: packets + 1)
        }
    }

    /// The first packet of a stream names its codec.
    private mutating func begin(_ head: UnsafeRawBufferPointer) throws(AudioFault) -> Codec {
        if MediaBytes.starts(head, "OpusHead"), head.count >= 19 {
            // A second stream could declare all of its sound to be pre-skip.
            if self.preSkip == nil { self.preSkip = Int64(MediaBytes.little16(head, 10)) }
            return .opus(packets: 1)
        }
        if MediaBytes.starts(head, "vorbis", at: 1) {
            return .vorbis(try VorbisPackets(identification: head), packets: 1)
        }
        // 0x7f, "FLAC", version, number of headers, "fLaC", STREAMINFO.
        if MediaBytes.starts(head, "FLAC", at: 1), head.count >= 51 {
            return .flac(FLACFrames(rate: try FLACMeter.rate(head, 17)), pending: [], packets: 1)
        }
        throw .unmeasuredContent
    }
}
