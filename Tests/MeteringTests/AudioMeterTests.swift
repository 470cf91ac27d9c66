import Testing

@testable import Metering

@Suite("Audio is measured by what is in it")
struct AudioMeterTests {
    /// Files as programs write them, with the milliseconds that were put in, which is what FFmpeg gets out. Frames count
    /// whole, so a few may be counted on top.
    static let files: [(name: String, decoded: Int64, slack: Int64)] = [
        ("tone.mp3", 1000, 108), ("layer2.mp2", 500, 76), ("tone.flac", 400, 0), ("flac.ogg", 400, 0),
        ("vorbis.ogg", 1250, 32), ("vorbis.webm", 1250, 32), ("opus.ogg", 750, 20), ("opus.webm", 500, 27),
        ("live.webm", 500, 27), ("tone.m4a", 500, 128), ("frag.mp4", 500, 128), ("ext.wav", 100, 0),
        ("float.wav", 50, 0), ("ulaw.wav", 100, 0), ("rf64.wav", 100, 0),
    ]

    @Test(arguments: Self.files)
    func filesAreAsLongAsWhatADecoderMakesOfThem(_ file: (name: String, decoded: Int64, slack: Int64)) throws
    {
        let measured = try AudioFiles.measure(AudioFiles.bytes(file.name)).get()
        #expect(
            file.decoded...(file.decoded + file.slack) ~= measured, "\(file.name): \(measured) ms")
    }

    /// A proxy must not care where TCP cuts the upload.
    @Test(arguments: Self.files.map(\.name) + ["alac.m4a", "adpcm.wav"])
    func theMeasureIsTheSameForPiecesOfAnySize(_ name: String) throws {
        let bytes = try AudioFiles.bytes(name)
        let whole = AudioFiles.measure(bytes)
        for pieces in [1, 2, 7, 100, 1024] {
            #expect(AudioFiles.measure(bytes, pieces: pieces) == whole, "\(name) by \(pieces)")
        }
    }

    @Test func whatIsNotMeasuredIsRefusedWithItsReason() throws {
        #expect(try AudioFiles.measure(AudioFiles.bytes("alac.m4a")) == .failure(.unmeasuredContent))
        #expect(try AudioFiles.measure(AudioFiles.bytes("adpcm.wav")) == .failure(.unmeasuredContent))
        #expect(AudioFiles.measure([]) == .failure(.unknownFormat))
        #expect(AudioFiles.measure(Array("{\"this is\": \"not audio\"}".utf8)) == .failure(.unknownFormat))
        #expect(AudioFiles.measure(AudioFiles.wav(milliseconds: 0)) == .failure(.empty))
    }

    /// litellm#20228 and others: whoever can make a file look short pays nothing.
    @Test(arguments: [UInt32(0), 2, 3, 1000, 1_000_000, 0xffff_fffe, 0xffff_ffff])
    func sizesInAWAVHeaderDoNotShortenOrLengthenIt(_ size: UInt32) {
        #expect(AudioFiles.measure(AudioFiles.wav(milliseconds: 250, declared: size)) == .success(250))
        #expect(AudioFiles.measure(AudioFiles.wav(milliseconds: 250, riff: size)) == .success(250))
    }

    @Test func chunksBehindTheSoundOfAWAVAreNoSoundButMoreSoundIs() {
        let note = Array("LIST".utf8) + AudioFiles.little(600) + [UInt8](repeating: 9, count: 600)
        #expect(AudioFiles.measure(AudioFiles.wav(milliseconds: 250, behind: note)) == .success(250))
        let more = Array("data".utf8) + AudioFiles.little(160) + [UInt8](repeating: 9, count: 160)
        #expect(AudioFiles.measure(AudioFiles.wav(milliseconds: 250, behind: note + more)) == .success(260))
        let junk = [UInt8](repeating: 9, count: 160)
        #expect(AudioFiles.measure(AudioFiles.wav(milliseconds: 250, behind: junk)) == .success(260))
    }

    @Test func aWAVThatSaysTheSizeOfAFrameInTwoWaysIsRefused() {
        var bytes = AudioFiles.wav(milliseconds: 250)
        bytes[32] = 200
        #expect(AudioFiles.measure(bytes) == .failure(.damaged))
    }

    @Test func framesOfAnMP3AreCountedNotDeclared() throws {
        var bytes = try AudioFiles.bytes("tone.mp3")
        let whole = AudioFiles.measure(bytes)
        let mark = try #require(AudioFiles.find("Info", in: bytes) ?? AudioFiles.find("Xing", in: bytes))
        for index in 8..<12 { bytes[mark + index] = 1 }
        #expect(AudioFiles.measure(bytes) == whole)
    }

    @Test func tagsAroundAnMP3AreNoSoundAndHideNone() throws {
        let sound = try AudioFiles.bytes("tone.mp3")
        let length = try AudioFiles.measure(sound).get()
        let front = Array("ID3".utf8) + [4, 0, 0, 0, 0, 7, 104] + [UInt8](repeating: 0, count: 1000)
        let ape =
            Array("APETAGEX".utf8) + AudioFiles.little(2000) + AudioFiles.little(200_000)
            + [UInt8](repeating: 0, count: 16)
        let tag = Array("TAG".utf8) + [UInt8](repeating: 0x20, count: 125)
        #expect(AudioFiles.measure(front + sound + ape + tag) == .success(length))
        // An image of 100,000 bytes in such a tag; and sound, which a decoder would find.
        let filler = [UInt8](repeating: 0, count: 100_000)
        #expect(AudioFiles.measure(sound + ape + filler) == .success(length))
        // Its table of contents is a frame like others then.
        #expect(try AudioFiles.measure(sound + ape + sound).get() >= 2 * length)
        #expect(AudioFiles.measure(sound + filler) == .failure(.damaged))
    }

    @Test func aFreeFormatMP3IsRefused() {
        let frame: [UInt8] = [0xff, 0xfb, 0x00, 0x00] + [UInt8](repeating: 0x55, count: 400)
        let bytes = Array([[UInt8]](repeating: frame, count: 300).joined())
        #expect(throws: AudioFault.self) { try AudioFiles.measure(bytes).get() }
    }

    @Test func theLengthThatFLACDeclaresIsNotRead() throws {
        var bytes = try AudioFiles.bytes("tone.flac")
        for index in 22..<26 { bytes[index] = 0 }
        #expect(AudioFiles.measure(bytes) == .success(400))
    }

    @Test func aFLACThatIsNotAllFramesIsRefused() throws {
        let bytes = try AudioFiles.bytes("tone.flac")
        #expect(AudioFiles.measure(bytes + [1, 2, 3]) == .failure(.damaged))
        #expect(AudioFiles.measure(Array(bytes.dropLast(5))) == .failure(.damaged))
        var flipped = bytes
        flipped[bytes.count - 40] ^= 1
        #expect(AudioFiles.measure(flipped) == .failure(.damaged))
    }

    @Test(arguments: [UInt32(0), 1, 48_000_000])
    func granulesOfAnOGGAreNotRead(_ granule: UInt32) {
        #expect(AudioFiles.measure(AudioFiles.opus(packets: 50, granule: granule)) == .success(1000))
        #expect(
            AudioFiles.measure(AudioFiles.opus(packets: 50, preSkip: 4800, granule: granule)) == .success(900)
        )
    }

    @Test func chainedOGGStreamsAddUpAndOnlyTheFirstHasAPreSkip() throws {
        let first = AudioFiles.opus(packets: 50, preSkip: 4800, granule: 1)
        let second = AudioFiles.opus(packets: 50, preSkip: 48000, serial: 2, granule: 1)
        #expect(AudioFiles.measure(first + second) == .success(1900))
        let vorbis = try AudioFiles.bytes("vorbis.ogg")
        let length = try AudioFiles.measure(vorbis).get()
        #expect(AudioFiles.measure(first + vorbis) == .success(900 + length))
        let flac = try AudioFiles.bytes("flac.ogg")
        #expect(AudioFiles.measure(flac + first) == .success(1400 - 100))
    }

    /// A decoder would find the frames in it all the same.
    @Test func aPacketOfAnOGGWithFLACThatHidesItsFrameIsRefused() throws {
        let bytes = try AudioFiles.bytes("flac.ogg")
        let serial = bytes[14..<18].enumerated().reduce(UInt32(0)) {
            $0 | UInt32($1.element) << (8 * $1.offset)
        }
        let late = AudioFiles.page([[4, 0xff, 0xf8, 1, 2]], serial: serial, granule: 1)
        #expect(AudioFiles.measure(bytes + late) == .failure(.damaged))
    }

    @Test func oggStreamsBesideEachOtherAreRefused() {
        let head = AudioFiles.opus(packets: 0, serial: 9, granule: 0).prefix(28 + 19)
        let other = AudioFiles.opus(packets: 50, granule: 1)
        #expect(AudioFiles.measure(Array(head) + other) == .failure(.unmeasuredContent))
        let stray = AudioFiles.page([[8, 1]], serial: 5, granule: 1)
        #expect(AudioFiles.measure(other + stray) == .failure(.unmeasuredContent))
    }

    @Test func samplesOfAnMP4AreCountedAndItsDurationsNotRead() throws {
        var bytes = try AudioFiles.bytes("tone.m4a")
        let whole = AudioFiles.measure(bytes)
        for name in ["stts", "mdhd", "mvhd"] {
            let at = try #require(AudioFiles.find(name, in: bytes))
            for index in 12..<24 { bytes[at + index] = 0 }
        }
        #expect(AudioFiles.measure(bytes) == whole)
    }

    @Test func anMP4WithLessOrMoreSamplesThanItsBytesCanBeIsRefused() throws {
        var bytes = try AudioFiles.bytes("tone.m4a")
        let count = try #require(AudioFiles.find("stsz", in: bytes)) + 12
        bytes.replaceSubrange(count..<count + 4, with: AudioFiles.big(10_000_000))
        #expect(AudioFiles.measure(bytes) == .failure(.damaged))
        bytes.replaceSubrange(count..<count + 4, with: AudioFiles.big(1))
        // What lies there beyond one frame could be thousands of them.
        let free = try #require(AudioFiles.find("mdat", in: bytes)) - 4
        let size = bytes[free..<free + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        bytes.replaceSubrange(free..<free + 4, with: AudioFiles.big(size + 100_000))
        let end = free + Int(size)
        bytes.insert(contentsOf: [UInt8](repeating: 3, count: 100_000), at: end)
        #expect(AudioFiles.measure(bytes) == .failure(.damaged))
    }

    @Test func anMP4ThatPlaysAStretchAgainIsRefused() throws {
        var bytes = try AudioFiles.bytes("tone.m4a")
        let at = try #require(AudioFiles.find("elst", in: bytes))
        var edits = AudioFiles.big(0) + AudioFiles.big(2)
        for _ in 0..<2 { edits += AudioFiles.big(500) + AudioFiles.big(0) + AudioFiles.big(0x10000) }
        let list = AudioFiles.big(UInt32(edits.count + 8)) + Array("elst".utf8) + edits
        let size = bytes[(at - 4)..<at].reduce(0) { $0 << 8 | Int($1) }
        AudioFiles.resize(["moov", "trak", "edts"], by: list.count - size, in: &bytes)
        let built = Array(bytes[..<(at - 4)]) + list + Array(bytes[(at - 4 + size)...])
        #expect(AudioFiles.measure(built) == .failure(.unmeasuredContent))
    }

    @Test func packetsOfAWEBMAreCountedAndLacedOnesRefused() throws {
        var bytes = try AudioFiles.bytes("opus.webm")
        let whole = AudioFiles.measure(bytes)
        let duration = try #require(AudioFiles.find([0x44, 0x89, 0x88], in: bytes))
        for index in 3..<11 { bytes[duration + index] = 0 }
        #expect(AudioFiles.measure(bytes) == whole)
        let cluster = try #require(AudioFiles.find([0x1f, 0x43, 0xb6, 0x75], in: bytes))
        let block = try #require(bytes[cluster...].firstIndex(of: 0xa3))
        // Track number and flags, behind the size of the block.
        let flags = try #require(bytes[block...].firstIndex(of: 0x81)) + 3
        bytes[flags] |= 0x02
        #expect(AudioFiles.measure(bytes) == .failure(.unmeasuredContent))
    }
}
