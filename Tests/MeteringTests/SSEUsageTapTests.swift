import Metering
import Testing

/// A stream as bytes, and what the tap must make of it.
struct StreamFixture: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var bytes: [UInt8]
    /// What goes to the client when the usage chunk was injected.
    var stripped: [UInt8]
    var prompt: Int64?
    var completion: Int64?
    var cached: Int64?
    var deltas: Int
    var malformed = false
    var done = true
    var error = false

    static func chunk(_ content: String, index: Int = 0, usage: String = "null") -> String {
        "data: {\"id\":\"x\",\"model\":\"m-1\",\"service_tier\":\"default\",\"choices\":[{\"index\":\(index),"
            + "\"delta\":{\"content\":\"\(content)\"},\"finish_reason\":null}],\"usage\":\(usage)}\n\n"
    }
    static let role =
        "data: {\"id\":\"x\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
        + "\"content\":\"\",\"refusal\":null},\"finish_reason\":null}],\"usage\":null}\n\n"
    static let stop =
        "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"
    static let report =
        "{\"prompt_tokens\":12,\"completion_tokens\":3,\"total_tokens\":15,\"prompt_tokens_details\":"
        + "{\"cached_tokens\":4,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":1}}"
    static let usage = "data: {\"id\":\"x\",\"choices\":[],\"usage\":\(report)}\n\n"
    static let end = "data: [DONE]\n\n"

    init(
        _ name: String, _ parts: [String], without dropped: [String] = [], prompt: Int64? = 12,
        completion: Int64? = 3, cached: Int64? = 4, deltas: Int, malformed: Bool = false, done: Bool = true,
        error: Bool = false
    ) {
        self.testDescription = name
        self.bytes = Array(parts.joined().utf8)
        self.stripped = Array(parts.filter { !dropped.contains($0) }.joined().utf8)
        (self.prompt, self.completion, self.cached) = (prompt, completion, cached)
        (self.deltas, self.malformed, self.done, self.error) = (deltas, malformed, done, error)
    }

    func crlf() -> StreamFixture {
        var other = self
        other.testDescription += ", CRLF"
        func convert(_ bytes: [UInt8]) -> [UInt8] { bytes.flatMap { $0 == 10 ? [13, 10] : [$0] } }
        other.bytes = convert(self.bytes)
        other.stripped = convert(self.stripped)
        return other
    }

    static let all: [StreamFixture] = {
        let nasty = "\\\"usage\\\":{\\\"prompt_tokens\\\":99} data: [DONE] \\n\\u0022 }]} \\\\"
        let tool =
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n"
        let error =
            "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
        let huge = chunk(String(repeating: "x", count: 40_000))
        let both = chunk("c", usage: report)
        let base = [
            StreamFixture(
                "plain", [role, chunk("a"), chunk("b"), stop, usage, end], without: [usage], deltas: 2),
            StreamFixture(
                "content that looks like usage", [chunk(nasty), usage, end], without: [usage], deltas: 1),
            StreamFixture(
                "two choices", [chunk("a"), chunk("b", index: 1), usage, end], without: [usage], deltas: 2),
            StreamFixture("content and usage in one frame", [chunk("a"), both, end], deltas: 2),
            StreamFixture(
                "no usage", [chunk("a"), stop, end], prompt: nil, completion: nil, cached: nil, deltas: 1),
            StreamFixture(
                "comments, events, ids", [": hi\n\n", "event: x\nid: 7\n" + chunk("a"), ":\n\n", usage, end],
                without: [usage], deltas: 1),
            StreamFixture(
                "error frame", [chunk("a"), error], prompt: nil, completion: nil, cached: nil, deltas: 1,
                done: false,
                error: true),
            StreamFixture("tool call", [role, tool, usage, end], without: [usage], deltas: 1),
            StreamFixture("no end mark", [chunk("a"), usage], without: [usage], deltas: 1, done: false),
            StreamFixture(
                "usage with a number that overflows",
                [
                    chunk("a"),
                    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":99999999999999999999,"
                        + "\"completion_tokens\":1}}\n\n", end,
                ],
                without: [
                    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":99999999999999999999,"
                        + "\"completion_tokens\":1}}\n\n"
                ],
                prompt: nil, completion: nil, cached: nil, deltas: 1, malformed: true),
            StreamFixture(
                "broken frame, then usage", ["data: {\"choices\":[{\n\n", usage, end], without: [usage],
                deltas: 0),
            StreamFixture(
                "byte order mark", ["\u{feff}" + chunk("a"), usage, end], without: [usage], deltas: 1),
            StreamFixture(
                "data without a space", ["data:" + usage.dropFirst(6), end],
                without: ["data:" + usage.dropFirst(6)], deltas: 0),
        ]
        return base + base.map { $0.crlf() } + [
            StreamFixture("a line longer than is held back", [huge, usage, end], without: [usage], deltas: 1)
        ]
    }()
}

/// A proxy must not care where TCP cuts the stream.
@Suite struct SSEUsageTapTests {
    /// Feeds the pieces and returns what went to the client.
    static func run(_ bytes: [UInt8], cuts: [Int], strip: Bool) -> (tap: SSEUsageTap, out: [UInt8]) {
        var tap = SSEUsageTap(stripUsage: strip)
        var out: [UInt8] = []
        var start = 0
        for cut in cuts + [bytes.count] where cut >= start {
            bytes[start..<cut].withUnsafeBytes { piece in
                let released = tap.feed(piece)
                out += released.carried
                released.forEachFreshRange { out += piece[$0] }
            }
            start = cut
        }
        out += tap.finish().carried
        return (tap, out)
    }

    static func check(_ fixture: StreamFixture, cuts: [Int], _ note: String) -> Bool {
        for strip in [true, false] {
            let (tap, out) = self.run(fixture.bytes, cuts: cuts, strip: strip)
            let expected = strip ? fixture.stripped : fixture.bytes
            let seen = (tap.report?.inputTokens, tap.report?.outputTokens, tap.report?.cachedTokens)
            guard out == expected, seen == (fixture.prompt, fixture.completion, fixture.cached),
                tap.visibleDeltas == fixture.deltas, tap.malformedUsage == fixture.malformed,
                tap.sawDone == fixture.done, tap.sawErrorFrame == fixture.error
            else {
                Issue.record(
                    """
                    \(fixture.testDescription), strip \(strip), \(note): report \(String(describing: tap.report)), \
                    deltas \(tap.visibleDeltas), malformed \(tap.malformedUsage), done \(tap.sawDone), \
                    bytes \(out.count) of \(expected.count)
                    """)
                return false
            }
        }
        return true
    }

    @Test(arguments: StreamFixture.all)
    func usageIsTheSameForEverySplit(_ fixture: StreamFixture) {
        // Every single cut; for the huge line only near its ends, since its middle is all alike.
        for cut in 0...fixture.bytes.count where fixture.bytes.count < 5000 || cut < 300 || cut % 997 == 0 {
            guard Self.check(fixture, cuts: [cut], "cut at byte \(cut)") else { return }
        }
        _ = Self.check(fixture, cuts: Array(1..<fixture.bytes.count), "byte by byte")
    }

    @Test func usageIsTheSameForRandomSplits() {
        let seed = UInt64.random(in: .min ... .max)
        print("SSE random splits, seed \(seed)")
        var dice = SplitMix64(state: seed)
        for _ in 0..<2000 {
            guard let fixture = StreamFixture.all.randomElement(using: &dice) else { return }
            let cuts = (0..<Int.random(in: 1...12, using: &dice))
                .map { _ in Int.random(in: 0...fixture.bytes.count, using: &dice) }.sorted()
            guard Self.check(fixture, cuts: cuts, "seed \(seed), cuts \(cuts)") else { return }
        }
    }

    /// Zero frame lag: a complete line never waits for the next bytes.
    @Test func everyCompleteFrameIsReleasedInTheCallThatCompletesIt() {
        var tap = SSEUsageTap(stripUsage: true)
        for text in [StreamFixture.role, StreamFixture.chunk("a"), ": comment\n"] {
            let bytes = Array(text.utf8)
            #expect(bytes.withUnsafeBytes { tap.feed($0).byteCount } == bytes.count)
        }
    }

    /// Mutated streams must neither crash the tap nor change a byte that it does not strip.
    @Test func garbageGoesThroughUnchanged() {
        let seed = UInt64.random(in: .min ... .max)
        print("SSE garbage, seed \(seed)")
        var dice = SplitMix64(state: seed)
        for _ in 0..<3000 {
            guard
                var bytes = StreamFixture.all.filter({ $0.bytes.count < 5000 }).randomElement(using: &dice)?
                    .bytes
            else { return }
            for _ in 0..<Int.random(in: 1...20, using: &dice) {
                bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
            }
            let (_, out) = Self.run(bytes, cuts: [bytes.count / 3, bytes.count / 2], strip: false)
            guard out == bytes else {
                Issue.record("seed \(seed): bytes changed")
                return
            }
        }
    }

    /// Memory: an endless line is not collected.
    @Test func anEndlessLineIsPassedOn() {
        var tap = SSEUsageTap(stripUsage: true)
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 10_000)
        var released = 0
        for _ in 0..<100 { released += piece.withUnsafeBytes { tap.feed($0).byteCount } }
        #expect(released >= 100 * 10_000 - 16 << 10)
        #expect(tap.isInsideReleasedLine)
    }
}
