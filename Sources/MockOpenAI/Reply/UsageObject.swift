import NIOCore

/// Writes the `usage` object of chat completions, in the order in which OpenAI writes it.
struct UsageObject {
    let counts: TokenCounts
    let faults: Faults

    /// What stands after `"usage":`, `separator` between key and value (`:` in streams, `: ` in bodies).
    func write(into out: inout ByteBuffer, pretty: Bool) {
        if faults.contains(.nullUsage) {
            out.writeStaticString("null")
            return
        }
        if faults.contains(.malformedUsage) {
            out.writeStaticString("{\"prompt_tokens\":")
            out.writeDecimal(counts.prompt)
            out.writeStaticString(",\"completion_tokens\":}")
            return
        }
        out.writeStaticString(pretty ? "{\n    \"prompt_tokens\": " : "{\"prompt_tokens\":")
        number(counts.prompt, &out)
        out.writeStaticString(pretty ? ",\n    \"completion_tokens\": " : ",\"completion_tokens\":")
        number(counts.completion, &out)
        out.writeStaticString(pretty ? ",\n    \"total_tokens\": " : ",\"total_tokens\":")
        number(counts.prompt + counts.completion, &out)
        out.writeStaticString(
            pretty
                ? ",\n    \"prompt_tokens_details\": {\n      \"cached_tokens\": "
                : ",\"prompt_tokens_details\":{\"cached_tokens\":")
        number(counts.cached, &out)
        if counts.cacheWrite > 0 { member("cache_write_tokens", counts.cacheWrite, pretty, &out) }
        member("audio_tokens", counts.inputAudio, pretty, &out)
        out.writeStaticString(
            pretty
                ? "\n    },\n    \"completion_tokens_details\": {\n      \"reasoning_tokens\": "
                : "},\"completion_tokens_details\":{\"reasoning_tokens\":")
        number(counts.reasoning, &out)
        member("audio_tokens", counts.outputAudio, pretty, &out)
        member("accepted_prediction_tokens", counts.accepted, pretty, &out)
        member("rejected_prediction_tokens", counts.rejected, pretty, &out)
        out.writeStaticString(pretty ? "\n    }\n  }" : "}}")
    }

    private func member(_ name: StaticString, _ value: Int, _ pretty: Bool, _ out: inout ByteBuffer) {
        out.writeStaticString(pretty ? ",\n      \"" : ",\"")
        out.writeStaticString(name)
        out.writeStaticString(pretty ? "\": " : "\":")
        number(value, &out)
    }

    /// The same object for the log: compact, or nil when the wire had none that is JSON.
    func logged() -> ByteBuffer? {
        guard faults.isDisjoint(with: [.nullUsage, .malformedUsage, .noUsage]) else { return nil }
        var out = ByteBuffer()
        write(into: &out, pretty: false)
        return out
    }

    private func number(_ value: Int, _ out: inout ByteBuffer) {
        if faults.contains(.stringUsage) {
            out.writeStaticString("\"")
            out.writeDecimal(value)
            out.writeStaticString("\"")
        } else {
            out.writeDecimal(value)
        }
    }
}
