import Testing

@testable import Metering

/// Members at the top: known to cost something, known to cost nothing, or refused.
@Suite struct InspectMembersTests {
    private static let subjects: [InspectedEndpoint: String] = [
        .chat: #""messages":[{"role":"user","content":"x"}]"#, .responses: #""input":"x""#,
        .completions: #""prompt":"x""#, .embeddings: #""input":"x""#, .moderations: #""input":"x""#,
        .images: #""prompt":"x""#, .speech: #""input":"x","voice":"alloy""#,
    ]

    private static func body(_ endpoint: InspectedEndpoint, _ member: String) -> String {
        let model = endpoint == .images ? "gpt-image-1.5" : "m"
        return "{\"model\":\"\(model)\",\(Self.subjects[endpoint] ?? ""),\(member)}"
    }

    /// What the SDK documents (openai-python 3.54.0) and costs nothing by itself.
    @Test(
        arguments: [
            (.chat, "frequency_penalty", "0.5"), (.chat, "function_call", "\"auto\""),
            (.chat, "functions", "[]"),
            (.chat, "logit_bias", "{\"1\":2}"), (.chat, "logprobs", "true"),
            (.chat, "metadata", "{\"n\":\"9\"}"),
            (.chat, "parallel_tool_calls", "false"), (.chat, "presence_penalty", "1"),
            (.chat, "prompt_cache_key", "\"k\""), (.chat, "prompt_cache_retention", "\"24h\""),
            (.chat, "reasoning_effort", "\"high\""), (.chat, "response_format", "{\"type\":\"text\"}"),
            (.chat, "safety_identifier", "\"s\""), (.chat, "seed", "1"), (.chat, "stop", "[\"x\"]"),
            (.chat, "temperature", "0"), (.chat, "tool_choice", "\"auto\""), (.chat, "top_logprobs", "2"),
            (.chat, "top_p", "1"), (.chat, "user", "\"u\""), (.chat, "verbosity", "\"low\""),
            (.chat, "moderation", "{\"model\":\"omni-moderation-latest\"}"),
            (.responses, "include", "[\"reasoning.encrypted_content\"]"), (.responses, "metadata", "{}"),
            (.responses, "parallel_tool_calls", "true"), (.responses, "prompt_cache_key", "\"k\""),
            (.responses, "reasoning", "{\"effort\":\"high\",\"summary\":\"auto\",\"mode\":\"standard\"}"),
            (.responses, "moderation", "{\"model\":\"omni-moderation-2024-09-26\",\"policy\":{}}"),
            (.responses, "safety_identifier", "\"s\""), (.responses, "temperature", "0"),
            (.responses, "text", "{\"format\":{\"type\":\"text\"}}"), (.responses, "tool_choice", "\"none\""),
            (.responses, "top_logprobs", "1"), (.responses, "top_p", "1"),
            (.responses, "truncation", "\"auto\""),
            (.responses, "user", "\"u\""), (.responses, "stream_options", "{\"include_obfuscation\":false}"),
            (.completions, "echo", "true"), (.completions, "logprobs", "5"), (.completions, "user", "\"u\""),
            (.embeddings, "dimensions", "9"), (.embeddings, "encoding_format", "\"base64\""),
            (.embeddings, "user", "\"u\""), (.images, "background", "\"opaque\""),
            (.images, "moderation", "\"low\""), (.images, "output_compression", "50"),
            (.images, "response_format", "\"b64_json\""), (.images, "style", "\"vivid\""),
            (.speech, "instructions", "\"loud\""), (.speech, "response_format", "\"opus\""),
            (.speech, "speed", "1.5"),
        ] as [(InspectedEndpoint, String, String)])
    func whatCostsNothingPasses(_ endpoint: InspectedEndpoint, _ name: String, _ value: String) {
        let body = Self.body(endpoint, "\"\(name)\":\(value)")
        if case .failure(let rejection) = Inspection.inspect(body, as: endpoint) {
            Issue.record("\(endpoint) \(name): \(rejection)")
        }
    }

    /// Nobody here knows what it costs.
    @Test(arguments: InspectedEndpoint.allCases.filter { !$0.takesForm })
    func whatIsNotKnownIsRefusedByName(_ endpoint: InspectedEndpoint) throws {
        for value in ["1", "\"x\"", "true", "{}", "[]", "{\"a\":[1]}"] {
            for name in ["deep_think", #"deep\u005fthink"#] {
                Inspection.expectRefusal(
                    Self.body(endpoint, "\"\(name)\":\(value)"), as: endpoint, naming: "deep_think")
            }
        }
        // null is absent.
        _ = try Inspection.inspect(Self.body(endpoint, "\"deep_think\":null"), as: endpoint).get()
    }

    /// What stands elsewhere is no member of the request.
    @Test func onlyTheTopIsJudged() throws {
        _ = try Inspection.inspect(
            Self.body(.chat, #""metadata":{"deep_think":"1"},"tools":[{"type":"function","deep_think":1}]"#),
            as: .chat
        ).get()
    }

    @Test func aNameThatIsNoNameIsNotTold() {
        for name in ["tell me: who", String(repeating: "x", count: 65), "", "ключ"] {
            let rejection = Inspection.rejection(of: Self.body(.chat, "\"\(name)\":1"), as: .chat)
            #expect(rejection?.param == nil && rejection?.message.contains("tell me") == false)
        }
    }

    @Test func aCallerCanKnowMore() throws {
        let body = Self.body(.chat, "\"maxOutputTokens\":5")
        let result = Array(body.utf8).withUnsafeBytes {
            RequestInspector.inspect($0, as: .chat, alsoKnown: ["maxOutputTokens"])
        }
        _ = try result.get()
        Inspection.expectRefusal(body, as: .chat, naming: "maxOutputTokens")
    }

    /// (members, name of the field at fault)
    @Test(arguments: [
        (#""reasoning":{"effort":"low","mode":"pro"}"#, "reasoning.mode"),
        (#""reasoning":{"mode":1}"#, "reasoning.mode"),
        (#""reasoning":{"mo\u0064e":"p\u0072o"}"#, "reasoning.mode"), (#""reasoning":"high""#, "reasoning"),
        (#""access_programs":{"cyber":"daybreak_red"}"#, "access_programs"),
        (#""moderation":{"model":"gpt-6-astra"}"#, "moderation.model"),
        (#""moderation":"low""#, "moderation"),
        (#""image":{"context_compression":"enabled"}"#, "image"),
        (#""background_options":{"completion_window":"2h"}"#, "background_options"),
    ]) func optionsThatChangeThePriceAreRefused(_ members: String, _ field: String) {
        Inspection.expectRefusal(Self.body(.responses, members), as: .responses, naming: field)
    }

    /// `max_tool_calls` counts built-in tools; nothing says that those of a server are among them.
    @Test(arguments: [
        #""never""#, #"{"never":{"tool_names":["a"]}}"#, #"{"always":{"tool_names":["a"]}}"#, #""ask""#,
    ]) func callsOfAServerThatNobodyApprovesAreRefused(_ approval: String) throws {
        for tool in [
            #"{"type":"mcp","server_label":"l","require_approval":\#(approval)}"#,
            #"{"require_approval":\#(approval),"type":"mcp"}"#,
        ] {
            Inspection.expectRefusal(
                Self.body(.responses, "\"tools\":[\(tool)]"), as: .responses, naming: "tools.require_approval"
            )
        }
        // Of a function it means nothing.
        let function = #"{"type":"function","name":"f","require_approval":\#(approval)}"#
        _ = try Inspection.inspect(Self.body(.responses, "\"tools\":[\(function)]"), as: .responses).get()
    }

    @Test func eachApprovedCallIsATurn() throws {
        let approval = #"{"type":"mcp_approval_response","approval_request_id":"a","approve":true}"#
        let body =
            #"{"model":"m","input":[\#(approval),\#(approval)],"max_tool_calls":1,"#
            + #""tools":[{"type":"mcp","require_approval":"always"},{"type":"mcp","require_approval":null}]}"#
        #expect(try Inspection.inspect(body, as: .responses).get().turns() == 4)
    }
}
