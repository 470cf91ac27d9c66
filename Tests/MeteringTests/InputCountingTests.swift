import Testing

@testable import Metering

/// What is held for the text of a request is counted, whole and in slices.
@Suite struct InputCountingTests {
    private static let small = SmallVocabulary(seed: 21, alphabet: "ab ", merges: 80)

    private static func tokenizer(_ encoding: TokenEncoding = .o200kBase) throws -> Tokenizer {
        Tokenizer(try self.small.table(encoding))
    }

    private static func count(
        _ body: String, as endpoint: InspectedEndpoint, steps: Int = .max, _ tokenizer: Tokenizer
    ) throws -> (request: InspectedRequest, counted: CountedInput, slices: Int) {
        try Array(body.utf8).withUnsafeBytes { bytes in
            let request = try RequestInspector.inspect(bytes, as: endpoint).get()
            var counting = try #require(InputCounting(request))
            var slices = 1
            while !counting.advance(bytes, steps: steps, tokenizer) { slices += 1 }
            return (request, counting.counted, slices)
        }
    }

    // MARK: What is counted

    /// The texts of a body, escapes unresolved.
    private static func texts(_ body: String, as endpoint: InspectedEndpoint) throws -> [String] {
        let request = try Inspection.inspect(body, as: endpoint).get()
        return request.texts.all.map { String(decoding: Array(body.utf8)[$0.range], as: UTF8.self) }
    }

    /// Only what the model reads as it is: names, ids, tools and schemas come to it in a form that nobody documents, and
    /// keep their bytes.
    @Test func onlyWhatIsReadAsItIsIsCounted() throws {
        let chat = #"""
            {"model":"gpt-4o","user":"me","stop":"x","messages":[{"role":"system","content":"one","name":"n"},
            {"role":"user","content":[{"type":"text","text":"two"},{"type":"input_audio","input_audio":
            {"data":"AAAA","format":"wav"}}]},{"role":"assistant","tool_calls":[{"id":"c","type":"function",
            "function":{"name":"f","arguments":"{}"}}],"content":null},
            {"role":"tool","tool_call_id":"c","content":"thr\u0065e\n"}],
            "tools":[{"type":"function","function":{"name":"f","description":"text","parameters":{}}}]}
            """#
        #expect(try Self.texts(chat, as: .chat) == ["one", "two", #"thr\u0065e\n"#])
        let responses = #"""
            {"model":"gpt-5","instructions":"one","input":[{"role":"user","content":"two"},
            {"type":"message","role":"user","content":[{"type":"input_text","text":"three"}]},
            {"type":"function_call","name":"f","call_id":"c","arguments":"{\"a\":1}"},
            {"type":"function_call_output","call_id":"c","output":"four"}],
            "text":{"format":{"type":"text"}},"metadata":{"text":"no"},
            "tools":[{"type":"function","name":"f","description":"text"}]}
            """#
        #expect(
            try Self.texts(responses, as: .responses) == ["one", "two", "three", #"{\"a\":1}"#, "four"])
        #expect(try Self.texts(#"{"model":"m","input":"one"}"#, as: .responses) == ["one"])
        #expect(
            try Self.texts(#"{"model":"m","prompt":["a","b"],"suffix":"c"}"#, as: .completions) == [
                "a", "b", "c",
            ])
        #expect(try Self.texts(#"{"model":"m","input":["a","b"]}"#, as: .embeddings) == ["a", "b"])
        #expect(try Self.texts(#"{"model":"m","input":"a"}"#, as: .moderations).isEmpty)
        #expect(try Self.texts(#"{"model":"m","prompt":[1,2]}"#, as: .completions).isEmpty)
    }

    @Test func aModelWithoutADocumentedEncodingIsNotCounted() throws {
        let body = #"{"model":"gpt-6-sol","messages":[{"role":"user","content":"aaaa"}]}"#
        let request = try Inspection.inspect(body, as: .chat).get()
        #expect(InputCounting(request) == nil)
        let bounds = request.bounds(bodyBytes: body.utf8.count, permittedTiers: [.default])
        #expect(bounds.inputTokensMax == Int64(body.utf8.count))
    }

    /// The cost of counting is bounded; what is beyond is held for by its bytes.
    @Test func textBeyondTheLimitKeepsItsBytes() throws {
        let half = String(repeating: "a", count: RequestTexts.bodyBytesMax / 2 + 1)
        let content = #"{"role":"user","content":"\#(half)"}"#
        let body = #"{"model":"gpt-4o","messages":[\#(content),\#(content),{"role":"user","content":"b"}]}"#
        let request = try Inspection.inspect(body, as: .chat).get()
        #expect(request.texts.all.map(\.range.count) == [half.utf8.count, 1])
        let many = [String](repeating: "\"a\"", count: RequestTexts.countMax + 5).joined(separator: ",")
        let prompts = try Inspection.inspect(#"{"model":"gpt-4","prompt":[\#(many)]}"#, as: .completions)
            .get()
        #expect(prompts.texts.all.count == RequestTexts.countMax)
    }

    // MARK: Counts

    /// However the text is escaped and however the work is cut.
    @Test(arguments: [1, 7, 128, Int.max]) func countsAreThoseOfTheTextItself(steps: Int) throws {
        let seed = UInt64.random(in: .min ... .max)
        print("InputCountingTests.counts, seed \(seed)")
        var random = SplitMix64(state: seed)
        let tokenizer = try Self.tokenizer()
        for round in 0..<12 {
            let texts = (0..<Int.random(in: 1...5, using: &random)).map { _ in Self.text(&random) }
            let literals = texts.map { Self.literal($0, &random) }
            let messages = literals.map { #"{"role":"user","content":\#($0)}"# }.joined(separator: ",")
            let body = #"{"model":"gpt-4o","messages":[\#(messages)]}"#
            let (request, counted, slices) = try Self.count(body, as: .chat, steps: steps, tokenizer)
            let expected = texts.reduce(0) { $0 + tokenizer.count($1) }
            #expect(counted.tokens == Int64(expected), "seed \(seed) round \(round)")
            #expect(counted.textBytes == texts.reduce(0) { $0 + $1.utf8.count })
            #expect(counted.bodyBytes == request.texts.bodyBytes)
            #expect(slices >= request.texts.all.count)
        }
    }

    private static func text(_ random: inout SplitMix64) -> String {
        let runs = (0..<Int.random(in: 1...6, using: &random)).map { _ in
            String(
                repeating: ["ab ", "a", "\n", "\"", "中", "😀b", "\\", " "].randomElement(using: &random) ?? "",
                count: Int.random(in: 1...700, using: &random))
        }
        return runs.joined()
    }

    /// A JSON string; some of it escaped although it need not be.
    private static func literal(_ text: String, _ random: inout SplitMix64) -> String {
        let escapesAll = Int.random(in: 0..<4, using: &random) == 0
        var literal = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": literal += "\\\""
            case "\\": literal += "\\\\"
            case "\n": literal += "\\n"
            case _ where escapesAll:
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16)
                    literal += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            default: literal.unicodeScalars.append(scalar)
            }
        }
        return literal + "\""
    }

    // MARK: Bounds

    /// A million `a` are few tokens by the documented vocabulary; an upstream that counts otherwise must not find the
    /// hold empty.
    @Test func aBoundIsNeverBelowAQuarterOfTheText() {
        var counted = CountedInput()
        (counted.bodyBytes, counted.textBytes, counted.tokens) = (4_000, 4_000, 10)
        #expect(counted.tokensMax == 1_000)
        counted.tokens = 3_000
        #expect(counted.tokensMax == 3_000)
        (counted.bodyBytes, counted.textBytes, counted.tokens) = (1, 1, 1)
        #expect(counted.tokensMax == 1)
    }

    /// hold ≥ charge, where upstream counts by the documented template (cookbook; facts C5), joins the parts of a
    /// message, and renders each tool at most as long as it came.
    @Test func theBoundCoversWhatTheTemplateMakes() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("InputCountingTests.bound, seed \(seed)")
        var random = SplitMix64(state: seed)
        let tokenizer = try Self.tokenizer()
        for round in 0..<50 {
            var messages: [String] = []
            var billed: Int64 = 3
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let parts = (0..<Int.random(in: 1...4, using: &random)).map { _ in Self.text(&random) }
                let role = ["user", "system", "assistant"].randomElement(using: &random) ?? ""
                var members = #""role":"\#(role)""#
                billed += 3 + Int64(tokenizer.count(role)) + Int64(tokenizer.count(parts.joined()))
                if Bool.random(using: &random) {
                    members += #","name":"ab""#
                    billed += 1 + Int64(tokenizer.count("ab"))
                }
                let content =
                    parts.count == 1
                    ? Self.literal(parts[0], &random)
                    : "["
                        + parts.map { #"{"type":"text","text":\#(Self.literal($0, &random))}"# }
                        .joined(separator: ",") + "]"
                messages.append("{\(members),\"content\":\(content)}")
            }
            let tool = #"{"type":"function","function":{"name":"f"}}"#
            billed += 9 + Int64(tool.utf8.count)
            let body =
                #"{"model":"gpt-4o","messages":[\#(messages.joined(separator: ","))],"tools":[\#(tool)]}"#
            let (request, counted, _) = try Self.count(body, as: .chat, tokenizer)
            let bytes = body.utf8.count
            let bound = request.bounds(bodyBytes: bytes, counted: counted, permittedTiers: [.default])
                .inputTokensMax
            #expect(billed <= bound, "seed \(seed) round \(round)")
            // No more than by bytes, and all that was won by counting.
            #expect(bound == Int64(bytes - counted.bodyBytes) + counted.tokensMax)
            #expect(bound <= Int64(bytes))
        }
    }

    @Test func theEstimateIsCountedTokensTheTemplateAndAFifthOfTheRest() throws {
        let tokenizer = try Self.tokenizer()
        let body =
            #"{"model":"gpt-4o","messages":[{"role":"user","content":"abab"},{"role":"user","content":"a"}]}"#
        let (request, counted, _) = try Self.count(body, as: .chat, tokenizer)
        let texts = Int64(tokenizer.count("abab") + tokenizer.count("a"))
        #expect(request.inputEstimate(counted) == texts + 3 + 2 * 3 + 2)
        #expect(request.inputEstimate(CountedInput()) == TokenEstimate.tokens(textBytes: 4 + 4 + 4 + 1))
    }

    /// Exact: eight texts of an embedding are eight counts.
    @Test func embeddingsAreHeldForByTheirTokens() throws {
        let tokenizer = try Self.tokenizer(.cl100kBase)
        let text = String(repeating: "aababbab", count: 200)
        let list = [String](repeating: "\"\(text)\"", count: 8).joined(separator: ",")
        let body = #"{"model":"text-embedding-3-small","input":[\#(list)]}"#
        let (request, counted, _) = try Self.count(body, as: .embeddings, tokenizer)
        #expect(counted.tokens == Int64(8 * tokenizer.count(text)))
        let bound = request.bounds(bodyBytes: body.utf8.count, counted: counted, permittedTiers: [.default])
        #expect(counted.tokens < Int64(counted.bodyBytes), "nothing merges: nothing is tested")
        #expect(
            bound.inputTokensMax == Int64(body.utf8.count - counted.bodyBytes) + counted.tokensMax)
    }
}
