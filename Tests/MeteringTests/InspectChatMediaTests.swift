import Testing

@testable import Metering

/// What chat bills besides plain text.
@Suite struct InspectChatMediaTests {
    private static let hello = #""messages":[{"role":"user","content":"hello"}]"#

    private static func accepted(_ members: String, model: String = "gpt-audio") throws -> InspectedRequest {
        try Inspection.inspect(#"{"model":"\#(model)",\#(members),\#(hello)}"#, as: .chat).get()
    }

    private static func accepted(part: String) throws -> InspectedRequest {
        let body =
            #"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi"},\#(part)]}]}"#
        return try Inspection.inspect(body, as: .chat).get()
    }

    @Test(arguments: [
        #""modalities":["text","audio"],"audio":{"voice":"alloy","format":"pcm16"}"#,
        #""modalities":["aud\u0069o"]"#,
        #""audio":{"voice":"alloy"}"#,
    ]) func spokenOutputIsNoticed(_ members: String) throws {
        let request = try Self.accepted(members)
        #expect(request.media == .audioOutput && !request.unboundedInput)
        #expect(request.textBytes == "userhello".utf8.count)
    }

    @Test func aVoiceOfOnesOwnIsAReference() throws {
        #expect(
            try Self.accepted(#""audio":{"voice":{"id":"voice_1"},"format":"wav"}"#).references
                == [StoredReference(kind: .voice, id: "voice_1")])
    }

    @Test func anEarlierReplyIsNotBoundedByItsID() throws {
        let body =
            #"{"model":"m","messages":[{"role":"assistant","audio":{"id":"aud\u0069o_7"}},{"role":"user","content":"x"}]}"#
        let request = try Inspection.inspect(body, as: .chat).get()
        #expect(request.unboundedInput && request.media == .audioInput)
        #expect(request.references == [StoredReference(kind: .audio, id: "audio_7")])
    }

    @Test func imagesAndFilesArePricedAsImages() throws {
        let image = try Self.accepted(part: #"{"type":"image_url","image_url":{"url":"https://x/y.png"}}"#)
        #expect(image.media == .imageInput && image.unboundedInput && image.references.isEmpty)
        let file = try Self.accepted(part: #"{"type":"file","file":{"file_id":"file-1","filename":"a.pdf"}}"#)
        #expect(file.media == .imageInput && file.unboundedInput)
        #expect(file.references == [StoredReference(kind: .file, id: "file-1")])
        #expect(try Self.accepted(part: #"{"type":"file","file":{"file_data":"AAAA"}}"#).textBytes == 6)
    }

    /// Rejected tokens of a prediction are billed as output, and upstream takes no cap beside one.
    @Test func aPredictionCanBeBilledAsOutput() throws {
        let prediction = #"{"type":"content","content":"some code"}"#
        let request = try Self.accepted(#""prediction":\#(prediction)"#)
        #expect(request.extraOutputTokens == Int64(prediction.utf8.count))
        #expect(!request.isClampable && request.textBytes == "contentsome codeuserhello".utf8.count)
        #expect(request.edits(injectUsage: false, outputCap: 9, pinTier: false).isEmpty)
        #expect(request.bounds(bodyBytes: 99, permittedTiers: [.default]).extraOutputTokens == 40)
        #expect(try Self.accepted(#""prediction":null"#).isClampable)
    }

    @Test(arguments: [
        #""prompt_cache_options":{"ttl":"12h"}"#,
        #""prompt_cache_options":{"prewarm":true,"ttl":"12\u0068"}"#,
    ]) func longWritesOfTheRequestAreNoticed(_ members: String) throws {
        #expect(try Self.accepted(members).media == .longWrites)
    }

    /// Each part can have its own lifetime, whatever the request's is.
    @Test func longWritesOfAPartAreNoticed() throws {
        let part = #"{"type":"text","text":"x","prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}}"#
        #expect(try Self.accepted(part: part).media == .longWrites)
        let short = #"{"type":"text","text":"x","prompt_cache_breakpoint":{"mode":"explicit","ttl":"30m"}}"#
        #expect(try Self.accepted(part: short).media == [])
    }

    @Test func prewarmingKeepsTheHoldOfAnAnswer() throws {
        let request = try Self.accepted(#""prompt_cache_options":{"prewarm":true}"#)
        #expect(request.media == [] && request.isClampable && request.outputCap == nil)
    }

    @Test func aSearchIsOneCall() throws {
        for request in [
            try Self.accepted(#""web_search_options":{"user_location":{"type":"approximate"}}"#),
            try Self.accepted(#""n":1"#, model: "gpt-4o-search-preview"),
            try Self.accepted(#""n":1"#, model: "gpt-5-search-api"),
        ] {
            #expect(request.hostedTools == [.webSearchPreview] && request.loops && request.unboundedInput)
            let bounds = request.bounds(bodyBytes: 100, permittedTiers: [.default])
            #expect(
                bounds.turns == 2 && bounds.tools[.webSearchPreview] == 1 && bounds.tools[.webSearch] == 0)
            #expect(request.edits(injectUsage: false, outputCap: nil, pinTier: false).isEmpty)
        }
        for model in ["gpt-4o", "gpt-4o-search", "-search", "--searchable-", "deep-research-1"] {
            #expect(try !Self.accepted(#""web_search_options":null"#, model: model).loops, "\(model)")
        }
    }

    @Test func storingIsNoticed() throws {
        #expect(try Self.accepted(#""store":true"#).stored)
        #expect(try !Self.accepted(#""store":null"#).stored)
    }

    @Test func customToolsAreText() throws {
        let request = try Self.accepted(
            #""tools":[{"type":"custom","custom":{"name":"a"}},{"type":"function"}]"#)
        #expect(!request.loops && request.declaredTools == 2)
        #expect(request.textBytes == "userhello".utf8.count + 4 + 6 + 6 + 4 + 1 + 4 + 8)
    }
}
