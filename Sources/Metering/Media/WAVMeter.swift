/// WAV: RIFF and RF64, PCM, floating point, A-law and mu-law, also as WAVE_FORMAT_EXTENSIBLE.
///
/// The length is that of the sound bytes that are there: neither the size of the file nor that of a `data` chunk is
/// believed beyond its end. Behind a `data` chunk only what looks like another chunk, where a decoder would look for it, is
/// not sound.
struct WAVMeter: Sendable {
    private enum State: Sendable {
        case riff, chunk
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
    /// RF64: the size of the sound is that of its `ds64`. In RIFF such a chunk says nothing.
    private var isLong = false
    private var longSize: UInt64?
    /// Sound of an odd size has ended: a filling byte is due.
    private var isOdd = false

    mutating func step(_ bytes: UnsafeRawBufferPointer) throws(AudioFault) -> MeterStep {
        switch self.state {
        case .riff:
            guard bytes.count >= 12 else { return .need(12) }
            self.isLong = MediaBytes.starts(bytes, "RF64")
            self.state = .chunk
            return .advance(12)
        case .chunk:
            return try self.chunk(bytes)
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
            self.state = .chunk
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
        if self.isOdd {
            guard !bytes.isEmpty else { return .need(1) }
            self.isOdd = false
            // Some decoders pass over it whatever it is, others do not.
            guard bytes[0] == 0 else {
                self.state = .sound(left: nil)
                return .advance(0)
            }
            return .advance(1)
        }
        guard bytes.count >= 8 else { return .need(8) }
        let size = Int64(MediaBytes.little32(bytes, 4))
        if MediaBytes.starts(bytes, "fmt ") { return try self.readFormat(bytes, size) }
        if MediaBytes.starts(bytes, "data") { return try self.beginSound(size) }
        if MediaBytes.starts(bytes, "ds64") {
            guard size >= 16, self.longSize == nil else { throw .damaged }
            guard bytes.count >= 24 else { return .need(24) }
            self.longSize = MediaBytes.little64(bytes, 16)
        } else if !(0..<4).allSatisfy({ 0x20...0x7e ~= bytes[$0] }) {
            guard self.sawSound else { throw .damaged }
            self.state = .sound(left: nil)
            return .advance(0)
        }
        return .advance(8 + size + size & 1)
    }

    private mutating func beginSound(_ size: Int64) throws(AudioFault) -> MeterStep {
        guard self.format != nil else { throw .damaged }
        self.sawSound = true
        var size = size
        if self.isLong, let longSize = self.longSize {
            // A decoder may go by either.
            guard let long = Int64(exactly: longSize), size == 0xffff_ffff || size == long else {
                throw .damaged
            }
            size = long
        }
        self.isOdd = size & 1 == 1 && size != 0xffff_ffff
        // What writers leave there who cannot go back to fill in the size.
        self.state = .sound(left: size == 0 || size == 0xffff_ffff ? nil : size)
        return .advance(8)
    }

    private mutating func readFormat(
        _ bytes: UnsafeRawBufferPointer, _ size: Int64
    ) throws(AudioFault) -> MeterStep {
        guard self.format == nil, 16...1024 ~= size else { throw .damaged }
        guard bytes.count >= 8 + Int(size) else { return .need(8 + Int(size)) }
        var tag = MediaBytes.little16(bytes, 8)
        let bits = Int64(MediaBytes.little16(bytes, 22))
        let width = (bits + 7) / 8
        if tag == 0xfffe {
            guard size >= 40 else { throw .damaged }
            tag = MediaBytes.little16(bytes, 32)
            // Decoders take these bits for those of a sample; 24 in 32 is what some devices record.
            let valid = (Int64(MediaBytes.little16(bytes, 26)) + 7) / 8
            guard valid == 0 || valid == width || (valid, width) == (3, 4) else { throw .unmeasuredContent }
        }
        // Bytes of a sample, which decoders know for some codecs whatever the file says.
        let widths: ClosedRange<Int64>
        switch tag {
        case 1: widths = 1...4
        case 3: widths = 4...8
        case 6, 7: widths = 1...1
        default: throw .unmeasuredContent
        }
        guard widths ~= width, tag != 3 || width % 4 == 0 else { throw .unmeasuredContent }
        let channels = Int64(MediaBytes.little16(bytes, 10))
        let rate = Int64(MediaBytes.little32(bytes, 12))
        let bytesPerFrame = Int64(MediaBytes.little16(bytes, 20))
        // The size of a frame is said twice; a decoder may go by either.
        guard SampleClock.rates ~= rate, channels > 0, bytesPerFrame == channels * width
        else {
            throw .damaged
        }
        self.format = Format(rate: rate, bytesPerFrame: bytesPerFrame)
        return .advance(8 + size + size & 1)
    }
}
