import Testing

@testable import Metering

/// MP4, OGG and FLAC: what one decoder would find, and another not.
@Suite("Audio containers hide no sound") struct AudioContainerTests {
    // MARK: Tracks of MP4

    /// A second track like the first, with another handler and another name of its samples.
    private static func twoTracks(handler: String, entry: String) throws -> Result<Int64, AudioFault> {
        var bytes = try AudioFiles.bytes("tone.m4a")
        let name = try #require(AudioFiles.find("trak", in: bytes))
        let size = bytes[(name - 4)..<name].reduce(0) { $0 << 8 | Int($1) }
        let range = (name - 4)..<(name - 4 + size)
        var track = Array(bytes[range])
        let sound = try #require(AudioFiles.find("soun", in: track))
        track.replaceSubrange(sound..<sound + 4, with: Array(handler.utf8))
        let mark = try #require(AudioFiles.find("mp4a", in: track))
        track.replaceSubrange(mark..<mark + 4, with: Array(entry.utf8))
        bytes.insert(contentsOf: track, at: range.upperBound)
        AudioFiles.resize(["moov"], by: track.count, in: &bytes)
        return AudioFiles.measure(bytes)
    }

    /// Whatever its handler is called, a decoder plays a track whose samples are described as sound.
    @Test(arguments: ["text", "soup", "meta", "tmcd", "m1a ", "    "])
    func anMP4TrackOfAnotherHandlerWithSoundIsRefused(_ handler: String) throws {
        for entry in ["mp4a", "alac", "Opus", "sowt", "xxxx"] {
            let answer = try Self.twoTracks(handler: handler, entry: entry)
            #expect(answer == .failure(.unmeasuredContent), "\(entry)")
        }
    }

    @Test func anMP4TrackOfTextOrPicturesIsNoSound() throws {
        let whole = try AudioFiles.measure(AudioFiles.bytes("tone.m4a"))
        for (handler, entry) in [
            ("text", "text"), ("sbtl", "tx3g"), ("tmcd", "tmcd"), ("subp", "mp4s"), ("meta", "mebx"),
            ("vide", "avc1"),
        ] {
            #expect(try Self.twoTracks(handler: handler, entry: entry) == whole, "\(entry)")
        }
        #expect(try Self.twoTracks(handler: "soun", entry: "mp4a") == .failure(.unmeasuredContent))
    }

    /// The first description can be of text, and the second of sound.
    @Test func everyDescriptionOfAnMP4TrackIsRead() throws {
        var bytes = try AudioFiles.bytes("tone.m4a")
        let sound = try #require(AudioFiles.find("soun", in: bytes))
        bytes.replaceSubrange(sound..<sound + 4, with: Array("text".utf8))
        let table = try #require(AudioFiles.find("stsd", in: bytes))
        let text = AudioFiles.big(16) + Array("text".utf8) + [UInt8](repeating: 0, count: 8)
        bytes.insert(contentsOf: text, at: table + 12)
        bytes[table + 11] = 2
        AudioFiles.resize(["moov", "trak", "mdia", "minf", "stbl", "stsd"], by: text.count, in: &bytes)
        #expect(AudioFiles.measure(bytes) == .failure(.unmeasuredContent))
    }

    // MARK: Boxes of MP4

    /// Where a box ends two programs would see in two ways.
    @Test(arguments: ["moov", "trak", "edts", "mdia", "minf", "stbl"])
    func anMP4BoxThatDoesNotEndWithWhatIsInItIsRefused(_ name: String) throws {
        for count in [-30, -4, 4, 30] {
            var bytes = try AudioFiles.bytes("tone.m4a")
            AudioFiles.resize([name], by: count, in: &bytes)
            #expect(AudioFiles.measure(bytes) == .failure(.damaged), "\(count)")
        }
    }

    @Test(arguments: ["moof", "traf"])
    func anMP4FragmentThatDoesNotEndWithWhatIsInItIsRefused(_ name: String) throws {
        for count in [-4, 4] {
            var bytes = try AudioFiles.bytes("frag.mp4")
            AudioFiles.resize([name], by: count, in: &bytes)
            #expect(AudioFiles.measure(bytes) == .failure(.damaged), "\(count)")
        }
    }

    @Test func anMP4WithBoxesWithinBoxesWithoutEndIsRefused() throws {
        let bytes = try AudioFiles.bytes("tone.m4a")
        func nested(_ levels: Int) -> [UInt8] {
            (0..<levels).flatMap { AudioFiles.big(UInt32(8 * (levels - $0))) + Array("moov".utf8) }
        }
        #expect(AudioFiles.measure(bytes + nested(10)) == AudioFiles.measure(bytes))
        #expect(AudioFiles.measure(bytes + nested(1000)) == .failure(.damaged))
        // A size that no number holds.
        let huge = AudioFiles.big(1) + Array("free".utf8) + [0x7f] + [UInt8](repeating: 0xff, count: 7)
        let twice = AudioFiles.big(16) + Array("ftypM4A ".utf8) + AudioFiles.big(0) + huge + huge
        #expect(AudioFiles.measure(twice) == .failure(.damaged))
    }

    // MARK: Rates

    /// A description of AAC LC, mono, whose rate is said in 24 bits.
    private static func aac(rate: UInt32) -> Result<Int64, AudioFault> {
        let bits = UInt64(2) << 59 | UInt64(15) << 55 | UInt64(rate) << 31 | UInt64(1) << 27
        let settings = (0..<5).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * $0)) }
        let decoder = [4, 20, 0x40] + [UInt8](repeating: 0, count: 12) + [5, 5] + settings
        let stream = [3, UInt8(decoder.count + 3), 0, 1, 0] + decoder
        let box = AudioFiles.big(UInt32(12 + stream.count)) + Array("esds".utf8) + AudioFiles.big(0) + stream
        let entry = Array("mp4a".utf8) + [UInt8](repeating: 0, count: 28) + box
        let body = AudioFiles.big(0) + AudioFiles.big(1) + AudioFiles.big(UInt32(entry.count + 4)) + entry
        return body.withUnsafeBytes { raw in
            do throws(AudioFault) {
                return .success(try AACConfiguration(sampleDescriptions: raw).rate)
            } catch {
                return .failure(error)
            }
        }
    }

    @Test func aRateOfAACThatNobodyPlaysIsRefused() {
        #expect(Self.aac(rate: 44_100) == .success(44_100))
        #expect(Self.aac(rate: 768_000) == .success(768_000))
        #expect(Self.aac(rate: 768_001) == .failure(.damaged))
        #expect(Self.aac(rate: 0xff_ffff) == .failure(.damaged))
        #expect(Self.aac(rate: 0) == .failure(.damaged))
    }

    @Test(arguments: [("tone.flac", 18), ("flac.ogg", 28 + 17 + 10)])
    func aRateOfFLACThatNobodyPlaysIsRefused(_ file: (name: String, at: Int)) throws {
        func measure(_ rate: UInt32) throws -> Result<Int64, AudioFault> {
            var bytes = try AudioFiles.bytes(file.name)
            bytes[file.at] = UInt8(rate >> 12)
            bytes[file.at + 1] = UInt8(rate >> 4 & 0xff)
            bytes[file.at + 2] = bytes[file.at + 2] & 0x0f | UInt8(rate & 15) << 4
            return AudioFiles.measure(AudioFiles.resealed(bytes))
        }
        // Its frames say their rate themselves.
        #expect(try measure(0) == .success(400))
        #expect(try measure(768_000) == .success(400))
        #expect(try measure(768_001) == .failure(.damaged))
        #expect(try measure(0xf_ffff) == .failure(.damaged))
    }

    // MARK: Checksums of OGG

    @Test(arguments: ["opus.ogg", "vorbis.ogg", "flac.ogg"])
    func programsSealPagesOfAnOGGAsTheTestsDo(_ name: String) throws {
        let bytes = try AudioFiles.bytes(name)
        #expect(AudioFiles.resealed(bytes) == bytes)
    }

    /// A decoder passes over a page that does not check out, and goes on with the next: it would hear another stream.
    @Test func aPageOfAnOGGThatDoesNotCheckOutIsRefused() {
        let first = AudioFiles.opus(packets: 50, granule: 1)
        let sound = AudioFiles.page([[0x08, 1, 2, 3]], serial: 1, granule: 2)
        #expect(AudioFiles.measure(first + sound) == .success(1020))
        // The granule, the number of the page, the checksum itself, and sound.
        for index in [6, 13, 18, 22, 25, 29, sound.count - 1] {
            for bit in 0..<8 {
                var other = sound
                other[index] ^= 1 << bit
                #expect(AudioFiles.measure(first + other) == .failure(.damaged), "\(index).\(bit)")
            }
        }
        let unsealed = first.enumerated().map { 22..<26 ~= $0.offset ? 0 : $0.element }
        #expect(AudioFiles.measure(unsealed) == .failure(.damaged))
    }
}
