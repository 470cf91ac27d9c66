import Testing

@testable import Metering

/// Usage is read out of the replies of each endpoint, whole or as a stream, wherever they are cut.
@Suite struct ReplyShapeTests {
    // MARK: Responses

    private static let response = #"""
        {"id":"resp_1","object":"response","status":"completed","error":null,"model":"gpt-5.4-2026-03-05",
         "output":[
          {"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"x"}},
          {"type":"web_search_call","action":{"type":"open_page","url":"https://a"},"id":"ws_2"},
          {"type":"web_search_call","id":"ws_3"},
          {"type":"file_search_call","queries":["type"],"results":[{"type":"web_search_call","text":"ab"}]},
          {"type":"message","content":[{"type":"output_text","text":"Hi \"you\"","annotations":[]}]}],
         "service_tier":"flex","metadata":{"usage":"none","type":"error"},
         "usage":{"input_tokens":120,"output_tokens":30,"total_tokens":150,
          "input_tokens_details":{"cached_tokens":20,"cache_write_tokens":50,
           "cache_write_tokens_details":{"ttl_30m_tokens":10,"ttl_12h_tokens":40}},
          "output_tokens_details":{"reasoning_tokens":12}}}
        """#

    private static var reported: ReportedUsage {
        var report = ReportedUsage()
        (report.inputTokens, report.outputTokens, report.totalTokens) = (120, 30, 150)
        (report.cachedTokens, report.cacheWriteTokens, report.reasoningTokens) = (20, 50, 12)
        (report.cacheWrite30MinuteTokens, report.cacheWrite12HourTokens) = (10, 40)
        return report
    }

    @Test func aResponseIsReadForEverySplit() {
        for cut in 0...Self.response.utf8.count {
            let scanner = Self.scan(Self.response, .responses, cut: cut)
            #expect(scanner.report == Self.reported && !scanner.malformedUsage, "cut at \(cut)")
            #expect(scanner.identifier == "resp_1" && scanner.model == "gpt-5.4-2026-03-05")
            #expect(scanner.serviceTier == "flex" && scanner.isTerminal && !scanner.isErrorObject)
            // Opening a page is not billed; a call without an action is.
            #expect(scanner.tools[.webSearch] == 2 && scanner.tools[.fileSearch] == 1, "cut at \(cut)")
        }
    }

    @Test func toolUsageCountsWhatIsBilled() {
        let reply = Self.response.replacing(
            #""service_tier""#, with: #""tool_usage":{"web_search":{"num_requests":7}},"service_tier""#)
        #expect(Self.scan(reply, .responses).tools[.webSearch] == 7)
    }

    @Test func aFailedResponseIsAnError() {
        let failed = #"{"id":"r","status":"failed","error":{"code":"server_error"},"usage":null}"#
        let scanner = Self.scan(failed, .responses)
        #expect(scanner.isErrorObject && scanner.isTerminal && scanner.report == nil)
        #expect(!scanner.malformedUsage)
        let queued = Self.scan(#"{"id":"r","status":"queued","usage":null}"#, .responses)
        #expect(!queued.isTerminal && queued.report == nil)
    }

    private static let events: [(name: String, data: String)] = [
        (
            "response.created",
            #"{"type":"response.created","response":{"id":"resp_1","usage":null,"output":[]}}"#
        ),
        ("response.output_text.delta", #"{"type":"response.output_text.delta","delta":"Hi"}"#),
        ("response.output_text.delta", #"{"delta":" \"you\"","type":"response.output_text.delta"}"#),
        ("response.output_text.delta", #"{"type":"response.output_text.delta","delta":""}"#),
        ("response.audio.delta", #"{"type":"response.audio.delta","delta":"UklGRgAA"}"#),
        ("response.output_text.done", #"{"type":"response.output_text.done","text":"Hi \"you\""}"#),
        (
            "response.output_item.done",
            #"{"type":"response.output_item.done","item":{"type":"web_search_call","action":{"type":"search"}}}"#
        ),
    ]

    private static func stream(_ events: [(name: String, data: String)]) -> String {
        events.map { "event: \($0.name)\ndata: \($0.data)\n\n" }.joined()
    }

    @Test func aStreamOfAResponseIsReadForEverySplit() {
        let last =
            #"{"type":"response.completed","response":"# + Self.response.replacing("\n", with: "") + "}"
        let text = Self.stream(Self.events + [("response.completed", last)])
        for cut in 0...text.utf8.count {
            let (tap, passed) = Self.tap(text, .responses, cut: cut)
            #expect(passed == text, "cut at \(cut)")
            #expect(tap.report == Self.reported && tap.sawDone && !tap.sawErrorFrame, "cut at \(cut)")
            #expect(tap.identifier == "resp_1" && tap.tools[.webSearch] == 2, "cut at \(cut)")
            #expect(tap.visibleDeltas == 3 && tap.visibleBytes == 8, "cut at \(cut)")
        }
    }

    @Test(arguments: ["completed", "incomplete", "failed"])
    func theLastEventEndsTheStream(how: String) {
        let last = #"{"type":"response.\#(how)","response":{"usage":{"input_tokens":3,"output_tokens":1}}}"#
        let (tap, _) = Self.tap(Self.stream(Self.events + [("response." + how, last)]), .responses)
        #expect(tap.sawDone && tap.report?.inputTokens == 3)
        #expect(!Self.tap(Self.stream(Self.events), .responses).0.sawDone)
    }

    @Test func aStreamThatBreaksOffKeepsTheCallsThatEnded() {
        let (tap, _) = Self.tap(Self.stream(Self.events), .responses)
        #expect(tap.tools[.webSearch] == 1 && tap.report == nil && !tap.malformedUsage)
    }

    /// A failed response lists nothing of what it did; each kind counts as often as it was seen.
    @Test(
        arguments: [
            (#"{"output":[],"usage":null}"#, 1, 0), (#"{"usage":null}"#, 1, 0),
            (#"{"output":[{"type":"file_search_call"}]}"#, 1, 1),
            (#"{"output":[{"type":"web_search_call"},{"type":"web_search_call"}]}"#, 2, 0),
            // What is billed, says `tool_usage`: here that nothing is.
            (#"{"output":[],"tool_usage":{"web_search":{"num_requests":0}}}"#, 0, 0),
            (#"{"output":[],"tool_usage":{"web_search":{"num_requests":-3}}}"#, 1, 0),
        ] as [(String, Int64, Int64)])
    func callsThatEndedAreNotForgotten(response: String, searches: Int64, fileSearches: Int64) {
        let last = #"{"type":"response.failed","response":\#(response)}"#
        let (tap, _) = Self.tap(Self.stream(Self.events + [("response.failed", last)]), .responses)
        #expect(tap.tools[.webSearch] == searches && tap.tools[.fileSearch] == fileSearches)
    }

    /// A number that cannot be is not believed, and the usage beside it is.
    @Test(
        arguments: [
            ("2147483647", 2_147_483_647), ("2147483648", 2), ("99999999999999999999", 2), ("-1", 2),
            ("1.5", 2),
            ("null", 2),
        ] as [(String, Int64)])
    func aNonsenseCountOfSearchesIsNoCount(number: String, searches: Int64) {
        let reply = Self.response.replacing(
            #""service_tier""#,
            with: #""tool_usage":{"web_search":{"num_requests":\#(number)}},"service_tier""#)
        let scanner = Self.scan(reply, .responses)
        #expect(scanner.tools[.webSearch] == searches)
        #expect(scanner.report == Self.reported && !scanner.malformedUsage)
    }

    @Test func theNumberOfTheLastEventIsKnown() {
        #expect(Self.tap(Self.stream(Self.events), .responses).0.sequenceNumber == nil)
        let numbered = Self.events.enumerated().map { index, event in
            (event.name, event.data.dropLast() + #","sequence_number":\#(index + 4)}"#)
        }.map { (name: $0.0, data: String($0.1)) }
        let text = Self.stream(numbered)
        for cut in 0...text.utf8.count {
            #expect(Self.tap(text, .responses, cut: cut).0.sequenceNumber == 10, "cut at \(cut)")
        }
    }

    /// Some servers write one, and it must not hide what the reply cost.
    @Test func aByteOrderMarkBeforeAReplyIsPassedOver() {
        let marked = "\u{feff}" + Self.response
        for cut in 0...10 {
            let scanner = Self.scan(marked, .responses, cut: cut)
            #expect(scanner.report == Self.reported && !scanner.malformedUsage, "cut at \(cut)")
        }
        #expect(Self.scan("\u{feff}" + marked, .responses).malformedUsage, "one is enough")
        let half = [[0xef, 0xbb], Array(Self.response.utf8)].reduce([], +) as [UInt8]
        var scanner = JSONUsageScanner(shape: .responses)
        half.withUnsafeBytes { scanner.feed($0) }
        scanner.finish()
        #expect(scanner.malformedUsage && scanner.report == nil)
        let usage = #"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#
        #expect(Self.tap("\u{feff}data: \(usage)\n\n", .completions).0.report?.outputTokens == 2)
    }

    @Test func anErrorEventIsSeenInEitherForm() {
        for data in [
            #"{"type":"error","code":"x","message":"y","param":null,"sequence_number":3}"#,
            #"{"type":"error","error":{"code":"x","message":"y"}}"#,
        ] {
            #expect(Self.tap("data: \(data)\n\n", .responses).0.sawErrorFrame)
        }
        let ordinary = #"{"type":"response.created","response":{"error":null}}"#
        #expect(!Self.tap("data: \(ordinary)\n\n", .responses).0.sawErrorFrame)
    }

    // MARK: Other endpoints

    @Test func embeddingsReportNoOutput() {
        let reply = #"{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#
        let report = Self.scan(reply, .completions).report
        #expect(report?.inputTokens == 8 && report?.outputTokens == nil && report?.totalTokens == 8)
    }

    @Test func legacyCompletionsShowTheirText() {
        let scanner = Self.scan(
            #"{"choices":[{"text":"abc"},{"text":""}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
            .completions)
        #expect(scanner.visibleBytes == 3 && scanner.visibleChoices == 1)
    }

    @Test func imagesReportTheirKinds() {
        let reply = #"""
            {"created":1,"data":[{"b64_json":"aGk="}],"usage":{"total_tokens":1100,"input_tokens":50,
             "output_tokens":1050,"input_tokens_details":{"text_tokens":10,"image_tokens":40},
             "output_tokens_details":{"image_tokens":1000,"text_tokens":50}}}
            """#
        let report = Self.scan(reply, .media).report
        #expect(report?.inputTextTokens == 10 && report?.inputImageTokens == 40)
        #expect(report?.outputImageTokens == 1000 && report?.outputTextTokens == 50)
        let last = reply.replacing("\n", with: "").replacing(
            #"{"created""#, with: #"{"type":"image_generation.completed","created""#)
        let (tap, _) = Self.tap("data: \(last)\n\n", .media)
        #expect(tap.report == report && tap.sawDone)
    }

    @Test(
        arguments: [
            ("12", 12_000), ("12.5", 12_500), ("0.001", 1), ("0.0001", 1), ("1.2340000", 1_234), ("0", 0),
            ("9223372036854775", .max),
        ] as [(String, Int64)])
    func secondsAreMillisecondsRoundedUp(text: String, milliseconds: Int64) {
        let reply = #"{"text":"hi","usage":{"type":"duration","seconds":\#(text)}}"#
        let read = Self.scan(reply, .media).report?.milliseconds
        #expect(read == (text.count > 12 ? 9_223_372_036_854_775_000 : milliseconds))
    }

    @Test func transcriptionsSayToken() {
        let reply = #"""
            {"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59,
             "input_token_details":{"text_tokens":0,"audio_tokens":14}}}
            """#
        let report = Self.scan(reply, .media).report
        #expect(report?.inputAudioTokens == 14 && report?.outputTokens == 45)
    }

    // MARK: Feeding

    private static func scan(_ text: String, _ shape: ReplyShape, cut: Int? = nil) -> JSONUsageScanner {
        var scanner = JSONUsageScanner(shape: shape)
        for piece in Self.pieces(text, cut) { piece.withUnsafeBytes { scanner.feed($0) } }
        scanner.finish()
        return scanner
    }

    private static func tap(_ text: String, _ shape: ReplyShape, cut: Int? = nil) -> (SSEUsageTap, String) {
        var tap = SSEUsageTap(shape: shape, stripUsage: false)
        var passed: [UInt8] = []
        for piece in Self.pieces(text, cut) {
            let released = piece.withUnsafeBytes { tap.feed($0) }
            passed += released.carried
            released.forEachFreshRange { passed += piece[$0] }
        }
        passed += tap.finish().carried
        return (tap, String(decoding: passed, as: UTF8.self))
    }

    private static func pieces(_ text: String, _ cut: Int?) -> [[UInt8]] {
        let bytes = Array(text.utf8)
        guard let cut else { return [bytes] }
        return [Array(bytes[..<cut]), Array(bytes[cut...])]
    }
}
