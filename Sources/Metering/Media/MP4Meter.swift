/// M4A and MP4 (ISO/IEC 14496-12) with one audio track of AAC, whole or in fragments. Samples are counted, of which each
/// makes 1,024 samples of sound; the durations in headers and tables are not read.
struct MP4Meter: Sendable {
    private static let boxMax: Int64 = 65_536
    /// The most that one channel of one AAC frame can take (ISO/IEC 14496-3 §4.5.3.1).
    private static let frameBytesMaxPerChannel: Int64 = 768
    private static let samplesPerFrame: Int64 = 1024
    /// Boxes within each other; files have six.
    private static let depthMax = 16

    /// What a track is by its handler.
    private enum Kind: Sendable { case sound, picture, other }

    private struct Track: Sendable {
        var id: UInt32 = 0
        var kind: Kind?
        var configuration: AACConfiguration?
        var samples: Int64 = 0
        var edits = 0
    }

    /// Bytes that are through, and where the boxes end that are open.
    private var offset: Int64 = 0
    private var ends: [Int64] = []
    private var tracks = 0
    private var open: Track?
    private var sound: Track?
    private var mediaBytes: Int64 = 0
    /// The track of the fragment that is being read.
    private var fragment: UInt32?

    mutating func step(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        let step = try self.box(bytes)
        if case .advance(let count) = step { self.offset += count }
        return step
    }

    private mutating func box(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        guard bytes.count >= 8 else { return .need(8) }
        var header = 8
        var size = Int64(MediaBytes.big32(bytes, 0))
        if size == 1 {
            guard bytes.count >= 16 else { return .need(16) }
            header = 16
            guard let long = Int64(exactly: MediaBytes.big64(bytes, 8)) else { throw .damaged }
            size = long
        }
        let type = MediaBytes.big32(bytes, 4)
        // 0 stands for all the rest of the file, in which anything can be.
        guard size != 0 else { throw .unmeasuredContent }
        guard size >= Int64(header) else { throw .damaged }
        try self.checkEnd(of: size)
        switch type {
        case Self.moov, Self.mdia, Self.minf, Self.stbl, Self.edts, Self.moof, Self.mvex:
            return try self.enter(header, size)
        case Self.trak:
            try self.closeTrack()
            self.tracks += 1
            guard self.tracks <= 16 else { throw .unmeasuredContent }
            self.open = Track()
            return try self.enter(header, size)
        case Self.traf:
            try self.closeTrack()
            self.fragment = nil
            return try self.enter(header, size)
        case Self.mdat:
            self.mediaBytes = min(self.mediaBytes, .max - size) + size - Int64(header)
            return .advance(size)
        case Self.tkhd, Self.hdlr, Self.stsd, Self.stsz, Self.stz2, Self.elst, Self.tfhd, Self.trun:
            return try self.leaf(type, bytes, header, size)
        default:
            return .advance(size)
        }
    }

    /// A box that goes on beyond the one it is in, or beyond what can be counted, two programs would read in two ways.
    private mutating func checkEnd(of size: Int64) throws(AudioFault) {
        while let end = self.ends.last, end <= self.offset { self.ends.removeLast() }
        guard size <= (self.ends.last ?? .max) - self.offset else { throw .damaged }
    }

    private mutating func enter(_ header: Int, _ size: Int64) throws(AudioFault) -> MeterStep {
        guard self.ends.count < Self.depthMax else { throw .damaged }
        self.ends.append(self.offset + size)
        return .advance(Int64(header))
    }

    func finish(_ rest: UnsafeRawBufferPointer, missing: Int64) throws(AudioFault) -> Int64 {
        var whole = self
        try whole.closeTrack()
        guard missing == 0, rest.isEmpty, let sound = whole.sound, let aac = sound.configuration else {
            throw .damaged
        }
        guard self.ends.allSatisfy({ $0 <= self.offset }) else { throw .damaged }
        // No frame without bytes, and no bytes without frames: both numbers can be made up, but not against each other.
        guard sound.samples <= self.mediaBytes else { throw .damaged }
        if self.tracks == 1 {
            let frameMax = Self.frameBytesMaxPerChannel * aac.channels
            guard self.mediaBytes <= sound.samples * frameMax + Self.boxMax else { throw .damaged }
        }
        var clock = SampleClock()
        clock.add(sound.samples * Self.samplesPerFrame, at: aac.rate)
        return clock.milliseconds
    }

    private mutating func closeTrack() throws(AudioFault) {
        guard let track = self.open else { return }
        self.open = nil
        guard track.kind == .sound else { return }
        guard self.sound == nil, track.configuration != nil else { throw .unmeasuredContent }
        self.sound = track
    }

    // MARK: Boxes that say something

    /// What a table holds beyond its head is not looked at.
    private mutating func leaf(
        _ type: UInt32, _ bytes: UnsafeRawBufferPointer, _ header: Int, _ size: Int64
    ) throws(AudioFault) -> MeterStep {
        let isRead = type == Self.stsd || type == Self.elst
        guard !isRead || size <= Self.boxMax else { throw .unmeasuredContent }
        let looked = isRead ? Int(size) : header + Int(min(size - Int64(header), 24))
        guard bytes.count >= looked else { return .need(looked) }
        let body = UnsafeRawBufferPointer(rebasing: bytes[header..<looked])
        guard body.count >= 8 else { throw .damaged }
        if type == Self.tfhd {
            self.fragment = MediaBytes.big32(body, 4)
        } else if type == Self.trun {
            try self.takeRun(samples: Int64(MediaBytes.big32(body, 4)))
        } else if var track = self.open {
            try Self.read(type, body, into: &track)
            self.open = track
        }
        return .advance(size)
    }

    private mutating func takeRun(samples: Int64) throws(AudioFault) {
        guard let fragment = self.fragment, self.sound != nil else { throw .damaged }
        if self.sound?.id == fragment { self.sound?.samples += samples }
    }

    private static func read(
        _ type: UInt32, _ body: UnsafeRawBufferPointer, into track: inout Track
    ) throws(AudioFault) {
        switch type {
        case Self.tkhd:
            let at = body[0] == 1 ? 20 : 12
            guard body.count >= at + 4 else { throw .damaged }
            track.id = MediaBytes.big32(body, at)
        case Self.hdlr:
            guard body.count >= 12, track.kind == nil else { throw .damaged }
            let isPicture = MediaBytes.starts(body, "vide", at: 8)
            track.kind = MediaBytes.starts(body, "soun", at: 8) ? .sound : isPicture ? .picture : .other
        case Self.stsd:
            guard let kind = track.kind, track.configuration == nil else { throw .damaged }
            switch kind {
            case .sound: track.configuration = try AACConfiguration(sampleDescriptions: body)
            case .picture: break
            case .other: try self.checkSilence(body)
            }
        case Self.stsz, Self.stz2:
            guard body.count >= 12, track.samples == 0 else { throw .damaged }
            track.samples = Int64(MediaBytes.big32(body, 8))
        case Self.elst:
            try self.readEdits(body, into: &track)
        default:
            break
        }
    }

    /// Of a track that is neither sound nor picture by its handler, decoders go by the descriptions of its samples. It
    /// can be text, subtitles, chapters, a time code, or what a phone notes beside a recording (`mebx`).
    private static func checkSilence(_ body: UnsafeRawBufferPointer) throws(AudioFault) {
        let silent = [name("text"), name("tx3g"), name("tmcd"), name("mp4s"), name("mebx")]
        var at = 8
        for _ in 0..<MediaBytes.big32(body, 4) {
            guard body.count >= at + 8 else { throw .damaged }
            let size = Int(MediaBytes.big32(body, at))
            guard size >= 8, size <= body.count - at else { throw .damaged }
            guard silent.contains(MediaBytes.big32(body, at + 4)) else { throw .unmeasuredContent }
            at += size
        }
    }

    /// An edit list can play one stretch again and again; without repetition it has one stretch.
    private static func readEdits(_ body: UnsafeRawBufferPointer, into track: inout Track) throws(AudioFault)
    {
        let count = Int(MediaBytes.big32(body, 4))
        let isLong = body[0] == 1
        let entry = isLong ? 20 : 12
        guard count <= 16, body.count >= 8 + count * entry else { throw .unmeasuredContent }
        for index in 0..<count {
            let start = 8 + index * entry + (isLong ? 8 : 4)
            // A time of -1 stands for a pause.
            if MediaBytes.big32(body, start) >> 31 == 0 { track.edits += 1 }
        }
        guard track.edits <= 1 else { throw .unmeasuredContent }
    }

    // MARK: Names

    private static let moov = name("moov"), trak = name("trak"), mdia = name("mdia"), minf = name("minf")
    private static let stbl = name("stbl"), edts = name("edts"), moof = name("moof"), mvex = name("mvex")
    private static let traf = name("traf"), mdat = name("mdat"), tkhd = name("tkhd"), hdlr = name("hdlr")
    private static let stsd = name("stsd"), stsz = name("stsz"), stz2 = name("stz2"), elst = name("elst")
    private static let tfhd = name("tfhd"), trun = name("trun")

    private static func name(_ text: StaticString) -> UInt32 {
        (0..<4).reduce(0) { $0 << 8 | UInt32(text.utf8Start[$1]) }
    }
}
