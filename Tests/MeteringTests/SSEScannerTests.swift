import Testing

@testable import Metering

/// One stream: its pieces in order, with those that stripping takes out.
struct SSEFixture: Sendable, CustomTestStringConvertible {
    var name: String
    var pieces: [(text: String, isStripped: Bool)]
    var prompt: Int64?
    var completion: Int64?
    var isMalformed = false
    var deltas = 0
    var visibleBytes = 0
    var isDone = true
    var hasError = false
    var model: String? = "gpt-4o-mini-2024-07-18"
    var tier: String?
    var finishReasons = 0

    var testDescription: String { self.name }
    var bytes: [UInt8] { self.pieces.flatMap { Array($0.text.utf8) } }
    var stripped: [UInt8] { self.pieces.flatMap { $0.isStripped ? [] : Array($0.text.utf8) } }

    static let head = #"data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o-mini-2024-07-18","#
    static let usage = #""usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}"#

    static func delta(_ delta: String, index: Int = 0, more: String = "", end: String = "\n\n") -> String {
        head + #""choices":[{"index":\#(index),"delta":\#(delta),"finish_reason":null}]\#(more)}"# + end
    }

    static let usageChunk = head + #""choices":[],"# + usage + "}\n\n"
    static let done = "data: [DONE]\n\n"
}

extension SSEFixture {
    static let plain = SSEFixture(
        name: "plain",
        pieces: [
            (delta(#"{"role":"assistant","content":""}"#, more: #","usage":null"#), false),
            (delta(#"{"content":"Hé"}"#, more: #","service_tier":"default","usage":null"#), false),
            (delta(#"{"content":" \u00e9\ud83d\ude00\"\n"}"#, more: #","service_tier":null"#), false),
            (head + #""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"# + "\n\n", false),
            (usageChunk, true), (done, false),
        ], prompt: 9, completion: 2, deltas: 2, visibleBytes: 3 + 1 + 2 + 4 + 2, tier: "default",
        finishReasons: 1)

    static let all: [SSEFixture] = [
        plain,
        SSEFixture(
            name: "carriage return and line feed",
            pieces: plain.pieces.map { ($0.text.replacing("\n", with: "\r\n"), $0.isStripped) },
            prompt: 9, completion: 2, deltas: 2, visibleBytes: 12, tier: "default", finishReasons: 1),
        SSEFixture(
            name: "carriage return alone",
            pieces: plain.pieces.map { ($0.text.replacing("\n", with: "\r"), $0.isStripped) },
            prompt: 9, completion: 2, deltas: 2, visibleBytes: 12, tier: "default", finishReasons: 1),
        SSEFixture(
            name: "byte order mark, comments, other fields, no space behind the colon",
            pieces: [
                ("\u{feff}: hello\n\nevent: chunk\nid: 1\n" + delta(#"{"content":"a"}"#), false),
                (": keep-alive \"usage\":{}\n", false), (usageChunk.replacing("data: ", with: "data:"), true),
                ("retry: 5\n: x\n\ndata:[DONE]\n\n", false),
            ], prompt: 9, completion: 2, deltas: 1, visibleBytes: 1),
        SSEFixture(
            name: "byte order mark in front of data",
            pieces: [("\u{feff}" + delta(#"{"content":"a"}"#), false), (usageChunk, true), (done, false)],
            prompt: 9, completion: 2, deltas: 1, visibleBytes: 1),
        SSEFixture(
            name: "content and usage in one frame goes on",
            pieces: [(delta(#"{"content":"ab"}"#, more: "," + usage), false), (done, false)],
            prompt: 9, completion: 2, deltas: 1, visibleBytes: 2),
        SSEFixture(
            name: "text that looks like usage",
            pieces: [
                (
                    delta(#"{"content":"\"usage\":{\"prompt_tokens\":1},\"choices\":[]}\n\ndata: [DONE]"}"#),
                    false
                ),
                (delta(#"{"content":{"usage":{"prompt_tokens":5,"completion_tokens":5}}}"#), false),
                (
                    delta(
                        #"{"usage":{"prompt_tokens":6},"model":"no"}"#,
                        more: #","x":{"usage":{"prompt_tokens":7}}"#), false
                ),
                (done, false),
            ], deltas: 1, visibleBytes: 55),
        SSEFixture(
            name: "error frame, no end",
            pieces: [
                (delta(#"{"content":"a"}"#), false),
                (
                    "event: error\ndata: {\"error\":{\"message\":\"x\",\"usage\":{\"prompt_tokens\":1}}}\n\n",
                    false
                ),
            ], deltas: 1, visibleBytes: 1, isDone: false, hasError: true),
        SSEFixture(
            name: "tool calls",
            pieces: [
                (
                    delta(
                        #"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}"#
                    ), false
                ),
                (delta(#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#), false),
                (delta(#"{"tool_calls":[]}"#), false), (delta(#"{"content":null,"refusal":null}"#), false),
                (delta(#"{"function_call":{"arguments":"xy"}}"#), false),
                (delta(#"{"refusal":"no"}"#), false),
                (delta(#"{"reasoning_content":"hm"}"#), false), (usageChunk, true), (done, false),
            ], prompt: 9, completion: 2, deltas: 5, visibleBytes: 1 + 4 + 2 + 2 + 2),
        SSEFixture(
            name: "two choices",
            pieces: [
                (delta(#"{"content":"a"}"#), false), (delta(#"{"content":"b"}"#, index: 1), false),
                (
                    head + #""choices":[{"delta":{"content":"c"}},{"delta":{"content":"d"}},{"delta":{}}]}"#
                        + "\n\n", false
                ),
                (usageChunk, true), (done, false),
            ], prompt: 9, completion: 2, deltas: 4, visibleBytes: 4),
        SSEFixture(
            name: "null usage, empty choices without usage",
            pieces: [
                (head + #""choices":[],"prompt_filter_results":[]}"# + "\n\n", false),
                (head + #""choices":[],"usage":null}"# + "\n\n", false), (delta(#"{"content":"a"}"#), false),
                (done, false),
            ], deltas: 1, visibleBytes: 1),
        SSEFixture(
            name: "no blank line and no end",
            pieces: [(delta(#"{"content":"a"}"#), false), (usageChunk.replacing("\n", with: ""), true)],
            prompt: 9, completion: 2, deltas: 1, visibleBytes: 1, isDone: false),
        SSEFixture(
            name: "half a frame at the end",
            pieces: [
                (delta(#"{"content":"a"}"#), false),
                (#"data: {"choices":[],"usage":{"prompt_tokens":9,"#, false),
            ],
            isMalformed: true, deltas: 1, visibleBytes: 1, isDone: false),
        SSEFixture(
            name: "one document in several data lines goes on, and is read",
            pieces: [
                ("data: {\"choices\":[],\ndata:\ndata: \"usage\":{\"prompt_tokens\":9,\n", false),
                ("data:\"completion_tokens\":2}}\n\n", false), (done, false),
            ], prompt: 9, completion: 2, model: nil),
        SSEFixture(
            name: "usage in an event with a name keeps its blank line",
            pieces: [
                ("event: usage\n", false), (usageChunk.replacing("\n", with: ""), true), ("\n", true),
                ("\n", false), (done, false),
            ],
            prompt: 9, completion: 2),
        SSEFixture(
            name: "malformed numbers",
            pieces: [
                (
                    head + #""choices":[],"usage":{"prompt_tokens":1e400,"completion_tokens":2}}"# + "\n\n",
                    true
                ), (done, false),
            ],
            isMalformed: true),
        SSEFixture(
            name: "broken documents go on",
            pieces: [
                ("data: {\"choices\":[],\"usage\":{}\n\n", false),
                ("data: {\"choices\":[]],\"usage\":{}}\n\n", false),
                ("data: {\"choices\":[}\n\ndata: 5\n\ndata: \"[DONE]\"\n\ndata\n\ndata: [DONE]x\n\n", false),
            ], isMalformed: true, isDone: false, model: nil),
        SSEFixture(
            name: "escaped names are names",
            pieces: [
                (
                    #"data: {"m\u006fdel":"m\u002d\u0031","choices":[],"us\u0061ge":{"prompt_tok\u0065ns":9,"completion_tokens":2}}"#
                        + "\n\n", true
                ), (done, false),
            ],
            prompt: 9, completion: 2, model: "m-1"),
        SSEFixture(
            name: "usage twice: the last counts",
            pieces: [
                (
                    delta(#"{"content":"a"}"#, more: #","usage":{"prompt_tokens":9,"completion_tokens":1}"#),
                    false
                ),
                (usageChunk, true), (done, false),
            ], prompt: 9, completion: 2, deltas: 1, visibleBytes: 1),
    ]
}

private struct TapOutcome: Equatable {
    var forwarded: [UInt8] = []
    var report: ReportedUsage?
    var malformed, done, error: Bool
    var deltas, bytes, reasons: Int
    var model, tier: String?

    init(_ tap: SSEUsageTap, _ forwarded: [UInt8]) {
        self.forwarded = forwarded
        self.report = tap.report
        (self.malformed, self.done, self.error) = (tap.malformedUsage, tap.sawDone, tap.sawErrorFrame)
        (self.deltas, self.bytes, self.reasons) = (tap.visibleDeltas, tap.visibleBytes, tap.finishReasonsSeen)
        (self.model, self.tier) = (tap.model, tap.serviceTier)
    }
}

/// Feeds the pieces between the cuts, each from memory of its own so that a read beyond it would be seen.
private func run(_ bytes: [UInt8], cuts: [Int], strip: Bool) -> TapOutcome {
    var tap = SSEUsageTap(stripUsage: strip)
    var forwarded: [UInt8] = []
    func take(_ released: SSEUsageTap.Released, _ piece: [UInt8]) {
        let before = forwarded.count
        forwarded += released.carried
        released.forEachFreshRange { forwarded += piece[$0] }
        #expect(forwarded.count - before == released.byteCount)
    }
    var start = 0
    for cut in cuts + [bytes.count] {
        let piece = Array(bytes[start..<cut])
        take(piece.withUnsafeBytes { tap.feed($0) }, piece)
        if let end = bytes[..<cut].lastIndex(of: 10) {
            #expect(strip || forwarded.count > end, "every complete line is released at once")
        }
        start = cut
    }
    take(tap.finish(), [])
    return TapOutcome(tap, forwarded)
}

@Suite struct SSEScannerTests {
    @Test(arguments: SSEFixture.all) func everyFixtureIsReadAndStripped(_ fixture: SSEFixture) {
        for strip in [true, false] {
            let outcome = run(fixture.bytes, cuts: [], strip: strip)
            let expected = strip ? fixture.stripped : fixture.bytes
            #expect(
                String(decoding: outcome.forwarded, as: UTF8.self)
                    == String(decoding: expected, as: UTF8.self))
            #expect(outcome.report?.inputTokens == fixture.prompt)
            #expect(outcome.report?.outputTokens == fixture.completion)
            #expect(outcome.malformed == fixture.isMalformed)
            #expect(outcome.deltas == fixture.deltas)
            #expect(outcome.bytes == fixture.visibleBytes)
            #expect(outcome.done == fixture.isDone)
            #expect(outcome.error == fixture.hasError)
            #expect(outcome.model == fixture.model)
            #expect(outcome.tier == fixture.tier)
            #expect(outcome.reasons == fixture.finishReasons)
        }
    }

    /// A proxy must not care where TCP cuts the stream.
    @Test(arguments: SSEFixture.all) func theResultIsTheSameForEverySplit(_ fixture: SSEFixture) {
        let bytes = fixture.bytes
        for strip in [true, false] {
            let whole = run(bytes, cuts: [], strip: strip)
            #expect(run(bytes, cuts: Array(1..<bytes.count), strip: strip) == whole, "byte by byte")
            for cut in 0...bytes.count {
                #expect(run(bytes, cuts: [cut], strip: strip) == whole, "cut at byte \(cut)")
            }
        }
    }

    @Test func theResultIsTheSameForRandomSplitsOfRandomStreams() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("SSEScannerTests seed \(seed)")
        var random = JSONDice(state: seed)
        let alphabet = Array("{}[]:,\"\\ \n\r01.-eunltr".utf8)
        for round in 0..<300 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes += (SSEFixture.all.randomElement(using: &random) ?? .plain).bytes
            }
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                    alphabet.randomElement(using: &random) ?? 0
            }
            for strip in [true, false] {
                let whole = run(bytes, cuts: [], strip: strip)
                if !strip { #expect(whole.forwarded == bytes) }
                let cuts = (0..<Int.random(in: 1...12, using: &random))
                    .map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
                #expect(
                    run(bytes, cuts: cuts, strip: strip) == whole, "seed \(seed) round \(round) cuts \(cuts)")
            }
        }
    }

    /// Zero frame lag (DESIGN §3.7).
    @Test func everyCompleteLineIsReleasedInTheCallThatCompletesIt() {
        var tap = SSEUsageTap(stripUsage: true)
        let frame = Array(SSEFixture.delta(#"{"content":"a"}"#).utf8)
        for _ in 0..<3 { #expect(frame.withUnsafeBytes { tap.feed($0).byteCount } == frame.count) }
        let half = Array(frame[..<40]), rest = Array(frame[40...])
        #expect(half.withUnsafeBytes { tap.feed($0).byteCount } == 0)
        #expect(!tap.isInsideReleasedLine)
        #expect(rest.withUnsafeBytes { tap.feed($0).byteCount } == frame.count)
    }

    /// Nothing but 16 KiB is ever kept, however long a line is, and it stays readable.
    @Test(arguments: [1, 100, 1_000, 16_384, 16_385, 70_000]) func aHugeLineGoesOnInPieces(_ pieceBytes: Int)
    {
        let text = String(repeating: "x", count: 1 << 20)
        let bytes = Array(
            (SSEFixture.delta(#"{"content":"\#(text)"}"#) + SSEFixture.usageChunk + SSEFixture.done).utf8)
        var tap = SSEUsageTap(stripUsage: true)
        var fed = 0, released = 0
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            let count = min(pieceBytes, bytes.count - start)
            fed += count
            released += bytes.withUnsafeBytes {
                tap.feed(UnsafeRawBufferPointer(rebasing: $0[start..<start + count])).byteCount
            }
            if fed < text.utf8.count { #expect(fed - released <= 16 << 10) }
            if fed > 20_000, fed < text.utf8.count { #expect(tap.isInsideReleasedLine) }
        }
        #expect(released == bytes.count - SSEFixture.usageChunk.utf8.count)
        #expect(tap.visibleBytes == 1 << 20 && tap.visibleDeltas == 1 && tap.sawDone)
        #expect(tap.report?.inputTokens == 9 && !tap.isInsideReleasedLine)
    }

    /// Held bytes from one line and a long unfinished line in one call: both go on, in order.
    @Test func aLineHeldBackIsNotLostWhenALongOneFollows() {
        let frame = SSEFixture.delta(#"{"content":"a"}"#)
        let long = Array((frame + "data: {\"x\":\"" + String(repeating: "y", count: 40_000) + "\"}\n\n").utf8)
        for cuts in [
            [10], [10, 30_000], [10, frame.utf8.count + 16_390], [frame.utf8.count + 5, 20_000, 20_001],
        ] {
            #expect(run(long, cuts: cuts, strip: true).forwarded == long, "cuts \(cuts)")
        }
    }

    /// A usage line longer than what may be held back goes on, wherever it is cut.
    @Test func aUsageLineBeyondTheHeldBytesGoesOnForEverySplit() {
        for padding in [16_200, 16_384, 17_000] {
            let line =
                SSEFixture.head
                + "\"pad\":\"\(String(repeating: "p", count: padding))\",\"choices\":[],\(SSEFixture.usage)}"
            let isStripped = line.utf8.count <= 16 << 10
            let bytes = Array((line + "\n\n" + SSEFixture.done).utf8)
            for cuts in [[], [9], [16_380], [16_384], [16_385], [line.utf8.count], [line.utf8.count + 1]] {
                let outcome = run(bytes, cuts: cuts, strip: true)
                #expect(
                    outcome.forwarded == (isStripped ? Array(SSEFixture.done.utf8) : bytes),
                    "\(padding) \(cuts)")
                #expect(outcome.report?.inputTokens == 9)
            }
        }
    }
}
