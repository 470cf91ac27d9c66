import Testing

@testable import Metering

private func scan(_ text: String, cuts: [Int] = []) -> JSONUsageScanner {
    let bytes = Array(text.utf8)
    var scanner = JSONUsageScanner()
    var start = 0
    for cut in cuts + [bytes.count] {
        Array(bytes[start..<cut]).withUnsafeBytes { scanner.feed($0) }
        start = cut
    }
    scanner.finish()
    return scanner
}

private func usage(_ members: String) -> JSONUsageScanner {
    scan("{\"choices\":[{}],\"usage\":{\(members)}}")
}

@Suite struct JSONUsageScannerTests {
    private static let reply = #"""
        {"id":"c","model":"gpt-4o-2024-08-06","choices":[
          {"index":0,"message":{"role":"assistant","content":"Hi \u00e9\n","refusal":null},"finish_reason":"stop"},
          {"index":1,"message":{"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]}}],
         "usage":{"prompt_tokens":20,"completion_tokens":10,"total_tokens":30,"extra":{"prompt_tokens":99},
          "prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3,"audio_tokens":1,"text_tokens":12},
          "completion_tokens_details":{"reasoning_tokens":6,"audio_tokens":2,"rejected_prediction_tokens":1}},
         "service_tier":"priority","nested":{"usage":{"prompt_tokens":1},"model":"x","error":{}}}
        """#

    @Test func aWholeReplyIsReadForEverySplit() {
        let count = Self.reply.utf8.count
        for cuts in [[]] + (0...count).map({ [$0] }) + [Array(1..<count)] {
            let scanner = scan(Self.reply, cuts: cuts)
            var expected = ReportedUsage()
            (expected.inputTokens, expected.outputTokens, expected.totalTokens) = (20, 10, 30)
            (expected.cachedTokens, expected.cacheWriteTokens, expected.inputAudioTokens) = (4, 3, 1)
            (expected.inputTextTokens, expected.outputAudioTokens) = (12, 2)
            expected.reasoningTokens = 6
            #expect(scanner.report == expected && !scanner.malformedUsage, "cuts \(cuts)")
            #expect(scanner.model == "gpt-4o-2024-08-06" && scanner.serviceTier == "priority")
            #expect(scanner.choicesCount == 2 && scanner.visibleChoices == 2)
            #expect(scanner.visibleBytes == 3 + 2 + 1 + 1 + 2)
            #expect(!scanner.isErrorObject)
        }
    }

    @Test func absentIsNotZero() {
        let report = usage(#""prompt_tokens":0,"completion_tokens":null"#).report
        #expect(report?.inputTokens == 0 && report?.outputTokens == nil && report?.totalTokens == nil)
        #expect(
            usage(#""prompt_tokens_details":null,"completion_tokens_details":{}"#).report == ReportedUsage())
        #expect(scan(#"{"usage":null}"#).report == nil && !scan(#"{"usage":null}"#).malformedUsage)
        #expect(scan("{}").report == nil && !scan("{}").malformedUsage)
        #expect(usage(#""prompt_tokens":9223372036854775807"#).report?.inputTokens == .max)
    }

    @Test(arguments: [
        "9223372036854775808", "99999999999999999999999999", "1e400", "1e2", "-1", "-0", "1.0", "\"5\"",
        "true", "[]", "{}",
    ]) func aCountThatIsNoIntegerIsMalformed(_ value: String) {
        for member in ["prompt_tokens", "completion_tokens", "total_tokens"] {
            let scanner = usage("\"\(member)\":\(value),\"other\":1")
            #expect(scanner.malformedUsage && scanner.report == nil, "\(member)")
        }
        #expect(usage("\"prompt_tokens_details\":{\"cached_tokens\":\(value)}").malformedUsage)
        #expect(usage("\"completion_tokens_details\":{\"reasoning_tokens\":\(value)}").malformedUsage)
    }

    @Test(arguments: [
        #"{"usage":5}"#, #"{"usage":"x"}"#, #"{"usage":[]}"#, #"{"usage":true}"#,
        #"{"usage":{"prompt_tokens_details":7}}"#,
        #"{"usage":{"prompt_tokens":1,"completion_tokens":2}"#,
        #"{"usage":{"prompt_tokens":1,"completion_tokens":2}}}"#,
        #"{"usage":{"prompt_tokens":1,"completion_tokens":2]}"#, #"{"usage":{"prompt_tokens" 1}}"#,
        #"{"usage":{},}"#,
        #"{"usage":{"prompt_tokens":1,"completion_tokens":2}} x"#, #"{"usage":{"prompt_tokens":1 2}}"#, "",
        "{", "<html>",
        #"{"usage":{"prompt_tokens":nul}}"#, "{\"a\":\"\n\",\"usage\":{}}",
    ]) func whatIsNoWholeDocumentWithReadableUsageIsMalformed(_ text: String) {
        let scanner = scan(text)
        #expect(scanner.malformedUsage && scanner.report == nil)
    }

    @Test func anErrorObjectIsSeen() {
        #expect(scan(#"{"error":{"message":"x"}}"#).isErrorObject && scan(#"{"error":"x"}"#).isErrorObject)
        #expect(!scan(#"{"error":null}"#).isErrorObject)
    }

    @Test func depthIsBoundedAndCostsNoStack() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(scan("{\"x\":\(deep)").malformedUsage)
        let nested = String(repeating: "{\"a\":[", count: 200) + String(repeating: "]}", count: 200)
        #expect(scan("{\"x\":\(nested),\"usage\":{\"prompt_tokens\":5}}").report?.inputTokens == 5)
    }

    /// Half of a surrogate pair becomes one replacement character, in any position.
    @Test func loneSurrogatesDoNotBreakTheCount() {
        for text in [#"\ud83d"#, #"\ude00"#] {
            #expect(scan(#"{"choices":[{"message":{"content":"\#(text)a"}}]}"#).visibleBytes == 4)
            #expect(scan(#"{"choices":[{"message":{"content":"\#(text)"}}]}"#).visibleBytes == 3)
            #expect(scan(#"{"choices":[{"message":{"content":"\#(text)\n"}}]}"#).visibleBytes == 4)
        }
        #expect(scan(#"{"choices":[{"message":{"content":"\ud83d\ud83d\ude00"}}]}"#).visibleBytes == 7)
    }

    /// Nothing that upstream can send ends the process (MONEY_PATH C14).
    @Test func randomBytesNeverCrash() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("JSONUsageScannerTests seed \(seed)")
        var random = JSONDice(state: seed)
        let reply = Array(Self.reply.utf8)
        for _ in 0..<2_000 {
            var bytes = reply
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            var scanner = JSONUsageScanner()
            bytes.withUnsafeBytes { scanner.feed($0) }
            scanner.finish()
            _ = scanner.model
        }
    }
}
