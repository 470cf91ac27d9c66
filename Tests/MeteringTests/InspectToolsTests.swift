import Testing

@testable import Metering

/// Tools of the Responses API: what is free, what is billed, and what is refused.
@Suite struct InspectToolsTests {
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

    @Test(arguments: [
        #"{"type":"function","name":"f","parameters":{"type":"object","environment":{"type":"x"}},"strict":true}"#,
        #"{"type":"custom","name":"f"}"#, #"{"type":"local_shell"}"#, #"{"type":"apply_patch"}"#,
        #"{"type":"namespace","name":"n","description":"d","tools":[{"type":"function","name":"f"},{"type":"custom"}]}"#,
        #"{"type":"shell","environment":{"type":"local","skills":[]}}"#,
        #"{"environment":{"type":"local"},"type":"shell"}"#,
    ]) func toolsOfTheClientAreFree(_ tool: String) throws {
        let request = try Self.accepted(tool: tool)
        #expect(!request.loops && request.hostedTools.isEmpty && !request.unboundedInput)
        #expect(request.turns() == 1 && !request.needsToolCallLimit)
    }

    /// (tool, its fee)
    @Test(
        arguments: [
            (#"{"type":"web_search"}"#, .webSearch), (#"{"type":"web_search_2025_08_26"}"#, .webSearch),
            (#"{"type":"web_search_preview"}"#, .webSearchPreview),
            (#"{"type":"web_search_preview_2025_03_11"}"#, .webSearchPreview),
            (#"{"type":"fil\u0065_search","vector_store_ids":["vs"]}"#, .fileSearch),
            (#"{"type":"mcp","server_label":"l","server_url":"https://x"}"#, nil),
            (#"{"type":"computer"}"#, nil),
            (#"{"type":"computer_use_preview","display_width":1}"#, nil), (#"{"type":"tool_search"}"#, nil),
        ] as [(String, ToolKind?)]) func hostedToolsReadTheContextAgain(_ tool: String, _ kind: ToolKind?)
        throws
    {
        let request = try Self.accepted(tool: tool)
        #expect(request.loops && request.unboundedInput && request.needsToolCallLimit)
        #expect(request.hostedTools == (kind.map { [$0] } ?? []))
        let bounds = request.bounds(bodyBytes: 50, permittedTiers: [.default], toolCalls: 4)
        #expect(bounds.turns == 5)
        for any in ToolKind.allCases { #expect(bounds.tools[any] == (any == kind ? 4 : 0)) }
    }

    @Test func theClientsOwnLimitBoundsTheCalls() throws {
        let request = try Self.accepted(#""input":"x","max_tool_calls":2,"tools":[{"type":"web_search"}]"#)
        let bounds = request.bounds(bodyBytes: 50, permittedTiers: [.default])
        #expect(bounds.turns == 3 && bounds.tools[.webSearch] == 2 && !request.needsToolCallLimit)
        #expect(try Self.accepted(#""input":"x","max_tool_calls":0,"tools":[{"type":"mcp"}]"#).turns() == 1)
    }

    /// Tools can be declared in the input, and in tools.
    @Test(arguments: [
        #"{"type":"additional_tools","role":"developer","tools":[{"type":"web_search"}]}"#,
        #"{"type":"tool_search_output","tools":[{"type":"namespace","tools":[{"type":"web_search"}]}]}"#,
    ]) func toolsOfAnItemAreDeclaredToo(_ item: String) throws {
        let members = #""input":[{"role":"user","content":"hi"},\#(item)]"#
        #expect(try Self.accepted(members + #","store":false"#).hostedTools == [.webSearch])
        // Of a response that is kept, a later turn could call them, and what it is held for would not show it.
        Inspection.expectRefusal("{\"model\":\"m\",\(members)}", as: .responses, naming: "input.tools")
    }

    @Test func aListOfToolsHasNoTypes() throws {
        let request = try Self.accepted(
            item:
                #"{"type":"mcp_list_tools","id":"m","server_label":"l","tools":[{"name":"n","input_schema":{"type":"object"}}]}"#
        )
        #expect(!request.loops && !request.unboundedInput)
    }

    /// (members, name of the field at fault)
    @Test(arguments: [
        (#""tools":"x""#, "tools"), (#""tools":[1]"#, "tools"),
        (#""tools":[[]]"#, "tools"), (#""tools":[{"type":1}]"#, "tools.type"),
        (#""tools":[{"type":"code_interpreter","container":{"type":"auto"}}]"#, "tools.type"),
        (#""tools":[{"type":"image_generation"}]"#, "tools.type"),
        (#""tools":[{"type":"shell"}]"#, "tools.environment"),
        (#""tools":[{"type":"programmatic_tool_calling"}]"#, "tools.type"),
        (#""tools":[{"type":"web_search_ultra"}]"#, "tools.type"),
        (#""tools":[{"type":"web_searches"}]"#, "tools.type"),
        (#""tools":[{"type":"new"}]"#, "tools.type"), (#""tools":[{"typ\u0065":"new"}]"#, "tools.type"),
        (#""tools":[{"type":"shell","environment":{"type":"container_auto"}}]"#, "tools.environment.type"),
        (
            #""tools":[{"environment":{"type":"container_reference"},"type":"shell"}]"#,
            "tools.environment.type"
        ),
        (#""tools":[{"type":"shell","environment":{}}]"#, "tools.environment"),
        (#""tools":[{"type":"shell","environment":1}]"#, "tools.environment"),
        (
            #""tools":[{"type":"shell"},{"type":"function","environment":{"type":"local"}}]"#,
            "tools.environment"
        ),
        (#""tools":[{"tools":[{"environment":{"type":"local"}}],"type":"shell"}]"#, "tools.environment"),
        (#""tools":[{"type":"shell","tools":[{"environment":{"type":"local"}}]}]"#, "tools.type"),
        (#""tools":[{"type":"namespace","tools":[{"type":"image_generation"}]}]"#, "tools.type"),
        // What an outer tool says of itself must not be forgotten over an inner one.
        (#""tools":[{"type":"mcp","require_approval":"never","tools":[{}]}]"#, "tools.type"),
        (#""tools":[{"require_approval":"never","tools":[{}],"type":"mcp"}]"#, "tools.type"),
        (#""tools":[{"type":"file_search","vector_store_ids":"vs"}]"#, "tools.vector_store_ids"),
        (#""tools":[{"type":"file_search","vector_store_ids":[1]}]"#, "tools.vector_store_ids"),
    ]) func whatHasAnUnboundedFeeIsRefusedByName(_ members: String, _ field: String) {
        Inspection.expectRefusal("{\"model\":\"m\",\(members)}", as: .responses, naming: field)
    }
}
