/// The four bytes at the start of a frame of MPEG audio (ISO/IEC 11172-3, 13818-3, and the unofficial 2.5).
struct MPEGFrameHeader: Sendable, Equatable {
    /// Version, layer and rate: what stays the same in one stream.
    var kind: UInt32
    var rate: Int64
    var samples: Int64
    /// Bytes, the header included; 0 for a frame of free format, which does not say it.
    var size: Int
    /// Where a frame that only tells of others has its mark.
    var markOffset: Int

    private static let kilobits: [[Int]] = [
        // MPEG 1: layers I, II, III; MPEG 2 and 2.5: layer I, layers II and III.
        [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ]

    /// Where it ends only the next frame tells.
    var isFree: Bool { self.size == 0 }

    /// nil: not a header.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 4, bytes[0] == 0xff, bytes[1] & 0xe0 == 0xe0 else { return nil }
        let word = MediaBytes.big32(bytes, 0)
        let version = Int(word >> 19 & 3)
        let layer = 4 - Int(word >> 17 & 3)
        let bitrate = Int(word >> 12 & 15)
        let rateIndex = Int(word >> 10 & 3)
        // Of what is reserved here there is nothing to be decoded. A reserved emphasis decoders do not mind.
        guard version != 1, layer != 4, bitrate != 15, rateIndex != 3 else { return nil }
        let isFirst = version == 3
        let table = isFirst ? layer - 1 : layer == 1 ? 3 : 4
        let bitsPerSecond = bitrate == 0 ? 0 : Self.kilobits[table][bitrate - 1] * 1000
        let rate = [44100, 48000, 32000][rateIndex] >> (isFirst ? 0 : version == 2 ? 1 : 2)
        let padding = Int(word >> 9 & 1)
        self.samples = layer == 1 ? 384 : layer == 3 && !isFirst ? 576 : 1152
        self.size =
            bitrate == 0
            ? 0
            : layer == 1
                ? (12 * bitsPerSecond / rate + padding) * 4
                : Int(self.samples) / 8 * bitsPerSecond / rate + padding
        self.rate = Int64(rate)
        self.kind = word & 0x001e_0c00
        let isMono = word >> 6 & 3 == 3
        self.markOffset = isFirst ? (isMono ? 21 : 36) : (isMono ? 13 : 21)
    }
}

/// MP3, and layers I and II: frame by frame. The number of frames that a Xing, Info or VBRI header declares is not read;
/// such a header is itself no sound.
///
/// What is no frame is passed over, in search of two frames in a row. Decoders differ in what they take for a frame
/// there, so every header among it counts as one, and the bytes behind it are searched as well: what any of them could
/// play is measured. In ordinary data one of some 5,000 bytes is such an accident. More of it than `junkMax`, besides
/// what tags say of their own size, is refused.
struct MPEGAudioMeter: Sendable {
    static let junkMax: Int64 = 65_536
    /// An image in a tag can have some megabytes.
    private static let tagMax: Int64 = 16 << 20

    private var clock = SampleClock()
    private var kind: UInt32?
    private var frames: Int64 = 0
    private var isInStep = false
    private var junk: Int64 = 0
    private var junkAllowed = Self.junkMax

    /// Size of an ID3v2 tag (id3.org, §3.1): versions 2 to 4, and four bytes of seven bits. The first ten bytes are
    /// there. nil: it is none.
    static func tagBytes(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        guard 2...4 ~= bytes[3], bytes[4] != 0xff, (6..<10).allSatisfy({ bytes[$0] < 0x80 }) else {
            return nil
        }
        let size = (6..<10).reduce(Int64(0)) { $0 << 7 | Int64(bytes[$1]) }
        return 10 + size + (bytes[5] & 0x10 == 0 ? 0 : 10)
    }

    mutating func step(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        guard bytes.count >= 4 else { return .need(4) }
        guard let header = MPEGFrameHeader(bytes) else { return try self.passJunk(bytes) }
        guard !header.isFree else {
            self.suspect(header)
            return try self.skipJunk(1)
        }
        if !self.isInStep || header.kind != self.kind || self.frames == 0 {
            // One header can be an accident. The first frame is also looked into.
            guard bytes.count >= header.size + 4 else { return .need(header.size + 4) }
            let next = MPEGFrameHeader(UnsafeRawBufferPointer(rebasing: bytes[header.size...]))
            guard next?.kind == header.kind else {
                self.suspect(header)
                return try self.skipJunk(1)
            }
        }
        self.count(header, bytes)
        return .advance(Int64(header.size))
    }

    mutating func finish(_ rest: UnsafeRawBufferPointer, missing: Int64) throws(AudioFault) -> Int64 {
        var at = 0
        while at < rest.count {
            let bytes = UnsafeRawBufferPointer(rebasing: rest[at...])
            at += 1
            guard let header = MPEGFrameHeader(bytes) else { continue }
            if !header.isFree, bytes.count >= header.size {
                // Too short to have a neighbour: the only frame of the file, or the last of a stretch.
                self.count(header, bytes)
                at += header.size - 1
            } else {
                self.suspect(header)
            }
        }
        return self.clock.milliseconds
    }

    /// A header without a neighbour. Its frame is not passed over, since others may begin in it.
    private mutating func suspect(_ header: MPEGFrameHeader) {
        self.clock.add(header.samples, at: header.rate)
    }

    private mutating func count(_ header: MPEGFrameHeader, _ bytes: UnsafeRawBufferPointer) {
        let isFirst = self.kind == nil
        self.kind = header.kind
        self.isInStep = true
        if isFirst, Self.isTableOfContents(header, bytes) { return }
        self.frames += 1
        self.clock.add(header.samples, at: header.rate)
    }

    private static func isTableOfContents(_ header: MPEGFrameHeader, _ bytes: UnsafeRawBufferPointer) -> Bool
    {
        guard header.size >= header.markOffset + 4 else { return false }
        return MediaBytes.starts(bytes, "Xing", at: header.markOffset)
            || MediaBytes.starts(bytes, "Info", at: header.markOffset)
            || header.size >= 40 && MediaBytes.starts(bytes, "VBRI", at: 36)
    }

    /// Goes to the next byte where a frame can begin. Tags are passed over like junk, so that no frame hides in them:
    /// behind the first frame not every decoder knows them.
    private mutating func passJunk(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        if MediaBytes.starts(bytes, "ID3") {
            guard bytes.count >= 10 else { return .need(10) }
            if let size = Self.tagBytes(bytes) { self.allow(size) }
        } else if MediaBytes.starts(bytes, "APET") {
            guard bytes.count >= 32 else { return .need(32) }
            self.allow(Int64(MediaBytes.little32(bytes, 12)) + 32)
        }
        var end = 1
        while end < bytes.count - 3, ![0xff, 0x49, 0x41].contains(bytes[end]) { end += 1 }
        return try self.skipJunk(Int64(end))
    }

    private mutating func allow(_ bytes: Int64) {
        guard self.junkAllowed + bytes <= Self.tagMax else { return }
        self.junkAllowed += bytes
    }

    private mutating func skipJunk(_ count: Int64) throws(AudioFault) -> MeterStep {
        self.isInStep = false
        self.junk += count
        guard self.junk <= self.junkAllowed else { throw .damaged }
        return .advance(count)
    }
}
