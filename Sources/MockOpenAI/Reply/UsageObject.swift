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
        out.writeStaticString(
            pretty
                ? """
                ,\n      "audio_tokens": 0\n    },\n    "completion_tokens_details": {\n      \
                "reasoning_tokens": 
                """
                : ",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":")
        number(counts.reasoning, &out)
        out.writeStaticString(
            pretty
                ? """
                ,\n      "audio_tokens": 0,\n      "accepted_prediction_tokens": 0,\n      \
                "rejected_prediction_tokens": 0\n    }\n  }
                """
                : ",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}")
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
