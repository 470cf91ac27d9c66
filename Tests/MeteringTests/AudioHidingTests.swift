import Testing

@testable import Metering

/// Whoever makes a file can make one in which a decoder finds more than its headers show. What any decoder could play is
/// measured, or the file is refused.
@Suite("No sound hides from the measure") struct AudioHidingTests {
    private static let slow = [[UInt8]](repeating: AudioFiles.slowFrame(), count: 100).flatMap { $0 }
    /// Of each frame the next one is of another kind: no two in a row agree.
    private static let mixed = (0..<100).flatMap {
        AudioFiles.slowFrame(rate: $0 % 2 == 0 ? 8000 : 11025)
    }
    private static let mixedMilliseconds: Int64 = 50 * 72 + 50 * 576_000 / 11025

    @Test func framesOfTheTestAreAsLongAsTheySay() {
        #expect(AudioFiles.measure(Self.slow) == .success(7200))
    }

    /// Some decoders pass over what looks like a tag, here the first 16 frames, others search it for frames.
    @Test(
        arguments: [
            [0xff, 0, 0, 0, 0, 9, 0], [4, 0xff, 0, 0, 0, 9, 0], [4, 0, 0, 0x80, 0, 9, 0],
            [4, 0, 0, 0, 0xff, 9, 0], [4, 0, 0, 0, 0, 0x80, 0], [4, 0, 0, 0, 0, 9, 0x80],
            [1, 0, 0, 0, 0, 9, 0],
            [5, 0, 0, 0, 0, 9, 0],
        ] as [[UInt8]]) func whatOnlyLooksLikeATagIsRefused(_ header: [UInt8])
    {
        let tag = Array("ID3".utf8) + header
        #expect(AudioFiles.measure(tag + Self.slow + Self.slow + Self.slow) == .failure(.damaged))
    }

    @Test func framesThatNeverAgreeWithTheNextAreCounted() throws {
        let measured = try AudioFiles.measure(Self.slow + Self.mixed).get()
        #expect(measured >= 7200 + Self.mixedMilliseconds, "\(measured)")
    }

    /// Behind the first frame a tag is what a decoder passes over, or not.
    @Test func framesInATagInTheMiddleAreCounted() throws {
        let size = AudioFiles.little(UInt32(Self.mixed.count))
        let ape =
            Array("APETAGEX".utf8) + AudioFiles.little(2000) + size + [UInt8](repeating: 0, count: 16)
        let measured = try AudioFiles.measure(Self.slow + ape + Self.mixed + Self.slow).get()
        #expect(measured >= 2 * 7200 + Self.mixedMilliseconds, "\(measured)")
    }

    /// A frame of 960 bytes and 24 ms is as large as thirteen of 72 ms.
    @Test func aLoneLargeFrameDoesNotCoverSmallOnes() throws {
        let large: [UInt8] = [0xff, 0xfb, 0xe4, 0xc0]
        let stretch = large + AudioFiles.slowFrame() + AudioFiles.slowFrame(rate: 11025)
        let hidden = [[UInt8]](repeating: stretch, count: 50).flatMap { $0 }
        let measured = try AudioFiles.measure(Self.slow + hidden).get()
        #expect(measured >= 7200 + 50 * (72 + 52), "\(measured)")
    }

    /// Free format: no header says how long its frame is, so each counts where it stands.
    @Test func framesOfFreeFormatAreCounted() throws {
        let free: [UInt8] = [0xff, 0xe3, 0x08, 0xc0] + [UInt8](repeating: 0x55, count: 40)
        let hidden = [[UInt8]](repeating: free, count: 200).flatMap { $0 }
        #expect(try AudioFiles.measure(Self.slow + hidden).get() >= 7200 + 200 * 72)
        #expect(try AudioFiles.measure(Self.slow + hidden + Self.slow).get() >= 2 * 7200 + 200 * 72)
    }

    @Test func framesBehindTheLastWholeOneAreCounted() throws {
        let large: [UInt8] = [0xff, 0xfb, 0xe4, 0xc0]
        let end = large + AudioFiles.slowFrame() + AudioFiles.slowFrame(rate: 11025) + AudioFiles.slowFrame()
        #expect(try AudioFiles.measure(Self.slow + end).get() >= 7200 + 72 + 52 + 72)
    }

    /// A reserved emphasis, which no decoder minds.
    @Test func emphasisTwoCountsLikeZero() throws {
        func frames(_ emphasis: UInt8) -> [UInt8] {
            var frame = AudioFiles.slowFrame()
            frame[3] = frame[3] & 0xfc | emphasis
            return [[UInt8]](repeating: frame, count: 50).flatMap { $0 }
        }
        #expect(AudioFiles.measure(frames(2)) == AudioFiles.measure(frames(0)))
        #expect(AudioFiles.measure(frames(2)) == .success(3600))
        #expect(try AudioFiles.measure(Self.slow + frames(2) + Self.slow).get() >= 2 * 7200 + 3600)
    }

    /// A decoder that does not believe such a rate plays the samples at another one, for longer.
    @Test func aRateThatNobodyPlaysIsRefused() {
        var bytes = AudioFiles.wav(milliseconds: 250)
        bytes.replaceSubrange(24..<28, with: AudioFiles.little(768_001))
        #expect(AudioFiles.measure(bytes) == .failure(.damaged))
        bytes.replaceSubrange(24..<28, with: AudioFiles.little(768_000))
        #expect(AudioFiles.measure(bytes) == .success(3))
    }

    /// Decoders know how long a sample of these codecs is; what the file says of it would be a measure of its maker's.
    @Test(arguments: [6, 7] as [UInt8]) func theWidthOfASampleIsThatOfItsCodec(tag: UInt8) {
        var bytes = AudioFiles.wav(milliseconds: 250)
        bytes[20] = tag
        #expect(AudioFiles.measure(bytes) == .failure(.unmeasuredContent))
        bytes.replaceSubrange(32..<36, with: [1, 0, 8, 0])
        #expect(AudioFiles.measure(bytes) == .success(500))
    }

    @Test(arguments: [(1, 64), (1, 40), (3, 8), (3, 40)] as [(UInt8, UInt8)])
    func aWidthThatNoDecoderKnowsIsRefused(tag: UInt8, bits: UInt8) {
        var bytes = AudioFiles.wav(milliseconds: 250)
        bytes[20] = tag
        bytes.replaceSubrange(32..<36, with: [bits / 8, 0, bits, 0])
        #expect(AudioFiles.measure(bytes) == .failure(.unmeasuredContent))
    }

    /// Samples of four bytes of which so many bits are said to count.
    @Test(
        arguments: [(0, true), (24, true), (32, true), (8, false), (16, false), (64, false)]
            as [(UInt8, Bool)])
    func theBitsThatCountAreThoseOfASample(valid: UInt8, isMeasured: Bool) {
        let sound = [UInt8](repeating: 7, count: 8000)
        var bytes = Array("RIFF".utf8) + AudioFiles.little(60 + 8000) + Array("WAVEfmt ".utf8)
        bytes += AudioFiles.little(40) + [0xfe, 0xff, 1, 0] + AudioFiles.little(8000)
        bytes += AudioFiles.little(32000) + [4, 0, 32, 0, 22, 0, valid, 0] + AudioFiles.little(4)
        bytes += [1, 0] + [UInt8](repeating: 0, count: 14) + Array("data".utf8)
        bytes += AudioFiles.little(8000) + sound
        #expect(AudioFiles.measure(bytes) == (isMeasured ? .success(250) : .failure(.unmeasuredContent)))
    }

    /// A decoder passes over the byte that fills up odd sound, whatever it is, and over no other: from where another chunk
    /// would be read at another place, all that follows counts.
    @Test func chunksBeginWhereDecodersReadThem() {
        let hidden = Array("JUNK".utf8) + AudioFiles.little(2000) + [UInt8](repeating: 7, count: 2000)
        var odd = AudioFiles.wav(milliseconds: 250, declared: 3999, behind: hidden)
        odd[44 + 3999] = UInt8(ascii: "x")
        #expect(AudioFiles.measure(odd) == .success(376))
        odd[44 + 3999] = 0
        #expect(AudioFiles.measure(odd) == .success(250))
        let shifted = AudioFiles.wav(milliseconds: 250, behind: [0] + hidden)
        #expect(AudioFiles.measure(shifted) == .success(376))
    }

    @Test func theLongSizeCountsInRF64Only() {
        func file(_ name: String, long: UInt32, declared: UInt32) -> [UInt8] {
            var bytes = AudioFiles.wav(milliseconds: 250, declared: declared)
            bytes.replaceSubrange(0..<4, with: Array(name.utf8))
            let sizes = [0, 0, long, 0, 2000, 0, 0].flatMap { AudioFiles.little($0) }
            bytes.insert(contentsOf: Array("ds64".utf8) + AudioFiles.little(28) + sizes, at: 12)
            return bytes
        }
        #expect(AudioFiles.measure(file("RF64", long: 4000, declared: 0xffff_ffff)) == .success(250))
        #expect(AudioFiles.measure(file("RF64", long: 4000, declared: 4000)) == .success(250))
        #expect(AudioFiles.measure(file("RF64", long: 4000, declared: 16)) == .failure(.damaged))
        #expect(AudioFiles.measure(file("RIFF", long: 16, declared: 0xffff_ffff)) == .success(250))
    }

    /// Decoders do not look at it, not even where it is reserved.
    @Test(arguments: 0...3 as ClosedRange<UInt8>) func theEmphasisHidesNoFrame(emphasis: UInt8) {
        var frames = Self.slow
        for at in stride(from: 3, to: frames.count, by: 72) { frames[at] = 0xc0 | emphasis }
        #expect(AudioFiles.measure(frames) == .success(7200))
    }

    @Test func aTrackThatIsSaidToBeNoSoundIsRefusedWithACodecOfSound() throws {
        var bytes = try AudioFiles.bytes("tone.m4a")
        let handler = try #require(AudioFiles.find("soun", in: bytes))
        bytes.replaceSubrange(handler..<handler + 4, with: Array("text".utf8))
        #expect(AudioFiles.measure(bytes) == .failure(.unmeasuredContent))
    }

    @Test func theTypeOfAWEBMTrackIsReadWhole() throws {
        let bytes = try AudioFiles.bytes("opus.webm")
        let whole = AudioFiles.measure(bytes)
        let type = try #require(AudioFiles.find([0x83, 0x81, 0x02], in: bytes))
        func typed(_ value: [UInt8]) -> Result<Int64, AudioFault> {
            var changed = bytes
            changed.replaceSubrange(type..<type + 3, with: [0x83, 0x80 | UInt8(value.count)] + value)
            return AudioFiles.measure(changed)
        }
        #expect(typed([0, 2]) == whole)
        #expect(typed([0, 0, 0, 0, 0, 0, 0, 2]) == whole)
        // Not audio, yet a codec of sound: another decoder may go by that.
        #expect(typed([1, 2]) == .failure(.unmeasuredContent))
        #expect(typed([1]) == .failure(.unmeasuredContent))
        #expect(typed([0, 0, 0, 0, 0, 0, 0, 0, 2]) == .failure(.damaged))
    }

    @Test(arguments: AudioMeterTests.files.map(\.name))
    func filesInBase64AreMeasuredAsTheyAre(_ name: String) throws {
        let bytes = try AudioFiles.bytes(name)
        let expected = try AudioFiles.measure(bytes).get()
        #expect(Self.milliseconds(AudioFiles.base64(bytes)) == expected)
        // The other two lengths of padding.
        for more in [[0], [0, 0]] as [[UInt8]] {
            let other = try? AudioFiles.measure(bytes + more).get()
            #expect(Self.milliseconds(AudioFiles.base64(bytes + more)) == other)
        }
    }

    /// What decoders of base64 differ in would be two files.
    @Test func whatIsNotPlainBase64IsNotMeasured() {
        let wav = AudioFiles.base64(AudioFiles.wav(milliseconds: 1001))
        #expect(Self.milliseconds(wav) == 1001)
        for bad in [
            "", wav + "=", "=" + wav, wav + "\n", "data:audio/wav;base64," + wav, wav + "AA==AAAA",
            String(wav.dropLast()), "-" + wav.dropFirst(), "!!!!",
        ] {
            #expect(Self.milliseconds(bad) == nil, "\(bad.prefix(40))")
        }
    }

    private static func milliseconds(_ text: String) -> Int64? {
        Array(text.utf8).withUnsafeBytes { AudioMeter.milliseconds(base64: $0) }
    }
}
