import NIOCore

/// The body of a reply without `stream`: indented by two blanks, as OpenAI's servers write it.
enum CompletionBody {
    static func write(_ plan: ReplyPlan, into out: inout ByteBuffer) {
        if plan.faults.contains(.byteOrderMark) { out.writeBytes([0xEF, 0xBB, 0xBF] as [UInt8]) }
        out.writeStaticString("{\n  \"id\": \"chatcmpl-")
        out.writeHex(plan.identity.0)
        out.writeHex(plan.identity.1, digits: 13)
        out.writeStaticString("\",\n  \"object\": \"chat.completion\",\n  \"created\": ")
        out.writeDecimal(plan.created)
        out.writeStaticString(",\n  \"model\": \"")
        out.writeImmutableBuffer(plan.model)
        out.writeStaticString("\",\n  \"choices\": [\n")
        for index in 0..<plan.choices {
            writeChoice(index, plan, &out)
            out.writeStaticString(index + 1 < plan.choices ? ",\n" : "\n")
        }
        out.writeStaticString("  ],\n")
        if plan.faults.contains(.malformed) {
            // Cut off in the middle of a key: no parser can take this for JSON.
            out.writeStaticString("  \"usage\": {\n    \"prompt_tok")
            return
        }
        if !plan.faults.contains(.noUsage) {
            out.writeStaticString("  \"usage\": ")
            UsageObject(counts: plan.reported, faults: plan.faults).write(into: &out, pretty: true)
            out.writeStaticString(",\n")
        }
        out.writeStaticString("  \"service_tier\": \"")
        out.writeImmutableBuffer(plan.tier)
        out.writeStaticString("\",\n  \"system_fingerprint\": \"fp_")
        out.writeHex(plan.seed, digits: 10)
        out.writeStaticString("\"\n}\n")
    }

    private static func writeChoice(_ index: Int, _ plan: ReplyPlan, _ out: inout ByteBuffer) {
        out.writeStaticString("    {\n      \"index\": ")
        out.writeDecimal(index)
        out.writeStaticString(
            ",\n      \"message\": {\n        \"role\": \"assistant\",\n        \"content\": ")
        if let tool = plan.toolName {
            writeToolCall(tool, index, plan, &out)
        } else if plan.audioPerChoice > 0 {
            out.writeStaticString("null,\n        \"audio\": {\n          \"id\": \"audio_")
            out.writeHex(plan.identity.1 ^ UInt64(index))
            out.writeStaticString(
                "\",\n          \"data\": \"AAAA\",\n          \"expires_at\": 1750003600,\n          ")
            out.writeStaticString("\"transcript\": \"")
            writeText(index, plan, &out)
            out.writeStaticString("\"\n        }")
        } else {
            out.writeStaticString("\"")
            writeText(index, plan, &out)
            out.writeStaticString("\"")
        }
        out.writeStaticString(",\n        \"refusal\": null,\n        \"annotations\": ")
        if plan.searches { writeAnnotations(&out) } else { out.writeStaticString("[]") }
        out.writeStaticString("\n      },\n      \"logprobs\": null,\n      \"finish_reason\": \"")
        out.writeStaticString(plan.finish.word)
        out.writeStaticString("\"\n    }")
    }

    private static func writeText(_ index: Int, _ plan: ReplyPlan, _ out: inout ByteBuffer) {
        if let pieces = plan.structured {
            out.writeString(SchemaFiller.escaped(pieces.prefix(plan.visiblePerChoice).joined()))
        } else {
            let text = plan.behaviour.nastyText ? ReplyText.nasty : ReplyText.plain
            text.write(
                plan.visiblePerChoice, from: index * plan.visiblePerChoice, seed: plan.seed, into: &out)
        }
        if plan.faults.contains(.big) { ChunkFrames.writeBigText(into: &out) }
    }

    /// What a search adds to a message.
    static func writeAnnotations(_ out: inout ByteBuffer) {
        out.writeStaticString(
            """
            [{"type":"url_citation","url_citation":{"start_index":0,"end_index":3,"title":"Mock",\
            "url":"https://example.com/mock"}}]
            """)
    }

    private static func writeToolCall(
        _ tool: ByteBuffer, _ index: Int, _ plan: ReplyPlan, _ out: inout ByteBuffer
    ) {
        out.writeStaticString("null,\n        \"tool_calls\": [\n          {\n            \"id\": \"call_")
        out.writeHex(plan.identity.1 ^ UInt64(index))
        out.writeStaticString(
            """
            ",\n            "type": "function",\n            "function": {\n              \
            "name": "
            """
        )
        out.writeImmutableBuffer(tool)
        out.writeStaticString("\",\n              \"arguments\": \"")
        for piece in 0..<plan.visiblePerChoice {
            ReplyText.writeArgument(
                piece, of: plan.visiblePerChoice, truncated: plan.finish == .length, into: &out)
        }
        out.writeStaticString("\"\n            }\n          }\n        ]")
    }
}

extension ReplyPlan.Finish {
    var word: StaticString {
        switch self {
        case .stop: "stop"
        case .length: "length"
        case .toolCalls: "tool_calls"
        }
    }
}
