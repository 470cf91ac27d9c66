/// Why the length of an upload cannot be told. Such an upload is refused: it could not be charged.
public enum AudioFault: Error, Sendable, Hashable, CaseIterable {
    /// Neither of the containers that are measured.
    case unknownFormat
    /// The container is known, what is in it is not measured: another codec, several tracks, encryption.
    case unmeasuredContent
    /// Broken, or built so that two programs would hear two different lengths.
    case damaged
    /// A whole container without any sound.
    case empty

    /// For people, to stand behind "The length of the audio cannot be measured: ".
    public var explanation: String {
        switch self {
        case .unknownFormat:
            "it is not a WAV, MP3, FLAC, OGG, M4A/MP4 or WEBM file that this gateway knows"
        case .unmeasuredContent:
            "of its container only one audio track is supported (WAV: PCM, A-law, mu-law; OGG: Opus, Vorbis,"
                + " FLAC; M4A/MP4: AAC; WEBM: Opus, Vorbis)"
        case .damaged: "the file is damaged or contradicts itself"
        case .empty: "it holds no sound"
        }
    }
}

/// Measures how long the sound in a file is, from its bytes as they come: what is there counts, not what a header
/// declares.
///
/// Pieces of any size give the same result. At most `windowMax` bytes are kept, whatever the file says. What a
/// decoder leaves out at the edges (encoder delay and padding, some 50 ms) is counted, so the measure is
/// rather above than below what is heard.
public struct AudioMeter: Sendable {
    /// The largest thing that is looked at in one piece: a page of an OGG file.
    static let windowMax = 70_000
    private static let idleStepsMax = 8

    private var container: Container = .unknown
    private var pending: [UInt8] = []
    /// Bytes to pass over.
    private var toSkip: Int64 = 0
    private var fault: AudioFault?

    private enum Container: Sendable {
        case unknown
        case wav(WAVMeter)
        case mpeg(MPEGAudioMeter)
        case flac(FLACMeter)
        case ogg(OggMeter)
        case mp4(MP4Meter)
        case webm(WebMMeter)
    }

    public init() {}

    public mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        guard self.fault == nil else { return }
        do throws(AudioFault) {
            var rest = bytes[...]
            while !rest.isEmpty { try self.take(&rest) }
        } catch {
            self.fail(error)
        }
    }

    /// No more bytes come. The length in milliseconds, rounded up; at least 1.
    public mutating func finish() -> Result<Int64, AudioFault> {
        if let fault = self.fault { return .failure(fault) }
        do throws(AudioFault) {
            let milliseconds = try self.measured()
            guard milliseconds > 0 else { throw .empty }
            return .success(milliseconds)
        } catch {
            self.fail(error)
            return .failure(error)
        }
    }

    private mutating func fail(_ fault: AudioFault) {
        self.fault = fault
        self.pending = []
        self.container = .unknown
    }

    // MARK: Steps

    /// Takes at least one byte of `rest`.
    private mutating func take(_ rest: inout Slice<UnsafeRawBufferPointer>) throws(AudioFault) {
        if self.toSkip > 0 {
            let count = Int(min(self.toSkip, Int64(rest.count)))
            self.toSkip -= Int64(count)
            rest = rest.dropFirst(count)
            return
        }
        if self.pending.isEmpty {
            let used = try self.run(UnsafeRawBufferPointer(rebasing: rest))
            rest = rest.dropFirst(used)
            // What is needed in one piece goes on in the next.
            if self.toSkip == 0 {
                self.pending.append(contentsOf: rest)
                rest = rest.dropFirst(rest.count)
            }
            return
        }
        try self.takeIntoPending(&rest)
    }

    private mutating func takeIntoPending(_ rest: inout Slice<UnsafeRawBufferPointer>) throws(AudioFault) {
        let count = min(rest.count, Self.windowMax - self.pending.count)
        self.pending.append(contentsOf: rest.prefix(count))
        rest = rest.dropFirst(count)
        var pending: [UInt8] = []
        swap(&pending, &self.pending)
        let used: Int
        do {
            let window = pending
            used = try MediaBytes.look(at: window) { (bytes) throws(AudioFault) in try self.run(bytes) }
        }
        pending.removeFirst(used)
        self.pending = pending
    }

    /// Lets the container look at `bytes` until it needs more. Returns how many it is through with; what it wants to
    /// pass over beyond them is in `toSkip`.
    private mutating func run(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> Int {
        var at = 0
        var idle = 0
        while true {
            switch try self.step(UnsafeRawBufferPointer(rebasing: bytes[at...])) {
            case .need(let count):
                // A container asks for what its own limits allow.
                guard count <= Self.windowMax else { throw .damaged }
                guard at + count > bytes.count else { throw .damaged }
                return at
            case .advance(let count):
                idle = count == 0 ? idle + 1 : 0
                guard count >= 0, idle <= Self.idleStepsMax else { throw .damaged }
                guard count < Int64(bytes.count - at) else {
                    self.toSkip = count - Int64(bytes.count - at)
                    return bytes.count
                }
                at += Int(count)
            }
        }
    }

    private mutating func step(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        switch self.container {
        case .unknown: return try self.recognise(bytes)
        case .wav(var meter):
            defer { self.container = .wav(meter) }
            return try meter.step(bytes)
        case .mpeg(var meter):
            defer { self.container = .mpeg(meter) }
            return try meter.step(bytes)
        case .flac(var meter):
            defer { self.container = .flac(meter) }
            return try meter.step(bytes)
        case .ogg(var meter):
            self.container = .unknown
            defer { self.container = .ogg(meter) }
            return try meter.step(bytes)
        case .mp4(var meter):
            defer { self.container = .mp4(meter) }
            return try meter.step(bytes)
        case .webm(var meter):
            self.container = .unknown
            defer { self.container = .webm(meter) }
            return try meter.step(bytes)
        }
    }

    private mutating func measured() throws(AudioFault) -> Int64 {
        let rest = self.pending
        let missing = self.toSkip
        return try MediaBytes.look(at: rest) { (bytes) throws(AudioFault) in
            switch self.container {
            case .unknown: throw .unknownFormat
            case .wav(let meter): return try meter.finish(bytes, missing: missing)
            case .mpeg(var meter): return try meter.finish(bytes, missing: missing)
            case .flac(var meter): return try meter.finish(bytes, missing: missing)
            case .ogg(let meter): return try meter.finish()
            case .mp4(let meter): return try meter.finish(bytes, missing: missing)
            case .webm(let meter): return try meter.finish()
            }
        }
    }

    // MARK: Which container

    private mutating func recognise(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        guard bytes.count >= 12 else { return .need(12) }
        if MediaBytes.starts(bytes, "ID3") {
            // In front of MP3, and of some FLAC files; any decoder passes over it. What only looks like a tag some
            // would pass over, and others search for frames.
            guard let size = MPEGAudioMeter.tagBytes(bytes) else { throw .damaged }
            return .advance(size)
        }
        if MediaBytes.starts(bytes, "RIFF") || MediaBytes.starts(bytes, "RF64") {
            guard MediaBytes.starts(bytes, "WAVE", at: 8) else { throw .unknownFormat }
            self.container = .wav(WAVMeter())
        } else if MediaBytes.starts(bytes, "fLaC") {
            self.container = .flac(FLACMeter())
        } else if MediaBytes.starts(bytes, "OggS") {
            self.container = .ogg(OggMeter())
        } else if MediaBytes.starts(bytes, "ftyp", at: 4) {
            self.container = .mp4(MP4Meter())
        } else if MediaBytes.big32(bytes, 0) == WebMMeter.signature {
            self.container = .webm(WebMMeter())
        } else if bytes[0] == 0 || MPEGFrameHeader(bytes)?.isFree == false {
            self.container = .mpeg(MPEGAudioMeter())
        } else {
            throw .unknownFormat
        }
        return .advance(0)
    }
}

/// What a container does with the bytes in front of it.
enum MeterStep: Equatable {
    /// It has to see so many at once, which is more than there were.
    case need(Int)
    /// It is through with so many; they may be more than there were.
    case advance(Int64)
}
