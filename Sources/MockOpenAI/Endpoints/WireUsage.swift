/// The `usage` objects of the endpoints besides chat, in OpenAI's order of members.
enum WireUsage {
    enum Shape { case responses, completions, embeddings, images, tokens, transcription }

    /// What stands after `"usage":`, bent by the faults.
    static func object(_ shape: Shape, _ counts: TokenCounts, _ faults: Faults) -> String {
        if faults.contains(.nullUsage) { return "null" }
        func number(_ value: Int) -> String { faults.contains(.stringUsage) ? "\"\(value)\"" : "\(value)" }
        let (input, output) = (number(counts.prompt), number(counts.completion))
        let total = number(counts.prompt &+ counts.completion)
        if faults.contains(.malformedUsage) { return "{\"input_tokens\":\(input),\"output_tokens\":}" }
        switch shape {
        case .responses:
            let written = counts.cacheWrite > 0 ? ",\"cache_write_tokens\":\(number(counts.cacheWrite))" : ""
            return """
                {"input_tokens":\(input),\
                "input_tokens_details":{"cached_tokens":\(number(counts.cached))\(written)},\
                "output_tokens":\(output),\
                "output_tokens_details":{"reasoning_tokens":\(number(counts.reasoning))},\
                "total_tokens":\(total)}
                """
        case .completions:
            return "{\"prompt_tokens\":\(input),\"completion_tokens\":\(output),\"total_tokens\":\(total)}"
        case .embeddings:
            return "{\"prompt_tokens\":\(input),\"total_tokens\":\(total)}"
        case .images:
            let text = number(counts.prompt - counts.inputImage)
            return """
                {"input_tokens":\(input),"input_tokens_details":{"image_tokens":\(number(counts.inputImage)),\
                "text_tokens":\(text)},"output_tokens":\(output),"output_tokens_details":{"image_tokens":\
                \(number(counts.outputImage)),"text_tokens":0},"total_tokens":\(total)}
                """
        case .tokens:
            return "{\"input_tokens\":\(input),\"output_tokens\":\(output),\"total_tokens\":\(total)}"
        case .transcription:
            let text = number(counts.prompt - counts.inputAudio)
            return """
                {"type":"tokens","input_tokens":\(input),"input_token_details":{"text_tokens":\(text),\
                "audio_tokens":\(number(counts.inputAudio))},\
                "output_tokens":\(output),"total_tokens":\(total)}
                """
        }
    }

    /// `,"usage":…`, or nothing where it is left out.
    static func member(_ usage: String?, _ faults: Faults) -> String {
        guard let usage, !faults.contains(.noUsage) else { return "" }
        return ",\"usage\":\(usage)"
    }
}
