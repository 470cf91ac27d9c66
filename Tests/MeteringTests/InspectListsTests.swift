import Testing

@testable import Metering

/// Legacy completions, embeddings and moderations: endpoints that take lists of texts and of token ids.
@Suite struct InspectListsTests {
    private static func completion(_ members: String) throws -> InspectedRequest {
        try Inspection.inspect("{\"model\":\"davinci-002\",\(members)}", as: .completions).get()
    }

    private static func embedding(_ input: String) throws -> InspectedRequest {
        try Inspection.inspect("{\"model\":\"e\",\"input\":\(input)}", as: .embeddings).get()
    }

    private static func moderation(_ members: String) throws -> InspectedRequest {
        try Inspection.inspect("{\(members)}", as: .moderations).get()
    }

    // MARK: Completions

    /// What the reply repeats is no output.
    @Test func anEchoIsKnown() throws {
        #expect(try Self.completion(#""prompt":"a","echo":true"#).echoes == 1)
        let several = try Self.completion(#""prompt":["a","b"],"echo":true,"n":2,"best_of":5"#)
        #expect(several.echoes == 2 && several.choices == 10)
        for members in [#""prompt":"a","echo":false"#, #""prompt":"a","echo":null"#, #""prompt":"a""#] {
            #expect(try Self.completion(members).echoes == 0)
        }
        Inspection.expectRefusal(
            #"{"model":"m","prompt":"a","echo":"yes"}"#, as: .completions, naming: "echo")
    }

    @Test func everythingThatMeteringNeedsOfACompletionIsRead() throws {
        let request = try Self.completion(
            #""prompt":"hello","max_tokens":7,"n":2,"best_of":3,"stream":true,"suffix":"abc","echo":true,"#
                + #""stream_options":{"include_usage":true},"logit_bias":{"50256":-100},"logprobs":5,"stop":["x"]"#
        )
        #expect(request.endpoint == .completions && request.stream && request.includeUsage)
        #expect(request.outputCap == 7 && request.choices == 3 && request.inputs == 1 && !request.isClampable)
        #expect(request.textBytes == "helloabcx".utf8.count + "50256".utf8.count)
    }

    /// (prompt, prompts in it)
    @Test(arguments: [
        (#""a""#, 1), (#"["a"]"#, 1), (#"["a","b","c"]"#, 3), ("[1,2,3]", 1), ("[[1,2],[3]]", 2),
        ("[[1,2],[]]", 2),
        (#"["a",[1],2]"#, 3), ("null", 1),
    ]) func everyPromptIsCompleted(_ prompt: String, _ count: Int64) throws {
        let request = try Self.completion(#""prompt":\#(prompt),"n":5,"best_of":2"#)
        #expect(request.inputs == count && request.choices == 5 * count)
        #expect(request.bounds(bodyBytes: 99, permittedTiers: [.default]).inputs == count)
    }

    @Test func withoutAPromptThereIsOne() throws {
        let request = try Self.completion(#""n":1"#)
        #expect(request.inputs == 1 && request.choices == 1)
    }

    @Test func tokensAreCountedAsOneEach() throws {
        #expect(TokenEstimate.tokens(textBytes: try Self.completion(#""prompt":[1,50256,7]"#).textBytes) == 3)
        #expect(
            TokenEstimate.tokens(textBytes: try Self.completion(#""prompt":[[1,50256],[7]]"#).textBytes) == 3)
    }

    @Test func withoutACapThereAreSixteenTokens() throws {
        #expect(try Self.completion(#""prompt":"a""#).outputCap == 16)
        #expect(try Self.completion(#""prompt":"a","max_tokens":0"#).outputCap == 0)
        let request = try Self.completion(#""prompt":"a","max_tokens":null"#)
        #expect(request.outputCap == 16 && !request.isClampable)
    }

    /// (members, name of the field at fault)
    @Test(arguments: [
        (#""prompt":1"#, "prompt"), (#""prompt":{}"#, "prompt"), (#""prompt":[]"#, "prompt"),
        (#""prompt":[{}]"#, "prompt"),
        (#""prompt":[null]"#, "prompt"), (#""prompt":[true]"#, "prompt"), (#""prompt":[["a"]]"#, "prompt"),
        (#""prompt":[[[1]]]"#, "prompt"), (#""prompt":[[{}]]"#, "prompt"),
        (#""max_tokens":-1"#, "max_tokens"), (#""max_tokens":1.5"#, "max_tokens"),
        (#""max_tokens":"1""#, "max_tokens"),
        (#""n":0"#, "n"), (#""n":129"#, "n"), (#""best_of":0"#, "best_of"), (#""best_of":21"#, "best_of"),
        (#""best_of":"2""#, "best_of"), (#""stream":1"#, "stream"), (#""suffix":1"#, "suffix"),
        (#""stream_options":{"include_usage":1}"#, "stream_options.include_usage"),
        (#""service_tier":"priority""#, "service_tier"), (#""service_tier":1"#, "service_tier"),
    ]) func whatCannotBeMeteredOfACompletionIsRefusedByName(_ members: String, _ field: String) {
        Inspection.expectRefusal("{\"model\":\"m\",\(members)}", as: .completions, naming: field)
    }

    // MARK: Embeddings

    /// (input, inputs in it)
    @Test(arguments: [
        (#""hello""#, 1), (#"["a","b"]"#, 2), ("[1,2,3,4]", 1), ("[[1,2],[3],[4]]", 3),
    ]) func everyInputIsEmbedded(_ input: String, _ count: Int64) throws {
        let request = try Self.embedding(input)
        #expect(
            request.inputs == count && request.choices == 1 && request.outputCap == nil
                && !request.isClampable)
    }

    /// The API refuses more tokens than these, so nobody is billed for them.
    @Test func theHoldIsBoundedByTheDocumentedLimits() throws {
        let one = try Self.embedding(#""x""#)
        #expect(one.bounds(bodyBytes: 100, permittedTiers: [.default]).inputTokensMax == 100)
        #expect(one.bounds(bodyBytes: 9000, permittedTiers: [.default]).inputTokensMax == 8192)
        let many = try Self.embedding("[" + (0..<2048).map { "\"\($0)\"" }.joined(separator: ",") + "]")
        let bounds = many.bounds(bodyBytes: 9_000_000, permittedTiers: [.default])
        #expect(bounds.inputTokensMax == 300_000)
        let row = PricingTests.row([.default: PricingTests.rates(1, 1, 1, 0)], context: 8191, outputMax: 0)
        #expect(row.inputMax(bounds) == 300_000, "the context clamps each input, not their sum")
    }

    /// (input, name of the field at fault)
    @Test(arguments: [
        "null", "1", "{}", "[]", "[{}]", "[null]", "[true]", #"[["a"]]"#, "[[[1]]]", "[[null]]",
    ])
    func whatCannotBeMeteredOfAnEmbeddingIsRefusedByName(_ input: String) {
        Inspection.expectRefusal("{\"model\":\"m\",\"input\":\(input)}", as: .embeddings, naming: "input")
    }

    @Test func embeddingsNeedAModelAndAtMost2048Inputs() {
        let inputs = [String](repeating: "\"x\"", count: 2049).joined(separator: ",")
        Inspection.expectRefusal("{\"model\":\"m\",\"input\":[\(inputs)]}", as: .embeddings, naming: "input")
        Inspection.expectRefusal(#"{"input":"x"}"#, as: .embeddings, naming: "model")
        Inspection.expectRefusal(#"{"model":"m"}"#, as: .embeddings, naming: "input")
        Inspection.expectRefusal(
            #"{"model":"m","input":"x","service_tier":"flex"}"#, as: .embeddings, naming: "service_tier")
    }

    @Test func theRestOfAnEmbeddingIsFree() throws {
        let body = #"{"input":"x","model":"m","dimensions":256,"encoding_format":"base64","user":"u"}"#
        #expect(try Inspection.inspect(body, as: .embeddings).get().textBytes == 1)
    }

    // MARK: Moderations

    @Test func moderationsNeedNoModel() throws {
        #expect(try Self.moderation(#""input":"x""#).model == "omni-moderation-latest")
        #expect(try Self.moderation(#""input":["x","y"],"model":null"#).model == "omni-moderation-latest")
        #expect(
            try Self.moderation(#""input":"x","model":"omni-moderation-2024-09-26""#).model.hasSuffix("26"))
        Inspection.expectRefusal(#"{"model":"m"}"#, as: .moderations, naming: "input")
        Inspection.expectRefusal(#"{"input":[]}"#, as: .moderations, naming: "input")
        Inspection.expectRefusal(#"{"input":[null]}"#, as: .moderations, naming: "input")
        Inspection.expectRefusal(#"{"input":"x","model":1}"#, as: .moderations, naming: "model")
    }

    @Test func imagesCanBeModerated() throws {
        let request = try Self.moderation(
            #""input":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"https://x/y"}}]"#)
        #expect(
            request.inputs == 2 && request.media == .imageInput && request.unboundedInput
                && request.textBytes == 2)
    }
}
