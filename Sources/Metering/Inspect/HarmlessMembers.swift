/// Members at the top of a request that metering does not read, because whatever they say its cost stays within the
/// bounds: they choose among outputs, name things, or are text whose bytes count (openai-python 3.54.0, `*_params.py`).
///
/// A member that stands neither here nor in `InspectSlot` may be one that costs something: such a request is refused by
/// the name of the member, as OpenAI itself refuses what it does not know. A new harmless member is one line here.
enum HarmlessMembers {
    static func contains(_ name: KeyName, of endpoint: InspectedEndpoint) -> Bool {
        self.shared.contains { name($0) } || self.own(endpoint).contains { name($0) }
    }

    private static let shared: [StaticString] = [
        "metadata", "safety_identifier", "user",
    ]

    /// Of endpoints that sample tokens.
    private static let sampling: [StaticString] = [
        "frequency_penalty", "logit_bias", "logprobs", "presence_penalty", "seed", "stop", "temperature",
        "top_logprobs", "top_p",
    ]
    /// Of `functions` all bytes count. A cache that is kept for 24 hours, as `prompt_cache_retention` can ask, has no price
    /// of its own.
    private static let chat: [StaticString] =
        Self.sampling + [
            "function_call", "functions", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention",
            "reasoning_effort", "response_format", "tool_choice", "verbosity",
        ]
    /// `client_metadata` is what OpenAI's own command line tool sends.
    private static let responses: [StaticString] =
        Self.sampling + [
            "client_metadata", "include", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention",
            "stream_options", "text", "tool_choice",
        ]
    private static let completions: [StaticString] = Self.sampling + ["echo"]
    private static let embeddings: [StaticString] = ["dimensions", "encoding_format"]
    private static let images: [StaticString] = [
        "background", "moderation", "output_compression", "response_format", "style",
    ]
    private static let speech: [StaticString] = ["instructions", "response_format", "speed"]

    private static func own(_ endpoint: InspectedEndpoint) -> [StaticString] {
        switch endpoint {
        case .chat: self.chat
        case .responses: self.responses
        case .completions: self.completions
        case .embeddings: self.embeddings
        case .images: self.images
        case .speech: self.speech
        case .moderations, .transcriptions, .translations: []
        }
    }
}
