import Testing

@testable import Metering

@Suite struct InspectResponsesTests {
    private static func inspect(_ members: String) -> Result<InspectedRequest, RequestRejection> {
        Inspection.inspect("{\"model\":\"gpt-6-luna\",\(members)}", as: .responses)
    }

    private static func accepted(_ members: String) throws -> InspectedRequest {
        try self.inspect(members).get()
    }

    private static func accepted(item: String) throws -> InspectedRequest {
        try self.accepted(#""input":[{"role":"user","content":"hi"},\#(item)]"#)
    }

    private static func accepted(tool: String) throws -> InspectedRequest {
        try self.accepted(#""input":"hi","tools":[\#(tool)]"#)
    }

    @Test func everythingThatMeteringNeedsIsRead() throws {
        let request = try Self.accepted(
            #""input":"hello","instructions":"be brief","stream":true,"max_output_tokens":99,"max_tool_calls":3,"#
                + #""service_tier":"ultrafast","store":false,"truncation":"auto","metadata":{},"background":false,"#
                + #""prompt_cache_options":{"ttl":"12h"},"text":{"format":{"type":"text"}},"reasoning":{"effort":"low"}"#
        )
        #expect(request.endpoint == .responses && request.model == "gpt-6-luna" && request.stream)
        #expect(request.outputCap == 99 && request.maxToolCalls == 3 && request.choices == 1)
        #expect(request.serviceTier == .named(.ultrafast) && !request.stored && request.media == .longWrites)
        #expect(
            !request.unboundedInput && !request.loops && !request.isClampable && request.references.isEmpty)
    }

    @Test func nullIsAbsentForOptionalMembers() throws {
        let request = try Self.accepted(
            #""input":"x","stream":null,"max_output_tokens":null,"max_tool_calls":null,"tools":null,"store":null,"#
                + #""service_tier":null,"background":null,"conversation":null,"previous_response_id":null,"#
                + #""prompt":null,"context_management":null,"prompt_cache_options":null,"instructions":null"#)
        #expect(
            !request.stream && request.isClampable && request.maxToolCalls == nil && !request.unboundedInput)
        #expect(request.stored, "the API stores unless it is told not to")
        #expect(request.serviceTier == .absent && request.references.isEmpty)
    }

    @Test func textCounts() throws {
        #expect(try Self.accepted(#""input":"hello","instructions":"abc""#).textBytes == 8)
        #expect(
            try Self.accepted(#""input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]"#)
                .textBytes
                == "userhi".utf8.count)
    }

    // MARK: Input

    /// The bytes of these are all there is of them.
    @Test(arguments: [
        #"{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[]}]}"#,
        #"{"role":"user","content":[{"type":"refusal","refusal":"no"}]}"#,
        #"{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}"#,
        #"{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"4"}]}"#,
        #"{"type":"custom_tool_call","call_id":"c","name":"f","input":"x"}"#,
        #"{"type":"custom_tool_call_output","call_id":"c","output":"x"}"#,
        #"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"s"}],"encrypted_content":"gAAA"}"#,
        #"{"type":"apply_patch_call","call_id":"c","operation":{"type":"update_file","path":"a","diff":"d"}}"#,
        #"{"type":"shell_call_output","call_id":"c","output":[{"stdout":"a","stderr":"","outcome":{"type":"timeout"}}]}"#,
        #"{"type":"configuration_update","reasoning":{"effort":"high"}}"#,
    ]) func wholeItemsAreBoundedByTheirBytes(_ item: String) throws {
        let request = try Self.accepted(item: item)
        #expect(!request.unboundedInput && request.media == [] && request.references.isEmpty)
    }

    /// (item, references)
    @Test(arguments: [
        (#"{"type":"item_reference","id":"msg_1"}"#, [StoredReference(kind: .item, id: "msg_1")]),
        (#"{"id":"msg_2"}"#, [StoredReference(kind: .item, id: "msg_2")]),
        (#"{"id":"msg_3","type":null}"#, [StoredReference(kind: .item, id: "msg_3")]),
        (#"{"type":"reasoning","id":"rs_1","summary":[]}"#, [StoredReference(kind: .item, id: "rs_1")]),
        (
            #"{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":null}"#,
            [StoredReference(kind: .item, id: "rs_2")]
        ),
        (#"{"type":"compaction","encrypted_content":"gAAA"}"#, []),
        (#"{"type":"web_search_call","id":"ws_1","action":{}}"#, [StoredReference(kind: .item, id: "ws_1")]),
        (
            #"{"type":"image_generation_call","id":"ig_1","result":null}"#,
            [StoredReference(kind: .item, id: "ig_1")]
        ),
        (#"{"type":"something_new"}"#, []),
    ]) func itemsThatStandForMoreAreNot(_ item: String, _ references: [StoredReference]) throws {
        let request = try Self.accepted(item: item)
        #expect(request.unboundedInput && request.references == references)
        let media = request.bounds(bodyBytes: 9, permittedTiers: [.default]).media
        #expect(media.isSuperset(of: [.audioInput, .imageInput]), "nobody knows what it is")
    }

    /// (content part, references)
    @Test(arguments: [
        (#"{"type":"input_image","image_url":"data:image/png;base64,AAAA","detail":"low"}"#, []),
        (#"{"type":"input_image","file_id":"file-1"}"#, [StoredReference(kind: .file, id: "file-1")]),
        (#"{"type":"input_file","file_id":"file-2"}"#, [StoredReference(kind: .file, id: "file-2")]),
        (#"{"type":"input_file","file_url":"https://x/y.pdf"}"#, []),
        (#"{"type":"input_file","file_data":"AAAA","filename":"a.pdf"}"#, []),
        (#"{"typ\u0065":"input_imag\u0065"}"#, []), (#"{"image_url":{"url":"https://x/y"}}"#, []),
        (#"{"type":"input_video","video_url":"https://x/y"}"#, []),
    ]) func mediaAreNotBoundedByTheirBytes(_ part: String, _ references: [StoredReference]) throws {
        for item in [
            #"{"role":"user","content":[\#(part)]}"#,
            #"{"type":"function_call_output","call_id":"c","output":[\#(part)]}"#,
            #"{"type":"new","x":{"y":[[\#(part)]]}}"#,
        ] {
            let request = try Self.accepted(item: item)
            #expect(request.unboundedInput && request.media.contains(.imageInput), "\(item)")
            #expect(request.references == references, "\(item)")
        }
    }

    /// However deep the walk goes, it knows where it is when it comes back.
    @Test func anImageIsFoundAtAnyDepth() throws {
        for depth in 1...60 {
            let opening = String(repeating: "{\"x\":[", count: depth)
            let closing = String(repeating: "]}", count: depth)
            for part in [#"{"type":"input_image"}"#, #"{"image_url":[[["a"]]]}"#] {
                let request = try Self.accepted(
                    #""input":[{"type":"message","x":\#(opening)\#(part)\#(closing)}],"tools":[{"type":"mcp"}],"#
                        + #""max_output_tokens":7"#)
                #expect(
                    request.media == .imageInput && request.loops && request.outputCap == 7, "depth \(depth)")
            }
        }
    }

    @Test func aScreenshotIsAnImage() throws {
        let request = try Self.accepted(
            item:
                #"{"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","image_url":"x"}}"#
        )
        #expect(request.unboundedInput && request.media == .imageInput)
    }

    @Test func spokenInputIsBoundedByItsBytes() throws {
        let request = try Self.accepted(
            item:
                #"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}]}"#
        )
        #expect(request.media == .audioInput && request.unboundedInput, "it cannot be measured")
    }

    @Test func longWritesOfAPartAreNoticed() throws {
        let request = try Self.accepted(
            item:
                #"{"role":"user","content":[{"type":"input_text","text":"x","prompt_cache_breakpoint":{"ttl":"12h"}}]}"#
        )
        #expect(request.media == .longWrites)
    }

    @Test func storedObjectsAreReferences() throws {
        let earlier = try Self.accepted(#""input":"x","previous_response_id":"resp_\u0031""#)
        #expect(earlier.earlier?.responseID == "resp_1" && earlier.awaitsOwner && earlier.references == [])
        let compared = try Self.accepted(
            #""input":"x","prompt_cache_options":{"comparison_response_id":"resp_2"}"#)
        #expect(
            !compared.unboundedInput
                && compared.references == [StoredReference(kind: .response, id: "resp_2")])
        let search = try Self.accepted(tool: #"{"type":"file_search","vector_store_ids":["vs_1","vs_2"]}"#)
        #expect(
            search.references == [
                StoredReference(kind: .vectorStore, id: "vs_1"),
                StoredReference(kind: .vectorStore, id: "vs_2"),
            ])
    }

    /// Every reference is looked up, so a body full of them must not be a flood.
    @Test func referencesAreLimited() throws {
        func input(_ count: Int) -> String {
            let items = (0..<count).map { "{\"id\":\"msg_\($0)\"}" }.joined(separator: ",")
            return "{\"model\":\"m\",\"input\":[\(items)]}"
        }
        #expect(try Inspection.inspect(input(1000), as: .responses).get().references.count == 1000)
        Inspection.expectRefusal(input(1001), as: .responses, naming: "input.id")
    }

    /// A template has tools of its own, which nobody here sees.
    @Test func aTemplateIsHeldForEveryTool() throws {
        let request = try Self.accepted(
            #""prompt":{"id":"pmpt_1","version":"2","variables":{"a":"text","b":{"type":"input_file","file_id":"f"}}}"#
        )
        #expect(request.unboundedInput && request.loops && request.hostedTools == Set(ToolKind.allCases))
        #expect(
            request.references == [
                StoredReference(kind: .prompt, id: "pmpt_1"), StoredReference(kind: .file, id: "f"),
            ])
    }

    // MARK: Refusals

    /// (members, name of the field at fault)
    @Test(arguments: [
        (#""input":1"#, "input"), (#""input":{}"#, "input"), (#""input":["hi"]"#, "input"),
        (#""input":[[]]"#, "input"),
        (#""input":[{"type":1}]"#, "input.type"), (#""input":[{"role":1}]"#, "input.role"),
        (#""input":[{"id":1}]"#, "input.id"),
        (#""input":[{"encrypted_content":1}]"#, "input.encrypted_content"),
        (#""input":[{"type":"compaction_trigger"}]"#, "input.type"),
        (#""input":[{"tools":"x"}]"#, "input.tools"),
        (#""input":[{"content":[{"type":{}}]}]"#, "input.content.type"),
        (#""input":[{"content":[{"file_id":1}]}]"#, "input.content.file_id"),
        (#""input":[{"content":[{"image_url":1}]}]"#, "input.content"),
        (#""input":[{"content":[{"input_audio":"x"}]}]"#, "input.content.input_audio"),
        (#""input":[{"content":[{"prompt_cache_breakpoint":{"ttl":"1h"}}]}]"#, "prompt_cache_breakpoint.ttl"),
        (#""input":[{"tools":[{"type":"code_interpreter"}]}]"#, "tools.type"),
        (#""instructions":["x"]"#, "instructions"), (#""previous_response_id":1"#, "previous_response_id"),
        (#""conversation":"conv_1""#, "conversation"), (#""conversation":{"id":"conv_1"}"#, "conversation"),
        (#""background":true"#, "background"), (#""background":"true""#, "background"),
        (#""prompt":"pmpt_1""#, "prompt"), (#""prompt":{"id":1}"#, "prompt.id"), (#""stream":1"#, "stream"),
        (#""store":1"#, "store"), (#""max_output_tokens":0"#, "max_output_tokens"),
        (#""max_output_tokens":1.0"#, "max_output_tokens"),
        (#""max_output_tokens":"9""#, "max_output_tokens"),
        (#""max_tool_calls":-1"#, "max_tool_calls"), (#""max_tool_calls":1000001"#, "max_tool_calls"),
        (#""max_tool_calls":9223372036854775807"#, "max_tool_calls"),
        (#""max_tool_calls":[1]"#, "max_tool_calls"),
        (#""context_management":[{"type":"compaction"}]"#, "context_management"),
        (#""context_management":{}"#, "context_management"),
        (#""context_management":"x""#, "context_management"),
        (#""service_tier":"scale""#, "service_tier"), (#""service_tier":1"#, "service_tier"),
        (#""modalities":["video"]"#, "modalities"),
    ]) func whatCannotBeMeteredIsRefusedByName(_ members: String, _ field: String) {
        Inspection.expectRefusal("{\"model\":\"m\",\(members)}", as: .responses, naming: field)
    }

    @Test func theModelIsNeededEvenWithATemplate() {
        Inspection.expectRefusal(#"{"prompt":{"id":"p"}}"#, as: .responses, naming: "model")
    }

    /// Spec examples show more tokens than a short body has bytes: the API adds its own.
    @Test func aShortBodyIsHeldForWhatTheAPIAdds() throws {
        let body = #"{"model":"o3-mini","input":"hi"}"#
        let request = try Inspection.inspect(body, as: .responses).get()
        let bounds = request.bounds(bodyBytes: body.utf8.count, permittedTiers: [.default])
        #expect(bounds.inputTokensMax == Int64(body.utf8.count) + 64)
        let tools = try Self.accepted(tool: #"{"type":"function","name":"f"},{"type":"function","name":"g"}"#)
        #expect(tools.bounds(bodyBytes: 100, permittedTiers: [.default]).inputTokensMax == 100 + 64 + 512)
    }
}
