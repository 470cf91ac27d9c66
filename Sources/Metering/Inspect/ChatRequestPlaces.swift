/// Where in the document the walk is, as far as metering cares.
enum ChatRequestScope: UInt8 {
    /// Outside of everything.
    case document
    case top, streamOptions, messages, message, content, part, modalities, cacheOptions
    /// Below an image, file or audio: its strings are not text.
    case media
    case other
}

/// The scopes of the open containers. Everything below `other` and `media` is of the same scope, so the path
/// to it is short and the rest is a count.
struct ChatRequestScopes {
    /// Innermost in the low byte. The longest path is top, messages, message, content, part, media.
    private var path: UInt64 = 0
    private var below = 0

    var current: ChatRequestScope {
        ChatRequestScope(rawValue: UInt8(truncatingIfNeeded: self.path)) ?? .document
    }

    mutating func push(_ scope: ChatRequestScope) {
        let current = self.current
        if current == .other || current == .media {
            self.below += 1
        } else {
            self.path = self.path << 8 | UInt64(scope.rawValue)
        }
    }

    /// Leaves the innermost container and returns its scope.
    mutating func pop() -> ChatRequestScope {
        let current = self.current
        if self.below > 0 { self.below -= 1 } else { self.path >>= 8 }
        return current
    }
}

/// Members that metering reads, by the scope they stand in.
enum ChatRequestSlot {
    case none
    case model, messages, stream, streamOptions, includeUsage, maxTokens, maxCompletionTokens, choices,
        serviceTier
    case modalities, audio, webSearch, prediction, cacheOptions, cacheTTL, cachePrewarm
    case content, partType, media, inputAudio, earlierAudio

    /// As errors name it.
    var name: String {
        switch self {
        case .none: ""
        case .model: "model"
        case .messages: "messages"
        case .stream: "stream"
        case .streamOptions: "stream_options"
        case .includeUsage: "stream_options.include_usage"
        case .maxTokens: "max_tokens"
        case .maxCompletionTokens: "max_completion_tokens"
        case .choices: "n"
        case .serviceTier: "service_tier"
        case .modalities: "modalities"
        case .audio: "audio"
        case .webSearch: "web_search_options"
        case .prediction: "prediction"
        case .cacheOptions: "prompt_cache_options"
        case .cacheTTL: "prompt_cache_options.ttl"
        case .cachePrewarm: "prompt_cache_options.prewarm"
        case .content: "messages.content"
        case .partType: "messages.content.type"
        case .media, .inputAudio: "messages.content"
        case .earlierAudio: "messages.audio"
        }
    }

    /// The member called `name` by the bytes of `range`, in an object of `scope`.
    static func named(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, in scope: ChatRequestScope)
        -> Self
    {
        func named(_ name: StaticString) -> Bool {
            range.count == name.utf8CodeUnitCount && ByteSearch.matches(bytes, range.lowerBound, name)
        }
        switch scope {
        case .top: return self.top(range.count, named)
        case .streamOptions: return named("include_usage") ? .includeUsage : .none
        case .message: return named("content") ? .content : named("audio") ? .earlierAudio : .none
        case .part:
            if named("type") { return .partType }
            if named("input_audio") { return .inputAudio }
            return named("image_url") || named("file") ? .media : .none
        case .cacheOptions: return named("ttl") ? .cacheTTL : named("prewarm") ? .cachePrewarm : .none
        case .document, .messages, .content, .modalities, .media, .other: return .none
        }
    }

    private static func top(_ count: Int, _ named: (StaticString) -> Bool) -> Self {
        switch count {
        case 1: named("n") ? .choices : .none
        case 5: named("model") ? .model : named("audio") ? .audio : .none
        case 6: named("stream") ? .stream : .none
        case 8: named("messages") ? .messages : .none
        case 10:
            named("max_tokens")
                ? .maxTokens : named("modalities") ? .modalities : named("prediction") ? .prediction : .none
        case 12: named("service_tier") ? .serviceTier : .none
        case 14: named("stream_options") ? .streamOptions : .none
        case 18: named("web_search_options") ? .webSearch : .none
        case 20: named("prompt_cache_options") ? .cacheOptions : .none
        case 21: named("max_completion_tokens") ? .maxCompletionTokens : .none
        default: .none
        }
    }
}
