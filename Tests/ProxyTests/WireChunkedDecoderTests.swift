import Testing

@testable import Proxy

@Suite struct WireChunkedDecoderTests {
    struct Decoded: Equatable {
        var payload: [UInt8] = []
        /// Bytes up to and with the last line; nil: not ended.
        var endedAt: Int?
        var fault: HeadFault?
    }

    /// Feeds `pieces` one after the other, as reads would bring them.
    static func decode(_ pieces: [ArraySlice<UInt8>]) -> Decoded {
        var decoder = ChunkedDecoder()
        var decoded = Decoded()
        var before = 0
        for piece in pieces {
            var at = 0
            let bytes = Array(piece)
            bytes.withUnsafeBytes { raw in
                feeding: while true {
                    switch decoder.next(in: raw, from: at) {
                    case .payload(let range, let to):
                        decoded.payload += raw[range]
                        at = to
                    case .needMore(let to):
                        // All of it, or the bytes would be read twice.
                        #expect(to == raw.count)
                        break feeding
                    case .end(let to):
                        decoded.endedAt = before + to
                        break feeding
                    case .invalid(let fault):
                        decoded.fault = fault
                        break feeding
                    }
                }
            }
            if decoded.endedAt != nil || decoded.fault != nil { return decoded }
            before += bytes.count
        }
        return decoded
    }

    static func decode(_ text: String) -> Decoded { self.decode([Array(text.utf8)[...]]) }

    @Test(arguments: [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        ("A\r\n0123456789\r\na\r\nabcdefghij\r\n00\r\n\r\n", "0123456789abcdefghij"),
        ("0005\r\nhello\r\n0000\r\n\r\n", "hello"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("7\r\n0\r\n\r\nab\r\n0\r\n\r\n", "0\r\n\r\nab"),
        ("1\r\nx\r\n0\r\nX-Checksum: abc\r\nEmpty:\r\n\r\n", "x"),
        ("0\r\nContent-Lengt: 1\r\nContent-Lengths: 1\r\nX-Transfer-Encoding: a\r\n\r\n", ""),
        ("0\r\nContent-Encoding: 1\r\nTransfer-Length: 1\r\nHost: h\r\nAuthorization: b\r\n\r\n", ""),
    ])
    func payloadIsTheSameForEverySplit(text: String, payload: String) {
        let bytes = Array(text.utf8)
        let expected = Decoded(payload: Array(payload.utf8), endedAt: bytes.count)
        #expect(Self.decode(text) == expected)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                let pieces = [bytes[..<first], bytes[first..<second], bytes[second...]]
                #expect(Self.decode(pieces) == expected, "cut at \(first) and \(second)")
            }
        }
        #expect(Self.decode(bytes.indices.map { bytes[$0...$0] }) == expected)
    }

    @Test func theBodyEndsAtItsLastLine() {
        #expect(Self.decode("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n").endedAt == 11)
    }

    @Test(arguments: [
        "\r\n", "g\r\n", "-1\r\n", "+1\r\nx\r\n", " 1\r\nx\r\n", "1 \r\nx\r\n", "0x1\r\nx\r\n", "1\nx\r\n",
        "1\rx",
        "1;ext\r\nx\r\n", "1;ext=\"a\r\nb\"\r\nx\r\n", "1 ; ext\r\nx\r\n", "1\r\nxy", "1\r\nx\n", "1\r\nx\rx",
        "1\r\nx\r\n\r\n", "1\r\nx0\r\n\r\n", "0\r\n\n", "0\r\n\rx", "0\r\n folded: a\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nNocolon\r\n\r\n", "0\r\nA: b\n\r\n", "0\r\nA: \0\r\n\r\n", "0\r\nA : b\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\nA: b\rc\r\n\r\n", "10000000000000\r\n", "FFFFFFFFFFFFFFFF\r\n",
        "00000000000000000000001\r\nx\r\n",
        "80000000000000000\r\n", "1\0\r\nx\r\n", "\u{0661}\r\nx\r\n", "1,1\r\nx\r\n", "1_0\r\n",
        // A field that frames the message, where it is too late for it.
        "0\r\nContent-Length: 5\r\n\r\n", "0\r\ncontent-length:\r\n\r\n",
        "0\r\nA: b\r\nTRANSFER-ENCODING: chunked\r\n\r\n", "0\r\nConnection: close\r\n\r\n",
    ])
    func whateverIsNotExactlyAChunkIsRefused(text: String) {
        #expect(Self.decode(text).fault == .badChunk)
        let bytes = Array(text.utf8)
        #expect(Self.decode(bytes.indices.map { bytes[$0...$0] }).fault == .badChunk)
    }

    @Test func theLargestSizeDoesNotOverflow() {
        var decoder = ChunkedDecoder()
        let bytes = Array("FFFFFFFFFFFFF\r\nabc".utf8)
        let step = bytes.withUnsafeBytes { decoder.next(in: $0, from: 0) }
        #expect(step == .payload(15..<18, consumedTo: 18))
    }

    /// Trailers are dropped, but somebody could send them for ever.
    @Test func trailersAreBounded() {
        let line = "A: " + String(repeating: "b", count: 1000) + "\r\n"
        #expect(Self.decode("0\r\n" + String(repeating: line, count: 8) + "\r\n").endedAt != nil)
        #expect(Self.decode("0\r\n" + String(repeating: line, count: 9) + "\r\n").fault == .badChunk)
        #expect(Self.decode("0\r\n" + String(repeating: "A:\r\n", count: 5000)).fault == .badChunk)
    }

    @Test func nothingFollowsTheEnd() {
        var decoder = ChunkedDecoder()
        let bytes = Array("0\r\n\r\n0".utf8)
        bytes.withUnsafeBytes { raw in
            #expect(decoder.next(in: raw, from: 0) == .end(consumedTo: 5))
            #expect(decoder.next(in: raw, from: 5) == .invalid(.badChunk))
        }
    }

    /// Chunks built at random, cut at random: what comes out is what went in.
    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64]) func randomBodiesSurviveRandomCuts(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            var payload: [UInt8] = []
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                let chunk = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                    [0x0d, 0x0a, 0x30, UInt8.random(in: 0...255, using: &random)].randomElement(
                        using: &random) ?? 0
                }
                payload += chunk
                bytes += Array((String(chunk.count, radix: 16) + "\r\n").utf8) + chunk + [0x0d, 0x0a]
            }
            bytes += Array("0\r\n\r\n".utf8)
            var pieces: [ArraySlice<UInt8>] = []
            var at = 0
            while at < bytes.count {
                let end = min(bytes.count, at + Int.random(in: 1...17, using: &random))
                pieces.append(bytes[at..<end])
                at = end
            }
            #expect(
                Self.decode(pieces) == Decoded(payload: payload, endedAt: bytes.count), "seed \(seed)")
        }
    }
}

/// SplitMix64: the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
