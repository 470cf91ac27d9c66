import Testing

@testable import Metering

/// What a WAV header says twice, or what only some decoders read, cannot shorten the measure.
@Suite("A WAV is as long as any decoder plays it") struct AudioWAVTests {
    /// 8,000 samples per second, mono, 4,000 bytes of sound.
    private static func wav(
        tag: UInt16, bits: UInt16, valid: UInt16? = nil, sound: [UInt8] = [UInt8](repeating: 7, count: 4000)
    ) -> [UInt8] {
        let bytes = UInt32(bits / 8)
        var format = self.two(valid == nil ? tag : 0xfffe) + self.two(1) + AudioFiles.little(8000)
        format += AudioFiles.little(8000 * bytes) + self.two(UInt16(bytes)) + self.two(bits)
        if let valid {
            format += self.two(22) + self.two(valid) + AudioFiles.little(4) + self.two(tag)
            format += [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]
        }
        return self.chunk("RIFF", Array("WAVE".utf8) + self.chunk("fmt ", format) + self.chunk("data", sound))
    }

    private static func two(_ value: UInt16) -> [UInt8] { Array(AudioFiles.little(UInt32(value))[..<2]) }

    private static func chunk(_ name: String, _ body: [UInt8]) -> [UInt8] {
        Array(name.utf8) + AudioFiles.little(UInt32(body.count)) + body
    }

    // MARK: Widths

    @Test(
        arguments: [
            (1, 8, 500), (1, 16, 250), (1, 24, 167), (1, 32, 125), (3, 32, 125), (3, 64, 63), (6, 8, 500),
            (7, 8, 500),
        ] as [(UInt16, UInt16, Int64)])
    func widthsThatDecodersAgreeOnAreMeasured(_ one: (tag: UInt16, bits: UInt16, milliseconds: Int64)) {
        #expect(AudioFiles.measure(Self.wav(tag: one.tag, bits: one.bits)) == .success(one.milliseconds))
        for valid in [0, one.bits, one.bits - 7] {
            let extensible = Self.wav(tag: one.tag, bits: one.bits, valid: valid)
            #expect(AudioFiles.measure(extensible) == .success(one.milliseconds), "\(valid) valid")
        }
    }

    /// For A-law and mu-law a decoder does not read the bits: it plays a byte for a sample.
    @Test(
        arguments: [
            (6, 16), (7, 16), (7, 32), (7, 64), (6, 4), (3, 16), (3, 24), (3, 8), (1, 64), (1, 48), (1, 0),
            (1, 12), (2, 16), (0, 16),
        ] as [(UInt16, UInt16)])
    func otherWidthsAreRefused(_ one: (tag: UInt16, bits: UInt16)) {
        #expect(AudioFiles.measure(Self.wav(tag: one.tag, bits: one.bits)) == .failure(.unmeasuredContent))
        let extensible = Self.wav(tag: one.tag, bits: one.bits, valid: one.bits)
        #expect(AudioFiles.measure(extensible) == .failure(.unmeasuredContent))
    }

    /// Some decoders take the bits that are used for the width of a sample.
    @Test func aWidthWithOtherValidBitsIsRefusedBut24In32() {
        #expect(AudioFiles.measure(Self.wav(tag: 1, bits: 32, valid: 24)) == .success(125))
        for (bits, valid) in [(32, 8), (32, 16), (24, 16), (16, 8), (16, 24), (32, 23), (32, 25)]
            as [(UInt16, UInt16)]
        {
            let answer = AudioFiles.measure(Self.wav(tag: 1, bits: bits, valid: valid))
            let isOne = (valid + 7) / 8 == bits / 8
            #expect(answer == (isOne ? .success(125) : .failure(.unmeasuredContent)), "\(valid) in \(bits)")
        }
        #expect(AudioFiles.measure(Self.wav(tag: 3, bits: 32, valid: 24)) == .failure(.unmeasuredContent))
        #expect(AudioFiles.measure(Self.wav(tag: 3, bits: 64, valid: 32)) == .failure(.unmeasuredContent))
    }

    // MARK: Filling bytes

    private static let note = chunk("LIST", [UInt8](repeating: 9, count: 800))

    private static func milliseconds(_ sound: Int, _ behind: [UInt8]) -> Result<Int64, AudioFault> {
        AudioFiles.measure(
            self.wav(tag: 1, bits: 8, sound: [UInt8](repeating: 7, count: sound)) + behind)
    }

    @Test func oneZeroFillsUpSoundOfAnOddSize() {
        #expect(Self.milliseconds(1601, [0] + Self.note) == .success(201))
        #expect(Self.milliseconds(1601, [0] + Self.note + Self.note) == .success(201))
        #expect(Self.milliseconds(1601, []) == .success(201))
        #expect(Self.milliseconds(1601, [0]) == .success(201))
    }

    /// Whether a chunk begins there, decoders see in two ways: what follows counts as sound.
    @Test func whereTheNextChunkIsNotClearTheRestIsSound() {
        // A filling byte that is not zero, and none.
        #expect(Self.milliseconds(1599, [5] + Self.note) == .success((1599 + 1 + 808 + 7) / 8))
        #expect(Self.milliseconds(1599, Self.note) == .success((1599 + 808 + 7) / 8))
        // A zero where none belongs.
        #expect(Self.milliseconds(1600, [0] + Self.note) == .success((1600 + 1 + 808 + 7) / 8))
        #expect(Self.milliseconds(1599, [0, 0] + Self.note) == .success((1599 + 1 + 808 + 7) / 8))
        // Behind another chunk of an odd size too.
        let odd = Self.chunk("LIST", [1, 2, 3])
        #expect(Self.milliseconds(1600, odd + [0] + Self.note) == .success(200))
        #expect(Self.milliseconds(1600, odd + [5] + Self.note) == .success((1600 + 1 + 808 + 7) / 8))
    }

    @Test func inFrontOfTheSoundAFillingByteThatIsNotZeroIsRefused() {
        let bytes = Self.wav(tag: 1, bits: 8)
        func with(_ filling: UInt8) -> [UInt8] {
            Array(bytes[..<12]) + Self.chunk("LIST", [1, 2, 3]) + [filling] + Array(bytes[12...])
        }
        #expect(AudioFiles.measure(with(0)) == .success(500))
        #expect(AudioFiles.measure(with(5)) == .failure(.damaged))
    }

    @Test func fillingBytesAreFoundInPiecesOfAnySize() {
        for behind in [[0] + Self.note, [5] + Self.note, [0, 0] + Self.note] {
            let bytes = Self.wav(tag: 1, bits: 8, sound: [UInt8](repeating: 7, count: 1601)) + behind
            for pieces in [1, 2, 3, 1646, 1647] {
                #expect(AudioFiles.measure(bytes, pieces: pieces) == AudioFiles.measure(bytes))
            }
        }
    }

    // MARK: RF64

    /// The size of the sound in `data` and in each `ds64`; 4,000 bytes of it, and a chunk of 808 bytes.
    private static func long(_ name: String, data: UInt32, ds64: [UInt64]) -> Result<Int64, AudioFault> {
        let bytes = Self.wav(tag: 1, bits: 8)
        let sizes = ds64.flatMap { size -> [UInt8] in
            let words = [0, 0, UInt32(truncatingIfNeeded: size), UInt32(size >> 32), 0, 0, 0]
            return Self.chunk("ds64", words.flatMap(AudioFiles.little))
        }
        let head = Array(name.utf8) + [0xff, 0xff, 0xff, 0xff] + Array("WAVE".utf8)
        let sound = Array("data".utf8) + AudioFiles.little(data) + bytes.suffix(4000)
        return AudioFiles.measure(head + sizes + bytes[12..<36] + sound + Self.note)
    }

    @Test func anRF64SaysItsSizeOnceOrTwiceTheSame() {
        #expect(Self.long("RF64", data: 0xffff_ffff, ds64: [4000]) == .success(500))
        #expect(Self.long("RF64", data: 4000, ds64: [4000]) == .success(500))
        #expect(Self.long("RF64", data: 4000, ds64: [8]) == .failure(.damaged))
        #expect(Self.long("RF64", data: 8, ds64: [4000]) == .failure(.damaged))
        #expect(Self.long("RF64", data: 0, ds64: [4000]) == .failure(.damaged))
        #expect(Self.long("RF64", data: 4000, ds64: []) == .failure(.damaged))
        #expect(Self.long("RF64", data: 0xffff_ffff, ds64: [4000, 4000]) == .failure(.damaged))
        #expect(Self.long("RF64", data: 0xffff_ffff, ds64: [.max]) == .failure(.damaged))
        #expect(Self.long("RF64", data: 0xffff_ffff, ds64: [0]) == .success(601))
    }

    /// A decoder of RIFF does not know `ds64`, and plays what has no size to the end.
    @Test func aRIFFDoesNotGoByALongSize() {
        #expect(Self.long("RIFF", data: 0xffff_ffff, ds64: [4000]) == .success(601))
        #expect(Self.long("RIFF", data: 0, ds64: [4000]) == .success(601))
        #expect(Self.long("RIFF", data: 4000, ds64: [8, 8]) == .success(500))
    }
}
