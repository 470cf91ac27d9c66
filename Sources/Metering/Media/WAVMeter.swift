/// WAV: RIFF and RF64, PCM, floating point, A-law and mu-law, also as WAVE_FORMAT_EXTENSIBLE.
///
/// The length is that of the sound bytes that are there: neither the size of the file nor that of a `data` chunk is
/// believed beyond its end. Behind a `data` chunk only what looks like another chunk is not sound, and the one zero
/// that fills up a chunk of an odd size.
struct WAVMeter: Sendable {
    private enum State: Sendable {
        case riff, chunk
        /// Behind a chunk of an odd size.
        case filling
        /// Sound; nil: up to the end.
        case sound(left: Int64?)
    }

    private struct Format: Sendable {
        var rate: Int64
        var bytesPerFrame: Int64
    }

    private var state: State = .riff
    private var format: Format?
    private var soundBytes: Int64 = 0
    private var sawSound = false
    /// Of the chunk that is being read.
    private var isOdd = false
    /// RF64, not RIFF: a `ds64` chunk says the size of the sound.
    private var isLong = false
    private var longSize: Int64?

    mutating func step(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        switch self.state {
        case .riff:
            guard bytes.count >= 12 else { return .need(12) }
            self.isLong = MediaBytes.starts(bytes, "RF64")
            self.state = .chunk
            return .advance(12)
        case .chunk:
            return try self.chunk(bytes)
        case .filling:
            return try self.filling(bytes)
        case .sound(nil):
            guard !bytes.isEmpty else { return .need(1) }
            self.soundBytes += Int64(bytes.count)
            return .advance(Int64(bytes.count))
        case .sound(.some(let left)):
            guard !bytes.isEmpty else { return .need(1) }
            let count = min(left, Int64(bytes.count))
            self.soundBytes += count
            guard count == left else {
                self.state = .sound(left: left - count)
                return .advance(count)
            }
            self.endChunk()
            return .advance(count)
        }
    }

    func finish(_ rest: UnsafeRawBufferPointer, missing: Int64) throws(AudioFault) -> Int64 {
        guard let format = self.format, self.sawSound else { throw .damaged }
        var clock = SampleClock()
        clock.add(self.soundBytes / format.bytesPerFrame, at: format.rate)
        return clock.milliseconds
    }

    private mutating func chunk(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        guard bytes.count >= 8 else { return .need(8) }
        let size = Int64(MediaBytes.little32(bytes, 4))
        self.isOdd = size & 1 == 1
        if MediaBytes.starts(bytes, "fmt ") { return try self.readFormat(bytes, size) }
        if MediaBytes.starts(bytes, "data") { return try self.beginSound(size) }
        if self.isLong, MediaBytes.starts(bytes, "ds64") {
            guard self.longSize == nil, size >= 16 else { throw .damaged }
            guard bytes.count >= 24 else { return .need(24) }
            guard let long = Int64(exactly: MediaBytes.little64(bytes, 16)) else { throw .damaged }
            self.longSize = long
        } else if !(0..<4).allSatisfy({ 0x20...0x7e ~= bytes[$0] }) {
            return try self.takeTheRest()
        }
        self.endChunk()
        return .advance(8 + size)
    }

    private mutating func endChunk() {
        self.state = self.isOdd ? .filling : .chunk
    }

    /// Some decoders go on behind the filling byte whatever it is, others only if it is zero.
    private mutating func filling(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        guard !bytes.isEmpty else { return .need(1) }
        guard bytes[0] == 0 else { return try self.takeTheRest() }
        self.state = .chunk
        return .advance(1)
    }

    /// No chunk begins here: all that follows some decoder can take for sound.
    private mutating func takeTheRest() throws(AudioFault) -> MeterStep {
        guard self.sawSound else { throw .damaged }
        self.state = .sound(left: nil)
        return .advance(0)
    }

    private mutating func beginSound(_ size: Int64) throws(AudioFault) -> MeterStep {
        guard self.format != nil else { throw .damaged }
        self.sawSound = true
        var size = size
        // What writers leave there who cannot go back to fill in the size.
        var isOpen = size == 0 || size == 0xffff_ffff
        if self.isLong {
            // A decoder may go by either size.
            guard let long = self.longSize, size == 0xffff_ffff || size == long else { throw .damaged }
            size = long
            isOpen = long == 0
        }
        self.isOdd = size & 1 == 1
        self.state = .sound(left: isOpen ? nil : size)
        return .advance(8)
    }

    private mutating func readFormat(
        _ bytes: UnsafeRawBufferPointer, _ size: Int64
    ) throws(AudioFault) -> MeterStep {
        guard self.format == nil, 16...1024 ~= size else { throw .damaged }
        guard bytes.count >= 8 + Int(size) else { return .need(8 + Int(size)) }
        var tag = MediaBytes.little16(bytes, 8)
        let isExtensible = tag == 0xfffe
        if isExtensible {
            guard size >= 40 else { throw .damaged }
            tag = MediaBytes.little16(bytes, 32)
        }
        let channels = Int64(MediaBytes.little16(bytes, 10))
        let rate = Int64(MediaBytes.little32(bytes, 12))
        let bytesPerFrame = Int64(MediaBytes.little16(bytes, 20))
        let bits = Int64(MediaBytes.little16(bytes, 22))
        guard let widths = Self.widths(tag), widths.contains(bits) else { throw .unmeasuredContent }
        if isExtensible { try Self.check(validBits: Int64(MediaBytes.little16(bytes, 26)), of: bits, tag) }
        // The size of a frame is said twice; a decoder may go by either.
        guard SampleClock.rates ~= rate, channels > 0, bytesPerFrame == channels * (bits / 8) else {
            throw .damaged
        }
        self.format = Format(rate: rate, bytesPerFrame: bytesPerFrame)
        self.endChunk()
        return .advance(8 + size)
    }

    /// Bits of a sample that decoders agree on. For A-law and mu-law they do not even read them: it is always one byte.
    private static func widths(_ tag: UInt32) -> [Int64]? {
        switch tag {
        case 1: [8, 16, 24, 32]
        case 3: [32, 64]
        case 6, 7: [8]
        default: nil
        }
    }

    /// WAVE_FORMAT_EXTENSIBLE says how many bits of a sample are used; some decoders take that for its width. Only PCM
    /// of 24 bits in 32 is known to be played by all of them as what it is.
    private static func check(validBits: Int64, of bits: Int64, _ tag: UInt32) throws(AudioFault) {
        let isSameWidth = validBits == 0 || (validBits + 7) / 8 == bits / 8
        guard isSameWidth || (tag == 1 && validBits == 24 && bits == 32) else { throw .unmeasuredContent }
    }
}
