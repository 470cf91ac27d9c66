import Foundation
import Testing

@testable import Metering

/// Edits of random bodies: the same document with the wanted members, each of them once.
@Suite struct InspectEditsTests {
    @Test func onlyWhatTheEndpointKnowsIsEdited() throws {
        func edited(_ body: String, _ endpoint: InspectedEndpoint) throws -> String {
            let request = try Inspection.inspect(body, as: endpoint).get()
            return Inspection.applied(
                request.edits(injectUsage: true, outputCap: 9, toolCalls: 7, pinTier: true), to: body)
        }
        #expect(
            try edited(#"{"model":"m","input":"x"}"#, .responses)
                == #"{"max_output_tokens":9,"service_tier":"default","model":"m","input":"x"}"#)
        #expect(
            try edited(#"{"model":"m","tools":[{"type":"mcp"}],"max_tool_calls":null}"#, .responses)
                == #"{"max_output_tokens":9,"service_tier":"default","model":"m","tools":[{"type":"mcp"}],"max_tool_calls":7}"#
        )
        #expect(
            try edited(#"{"model":"m","prompt":{"id":"p"}}"#, .responses)
                == #"{"max_output_tokens":9,"max_tool_calls":7,"service_tier":"default","model":"m","prompt":{"id":"p"}}"#
        )
        #expect(
            try edited(#"{"model":"m","prompt":"x"}"#, .completions)
                == #"{"stream_options":{"include_usage":true},"model":"m","prompt":"x"}"#)
        for (endpoint, body) in [
            (InspectedEndpoint.embeddings, #"{"model":"m","input":"x"}"#), (.moderations, #"{"input":"x"}"#),
            (.images, #"{"model":"gpt-image-2","prompt":"x"}"#), (.speech, #"{"model":"tts-1","input":"x"}"#),
        ] {
            #expect(try edited(body, endpoint) == body)
        }
    }

    /// Whether upstream takes null for 16 is not certain; the number is.
    @Test func aCompletionsNullCapIsSpelledOut() throws {
        let body = #"{"model":"m","max_tokens": null }"#
        let request = try Inspection.inspect(body, as: .completions).get()
        let edits = request.edits(injectUsage: false, outputCap: nil, pinTier: false)
        #expect(Inspection.applied(edits, to: body) == #"{"model":"m","max_tokens": 16 }"#)
    }

    @Test func randomBodiesKeepTheirMembersAndGetTheWantedOnes() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("InspectEditsTests seed \(seed)")
        var dice = BodyDice(seed: seed)
        for round in 0..<6_000 {
            let endpoint: InspectedEndpoint = dice.pick([.chat, .responses, .completions])
            let body = dice.body(endpoint)
            let note = Comment("seed \(seed) round \(round): \(body)")
            guard case .success(let before) = Inspection.inspect(body, as: endpoint) else {
                Issue.record("refused \(note)")
                return
            }
            let text = Inspection.applied(
                before.edits(injectUsage: true, outputCap: 77, toolCalls: 5, pinTier: true), to: body)
            // A member that stood there twice would be refused as a duplicate.
            guard case .success(let after) = Inspection.inspect(text, as: endpoint) else {
                Issue.record("not accepted after its edits: \(text) \(note)")
                return
            }
            #expect(after.includeUsage == (endpoint.hasUsageOption || before.includeUsage), note)
            #expect(after.outputCap == (before.isClampable ? 77 : before.outputCap), note)
            #expect(after.maxToolCalls == (before.needsToolCallLimit ? 5 : before.maxToolCalls), note)
            if endpoint.hasServiceTier, before.serviceTier == .absent || before.serviceTier == .auto {
                #expect(after.serviceTier == .named(.default), note)
            } else {
                #expect(after.serviceTier == before.serviceTier, note)
            }
            try Self.expectRestIsKept(from: body, to: text, note)
        }
    }

    /// Bodies with everything in them that the inspector reads, to be broken.
    private static let rich: [(InspectedEndpoint, String)] = [
        (
            .chat,
            #"{"model":"m","n":2,"tools":[{"type":"custom"}],"audio":{"voice":{"id":"v"}},"modalities":["audio"],"#
                + #""stream_options":{"include_usage":false},"service_tier":"auto","max_completion_tokens":null,"#
                + #""prediction":{"content":"x"},"prompt_cache_options":{"ttl":"12h"},"messages":[{"audio":{"id":"a"},"#
                + #""content":[{"type":"file","file":{"file_id":"f"}},{"input_audio":{}},{"image_url":"u"}]}]}"#
        ),
        (
            .responses,
            #"{"model":"m","tools":[{"type":"shell","environment":{"type":"local"}},{"type":"web_search"}],"#
                + #""max_tool_calls":null,"max_output_tokens":null,"service_tier":null,"prompt":{"id":"p"},"#
                + #""input":[{"id":"i"},{"role":"user","content":[{"type":"input_image","file_id":"f"}]},"#
                + #"{"type":"additional_tools","tools":[{"type":"file_search","vector_store_ids":["v"]}]}],"store":false}"#
        ),
        (
            .completions,
            #"{"model":"m","prompt":["a",[1,2],[3]],"max_tokens":null,"n":2,"best_of":3,"stream_options":{}}"#
        ),
        (.embeddings, #"{"model":"m","input":[[1,2],[3]],"dimensions":8}"#),
        (.moderations, #"{"input":[{"type":"image_url","image_url":{"url":"u"}},"x"]}"#),
        (
            .images,
            #"{"model":"gpt-image-2","prompt":"a","n":3,"size":"1024x1024","quality":"low","partial_images":2}"#
        ),
        (
            .speech,
            #"{"model":"tts-1","input":"\u00e9\ud83d\ude00","voice":{"id":"v"},"stream_format":"sse"}"#
        ),
    ]

    /// Never a crash; and what passes is what another parser takes, before and after its edits.
    @Test func brokenBodiesOfEveryEndpointAreRefusedOrStayGood() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("InspectEditsTests.broken seed \(seed)")
        var dice = SplitMix64(state: seed)
        var accepted = 0
        for round in 0..<15_000 {
            let (endpoint, body) = Self.rich[round % Self.rich.count]
            let bytes = Self.broken(Array(body.utf8), using: &dice)
            guard
                case .success(let request) = bytes.withUnsafeBytes({
                    RequestInspector.inspect($0, as: endpoint)
                })
            else { continue }
            accepted += 1
            let text = String(decoding: bytes, as: UTF8.self)
            let bounds = request.bounds(bodyBytes: bytes.count, permittedTiers: [.default])
            #expect(bounds.choices >= 1 && bounds.turns >= 1 && bounds.inputs >= 1)
            let after = Inspection.applied(
                request.edits(injectUsage: true, outputCap: 3, pinTier: true), to: text)
            for good in [text, after] where (try? JSONSerialization.jsonObject(with: Data(good.utf8))) == nil
            {
                Issue.record("seed \(seed) round \(round): \(good)")
                return
            }
            if case .failure(let rejection) = Inspection.inspect(after, as: endpoint) {
                Issue.record("seed \(seed) round \(round): \(rejection.message) after edits: \(after)")
                return
            }
        }
        #expect(accepted > 500, "the test has teeth only if some are good")
    }

    private static func broken(_ bytes: [UInt8], using dice: inout SplitMix64) -> [UInt8] {
        var bytes = bytes
        let pieces = [
            "null", "1", "\"x\"", "{}", "[]", "true", "{", "]", ",", "\"", "[[", "0", "-", "\\u0065",
        ]
        for _ in 0..<Int.random(in: 0...2, using: &dice) {
            let at = Int.random(in: 0..<bytes.count, using: &dice)
            let end = min(bytes.count, at + Int.random(in: 0...6, using: &dice))
            bytes.replaceSubrange(at..<end, with: Array((pieces.randomElement(using: &dice) ?? "").utf8))
        }
        return bytes
    }

    private static func expectRestIsKept(from before: String, to after: String, _ note: Comment) throws {
        func rest(_ text: String) throws -> NSDictionary {
            let object = try JSONSerialization.jsonObject(with: Data(text.utf8))
            var members = try #require(object as? [String: Any])
            for name in [
                "max_completion_tokens", "max_output_tokens", "max_tokens", "max_tool_calls", "service_tier",
            ] {
                members[name] = nil
            }
            var options = members["stream_options"] as? [String: Any] ?? [:]
            options["include_usage"] = nil
            members["stream_options"] = options
            return members as NSDictionary
        }
        #expect(try rest(before) == rest(after), note)
    }
}
