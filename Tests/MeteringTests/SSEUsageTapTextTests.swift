import Testing

@testable import Metering

/// What upstream puts into few large deltas is limited by its text: nobody streams more than is paid for, however it is
/// cut into events and lines.
@Suite struct SSEUsageTapTextTests {
    static let words = "ab cb ba "

    static func run(
        _ stream: String, allowed: Int64, shape: ReplyShape = .completions, pieces: Int = .max,
        _ tokenizer: Tokenizer? = nil
    ) -> (text: String, tap: SSEUsageTap) {
        var tap = SSEUsageTap(shape: shape, stripUsage: true)
        tap.visibleTokensMax = allowed
        let bytes = Array(stream.utf8)
        var out: [UInt8] = []
        var at = 0
        while at < bytes.count, !tap.isExhausted {
            let piece = bytes[at..<min(bytes.count, at + min(pieces, bytes.count))]
            piece.withUnsafeBytes { raw in
                let released = tap.feed(raw, tokenizer)
                out += released.carried
                released.forEachFreshRange { out += raw[$0] }
                at += released.consumed
            }
        }
        if !tap.isExhausted { out += tap.finish(tokenizer).carried }
        return (String(decoding: out, as: UTF8.self), tap)
    }

    @Test func aDeltaOfManyTokensIsHeldBackWhole() throws {
        let tokenizer = try VisibleOutputTests.tokenizer()
        let large = StreamFixture.chunk(String(repeating: Self.words, count: 40))
        let small = StreamFixture.chunk("a")
        let count = Int64(tokenizer.count(String(repeating: Self.words, count: 40)))
        #expect(count > 80)
        for tokenizer in [nil, tokenizer] {
            for pieces in [1, 50, Int.max] {
                let (text, tap) = Self.run(small + large + small, allowed: 60, pieces: pieces, tokenizer)
                #expect(text == small && tap.isExhausted && tap.visibleTokens == 1 && tap.visibleDeltas == 1)
                #expect(tap.neededTokens > 60)
            }
            let (text, tap) = Self.run(small + large + small, allowed: 2000, tokenizer)
            #expect(text == small + large + small && tap.visibleDeltas == 3)
            if tokenizer != nil { #expect(abs(tap.visibleTokens - count - 2) < 40) }
        }
    }

    @Test func withMoreAllowedItGoesOn() {
        let large = StreamFixture.chunk(String(repeating: Self.words, count: 40))
        var (text, tap) = Self.run(large, allowed: 60)
        let needed = tap.neededTokens
        #expect(text.isEmpty && needed == 72)
        tap.visibleTokensMax = needed - 1
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        #expect(tap.feed(none).byteCount == 0 && tap.isExhausted)
        tap.visibleTokensMax = needed
        text = String(decoding: tap.feed(none).carried, as: UTF8.self)
        #expect(text + "\n" == large && !tap.isExhausted && tap.visibleTokens == needed)
    }

    /// A line that is too long to be held back whole is let go as far as it is paid for, and no further.
    @Test(arguments: [1000, 16 << 10, 40_000]) func aLongLineDoesNotPassTheLimit(pieces: Int) {
        let line = StreamFixture.chunk(String(repeating: "x", count: 200_000))
        let (nothing, tap) = Self.run(line, allowed: 1000, pieces: pieces)
        #expect(nothing.isEmpty && tap.isExhausted && !tap.isInsideReleasedLine && tap.visibleTokens == 0)
        let (part, later) = Self.run(line, allowed: 20_000, pieces: pieces)
        #expect(part.utf8.count > 16 << 10 && part.utf8.count <= 100_200 && line.hasPrefix(part))
        #expect(later.isExhausted && later.isInsideReleasedLine)
        let (whole, last) = Self.run(line, allowed: 40_000, pieces: pieces)
        #expect(whole == line && !last.isExhausted && last.visibleTokens == 40_000)
    }

    @Test func aLongLineGoesOnWhereItStood() {
        let line = StreamFixture.chunk(String(repeating: "x", count: 200_000)) + StreamFixture.end
        let bytes = Array(line.utf8)
        var tap = SSEUsageTap(stripUsage: true)
        tap.visibleTokensMax = 1000
        var out: [UInt8] = []
        var at = 0
        while at < bytes.count {
            bytes[at..<min(at + 9000, bytes.count)].withUnsafeBytes { raw in
                let released = tap.feed(raw)
                out += released.carried
                released.forEachFreshRange { out += raw[$0] }
                at += released.consumed
            }
            #expect(Int64(out.count) <= (tap.visibleTokensMax ?? 0) * 5 + 200)
            if tap.isExhausted { tap.visibleTokensMax = tap.neededTokens + 500 }
        }
        #expect(out == bytes && tap.sawDone)
    }

    /// Data in several lines is one document, and is limited as one.
    @Test func linesOfOneDocumentAreLimitedTogether() {
        let piece = String(repeating: "y", count: 600)
        let lines = (0..<5).map { #"data: {"index":\#($0),"delta":{"content":"\#(piece)"}},"# + "\n" }
            .joined()
        let event = "data: {\"choices\":[\n" + lines + "data: {\"delta\":{}}]}\n\n"
        let (text, tap) = Self.run(event, allowed: 250)
        #expect(tap.isExhausted && text.utf8.count < 1400)
        #expect(Self.run(event, allowed: 600).text == event)
    }

    /// A last line without its end is no way around the limit either.
    @Test func aLastLineWithoutItsEndIsNotLetGo() {
        let large = String(StreamFixture.chunk(String(repeating: "z", count: 900)).dropLast(2))
        #expect(Self.run(large, allowed: 100).text.isEmpty)
        #expect(Self.run(large, allowed: 180).text == large)
    }

    /// The last event of a response repeats all of it; that is no new output.
    @Test func whatIsRepeatedIsNotCounted() {
        let text = String(repeating: "w", count: 60_000)
        let delta =
            #"data: {"type":"response.output_text.delta","delta":"hello","sequence_number":4}"# + "\n\n"
        let done =
            #"data: {"type":"response.output_text.done","text":"\#(text)","sequence_number":5}"# + "\n\n"
        let last =
            #"data: {"type":"response.completed","response":{"output":[{"type":"message","content":[{"text":"\#(text)"}]}]}}"#
            + "\n\n"
        let (out, tap) = Self.run(delta + done + last, allowed: 1, shape: .responses, pieces: 5000)
        #expect(out == delta + done + last && tap.sawDone && tap.visibleTokens == 1)
    }

    /// What was withheld is not the last that the client saw.
    @Test func theNumberOfAWithheldEventIsNotTheLast() {
        func delta(_ text: String, _ number: Int) -> String {
            #"data: {"type":"response.output_text.delta","delta":"\#(text)","sequence_number":\#(number)}"#
                + "\n\n"
        }
        let large = delta(String(repeating: "v", count: 500), 8)
        var (text, tap) = Self.run(delta("a", 7) + large, allowed: 50, shape: .responses)
        #expect(text == delta("a", 7) && tap.sequenceNumber == 7)
        tap.visibleTokensMax = 200
        text = String(decoding: tap.feed(UnsafeRawBufferPointer(start: nil, count: 0)).carried, as: UTF8.self)
        #expect(text + "\n" == large && tap.sequenceNumber == 8)
    }
}
