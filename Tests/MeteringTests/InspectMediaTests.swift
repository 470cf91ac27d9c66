import Testing

@testable import Metering

/// Images and speech.
@Suite struct InspectMediaTests {
    private static func image(_ members: String = "", model: String = "gpt-image-1.5") throws
        -> InspectedRequest
    {
        let rest = members.isEmpty ? "" : "," + members
        return try Inspection.inspect("{\"model\":\"\(model)\",\"prompt\":\"a cat\"\(rest)}", as: .images)
            .get()
    }

    private static func speech(_ members: String, model: String = "tts-1") throws -> InspectedRequest {
        try Inspection.inspect("{\"model\":\"\(model)\",\"voice\":\"alloy\",\(members)}", as: .speech).get()
    }

    // MARK: Images

    @Test func everythingThatMeteringNeedsOfAnImageIsRead() throws {
        let request = try Self.image(
            #""n":3,"size":"1024x1536","quality":"medium","partial_images":2,"background":"opaque","#
                + #""output_format":"webp","output_compression":50,"moderation":"low","user":"u","svg":null"#)
        #expect(
            !request.stream && request.choices == 3 && request.inputs == 3 && request.media == .imageOutput)
        #expect(request.outputCap == 1584 + 200 && !request.isClampable && request.textBytes == 5)
        #expect(request.endpoint.replyShape == .media)
        #expect(try Self.image(#""n":1,"stream":true,"partial_images":2"#).stream)
        #expect(request.extraOutputTokens == 3 * 1024, "gpt-image-1.5 writes text as well")
        #expect(try Self.image(model: "gpt-image-2").extraOutputTokens == 0)
        let bounds = request.bounds(bodyBytes: 200, permittedTiers: [.default])
        #expect(bounds.inputTokensMax == 600, "every image is billed for its prompt")
        #expect(request.edits(injectUsage: true, outputCap: 5, pinTier: true).isEmpty)
    }

    /// (model, quality, size, tokens); the numbers of OpenAI's guide and calculator.
    @Test(arguments: [
        ("gpt-image-1", "low", "1024x1024", 272), ("gpt-image-1", "high", "1024x1536", 6240),
        ("gpt-image-1.5", "high", "1536x1024", 6208),
        ("gpt-image-1.5-2025-12-16", "medium", "1024x1024", 1056),
        ("gpt-image-1-mini", "low", "1024x1024", 688), ("gpt-image-2", "high", "1024x1024", 7024),
        ("gpt-image-2", "high", "1536x1024", 5488), ("gpt-image-2", "high", "1792x1024", 5063),
        ("gpt-image-2", "high", "3584x2048", 12_329), ("gpt-image-2", "high", "2048x3584", 12_329),
        ("gpt-image-1.5", "auto", "auto", 6240), ("gpt-image-1.5", "low", "auto", 408),
        ("gpt-image-1.5", "auto", "1024x1024", 4160), ("gpt-image-2-2026-04-21", "auto", "auto", 23_719),
    ]) func anImageCostsAtMost(_ model: String, _ quality: String, _ size: String, _ tokens: Int64) throws {
        let request = try Self.image(#""quality":"\#(quality)","size":"\#(size)""#, model: model)
        #expect(request.outputCap == tokens)
    }

    @Test func whatIsAbsentIsTheDearest() throws {
        #expect(try Self.image().outputCap == 6240)
        #expect(
            try Self.image(#""quality":null,"size":null,"n":null,"partial_images":null"#).outputCap == 6240)
    }

    /// No size and quality of gpt-image-2 costs more than `auto` is held for.
    @Test func automaticSizesAreBounded() {
        for quality in ImageTokenBounds.Quality.allCases {
            let auto = ImageTokenBounds.tokens(.second, quality, nil) ?? 0
            for width in stride(from: 16, through: 3840, by: 16) {
                for height in stride(from: 16, through: 3840, by: 16) {
                    guard let size = ImageTokenBounds.Size(apiLiteral: "\(width)x\(height)") else { continue }
                    if let tokens = ImageTokenBounds.tokens(.second, quality, size), tokens > auto {
                        Issue.record("\(width)x\(height) \(quality): \(tokens) > \(auto)")
                    }
                }
            }
        }
    }

    /// (members, name of the field at fault)
    @Test(arguments: [
        (#""n":0"#, "n"), (#""n":11"#, "n"), (#""n":"2""#, "n"), (#""partial_images":4"#, "partial_images"),
        (#""n":2,"stream":true"#, "n"), (#""frame_count":3"#, "frame_count"),
        (#""partial_images":true"#, "partial_images"), (#""quality":"hd""#, "quality"),
        (#""quality":"max""#, "quality"),
        (#""quality":1"#, "quality"), (#""size":"512x512""#, "size"), (#""size":"big""#, "size"),
        (#""size":"x""#, "size"),
        (#""size":"1024x1024x1""#, "size"), (#""size":"-1x+1""#, "size"), (#""size":1024"#, "size"),
        (#""size":"99999999999999999999x1""#, "size"), (#""output_format":"gif""#, "output_format"),
        (#""output_format":"svg""#, "output_format"), (#""svg":{"model":"gpt-6-sol"}"#, "svg"),
        (#""complexity":"high""#, "complexity"), (#""stream":"yes""#, "stream"),
        (#""service_tier":"priority""#, "service_tier"),
    ]) func whatCannotBeMeteredOfAnImageIsRefusedByName(_ members: String, _ field: String) {
        Inspection.expectRefusal(
            "{\"prompt\":\"x\",\"model\":\"gpt-image-1.5\",\(members)}", as: .images, naming: field)
    }

    @Test(arguments: [
        "chatgpt-image-latest", "gpt-image-2.5-flare", "gpt-image-2.6-sunburst", "dall-e-3", "gpt-image-1x",
    ])
    func aModelWithoutPublishedNumbersIsRefused(_ model: String) {
        Inspection.expectRefusal("{\"prompt\":\"x\",\"model\":\"\(model)\"}", as: .images, naming: "model")
    }

    @Test func anImageNeedsAModelAndAPrompt() {
        Inspection.expectRefusal(#"{"prompt":"x"}"#, as: .images, naming: "model")
        Inspection.expectRefusal(#"{"prompt":"x","model":null}"#, as: .images, naming: "model")
        Inspection.expectRefusal(#"{"model":"gpt-image-1.5"}"#, as: .images, naming: "prompt")
        Inspection.expectRefusal(#"{"model":"gpt-image-1.5","prompt":["x"]}"#, as: .images, naming: "prompt")
    }

    @Test(arguments: ["1024x1000", "4096x1024", "3840x1024", "640x640", "3840x3840", "0x0", "1024x0"])
    func sizesThatTheModelDoesNotMakeAreRefused(_ size: String) {
        Inspection.expectRefusal(
            "{\"prompt\":\"x\",\"model\":\"gpt-image-2\",\"size\":\"\(size)\"}", as: .images, naming: "size")
    }

    // MARK: Speech

    /// (literal between the quotes, characters)
    @Test(arguments: [
        ("hello", 5), ("", 0), ("é漢😀", 3), (#"\n\"\\\/"#, 4), (#"\u00e9\ud83d\ude00x"#, 3), ("👨‍👩‍👧", 5),
        (#"e\u0301"#, 2),
    ]) func charactersAreCodePoints(_ literal: String, _ count: Int64) throws {
        let request = try Self.speech("\"input\":\"\(literal)\"")
        #expect(request.characters == count)
        #expect(request.bounds(bodyBytes: 99, permittedTiers: [.default]).charactersMax == count)
    }

    @Test func speechByTheCharacterNeedsNoOutput() throws {
        for model in ["tts-1", "tts-1-hd", "tts-1-1106"] {
            let request = try Self.speech(#""input":"hi""#, model: model)
            #expect(
                request.outputCap == 0 && !request.usageOnlyInEvents && request.media == [] && !request.stream
            )
        }
    }

    @Test func speechByTheTokenIsMeteredInEventsOnly() throws {
        let request = try Self.speech(
            #""input":"hi","instructions":"slow","speed":0.5,"response_format":"pcm""#,
            model: "gpt-4o-mini-tts")
        #expect(request.usageOnlyInEvents && !request.stream && request.media == .audioOutput)
        #expect(request.outputCap == nil && !request.isClampable)
        let events = try Self.speech(#""input":"hi","stream_format":"ss\u0065""#, model: "gpt-4o-mini-tts")
        #expect(events.usageOnlyInEvents && events.stream)
        #expect(try !Self.speech(#""input":"hi","stream_format":"audio""#, model: "gpt-4o-mini-tts").stream)
    }

    @Test func aVoiceOfOnesOwnIsAReference() throws {
        let body = #"{"model":"tts-1","voice":{"id":"voice_9"},"input":"x"}"#
        #expect(
            try Inspection.inspect(body, as: .speech).get().references == [
                StoredReference(kind: .voice, id: "voice_9")
            ])
    }

    /// (members, name of the field at fault)
    @Test(arguments: [
        (#""input":["x"]"#, "input"), (#""input":1"#, "input"), (#""input":null"#, "input"),
        (#""speed":1"#, "input"),
        (#""input":"\#(String(repeating: "x", count: 4097))""#, "input"),
        (#""input":"x","stream_format":"ws""#, "stream_format"),
        (#""input":"x","stream_format":1"#, "stream_format"),
        (#""input":"x","voice":1"#, "voice"), (#""input":"x","voice":{"id":1}"#, "voice.id"),
    ]) func whatCannotBeMeteredOfSpeechIsRefusedByName(_ members: String, _ field: String) {
        Inspection.expectRefusal("{\"model\":\"tts-1\",\(members)}", as: .speech, naming: field)
        #expect(throws: Never.self) {
            try Self.speech("\"input\":\"\(String(repeating: "é", count: 4096))\"")
        }
    }

    @Test func speechNeedsAModel() {
        Inspection.expectRefusal(#"{"input":"x"}"#, as: .speech, naming: "model")
    }
}
