/// Members that metering reads. The raw value is the member's name as errors tell it.
enum InspectSlot: String {
    case none = ""
    /// At the top, of no endpoint that is known here: it may cost something.
    case unknown = "?"
    // At the top, of more than one endpoint.
    case model, stream, store, modalities, tools, prediction
    case serviceTier = "service_tier"
    case streamOptions = "stream_options"
    case includeUsage = "stream_options.include_usage"
    case maxTokens = "max_tokens"
    case maxCompletionTokens = "max_completion_tokens"
    case maxOutputTokens = "max_output_tokens"
    case choices = "n"
    case cacheOptions = "prompt_cache_options"
    case cacheTTL = "prompt_cache_options.ttl"
    case cachePrewarm = "prompt_cache_options.prewarm"
    case comparedResponse = "prompt_cache_options.comparison_response_id"
    case breakpoint = "prompt_cache_breakpoint"
    case breakpointTTL = "prompt_cache_breakpoint.ttl"
    case voiceID = "voice.id"
    case moderation
    case moderationModel = "moderation.model"
    /// Of Responses, embeddings, moderations and speech.
    case input
    /// A template of Responses, a text or texts of completions, a text of images.
    case prompt
    // Chat.
    case messages, audio
    case webSearch = "web_search_options"
    case content = "messages.content"
    case partType = "messages.content.type"
    case image = "messages.content.image_url"
    case file = "messages.content.file"
    case inputAudio = "messages.content.input_audio"
    case soundData = "input_audio.data"
    case earlierAudio = "messages.audio"
    case earlierAudioID = "messages.audio.id"
    case fileID = "messages.content.file.file_id"
    // Responses.
    case maxToolCalls = "max_tool_calls"
    case reasoning
    case reasoningMode = "reasoning.mode"
    case accessPrograms = "access_programs"
    case imageOptions = "image"
    case instructions
    case previousResponse = "previous_response_id"
    case conversation, background
    case promptID = "prompt.id"
    case contextManagement = "context_management"
    case itemType = "input.type"
    case itemRole = "input.role"
    case itemID = "input.id"
    case encryptedContent = "input.encrypted_content"
    case pieceType = "input.content.type"
    case pieceMedia = "input.content"
    case pieceFileID = "input.content.file_id"
    case pieceAudio = "input.content.input_audio"
    case itemTools = "input.tools"
    case toolType = "tools.type"
    case environment = "tools.environment"
    case environmentType = "tools.environment.type"
    case vectorStores = "tools.vector_store_ids"
    case requireApproval = "tools.require_approval"
    // Completions.
    case bestOf = "best_of"
    case suffix, echo
    // Responses.
    case truncation
    // Images.
    case quality, size, svg, complexity
    case partialImages = "partial_images"
    case outputFormat = "output_format"
    // Speech.
    case voice
    case streamFormat = "stream_format"

    /// As errors name it, with dots.
    var name: String { self.rawValue }

    /// What a value must be, for errors; nil: no value of another type could be metered either.
    func expected(by endpoint: InspectedEndpoint) -> String? {
        switch self {
        case .messages, .tools, .itemTools: "an array of objects"
        case .modalities, .vectorStores: "an array of strings"
        case .stream, .store, .includeUsage, .background, .cachePrewarm, .echo: "a boolean"
        case .streamOptions, .cacheOptions, .breakpoint, .audio, .webSearch, .prediction, .inputAudio,
            .earlierAudio,
            .pieceAudio, .environment, .reasoning, .moderation:
            "an object"
        case .maxTokens, .maxCompletionTokens, .maxOutputTokens, .maxToolCalls, .choices, .bestOf,
            .partialImages:
            "an integer"
        case .none, .content, .image, .file, .pieceMedia: "a string or an array"
        case .input: endpoint == .speech ? "a string" : "a string or an array"
        case .prompt:
            endpoint == .responses ? "an object" : endpoint == .images ? "a string" : "a string or an array"
        case .voice: "a string or an object"
        case .conversation, .contextManagement, .svg, .complexity, .accessPrograms, .imageOptions: nil
        case .requireApproval: "a string or an object"
        default: "a string"
        }
    }
}
