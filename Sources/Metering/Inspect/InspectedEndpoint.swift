/// The endpoints whose requests are inspected: JSON documents, each with its own members, or forms with a file.
public enum InspectedEndpoint: Sendable, Hashable, CaseIterable {
    case chat, responses, completions, embeddings, moderations
    /// `/v1/images/generations`.
    case images
    /// `/v1/audio/speech`.
    case speech
    /// `/v1/audio/transcriptions` and `/v1/audio/translations`: multipart forms.
    case transcriptions, translations

    /// As the rate card, the ledger and the metrics call it.
    public var metered: Endpoint {
        switch self {
        case .chat: .chat
        case .responses: .responses
        case .completions: .completions
        case .embeddings: .embeddings
        case .moderations: .moderations
        case .images: .images
        case .speech, .transcriptions, .translations: .audio
        }
    }

    /// How the replies report usage.
    public var replyShape: ReplyShape {
        switch self {
        case .chat, .completions, .embeddings, .moderations: .completions
        case .responses: .responses
        case .images, .speech, .transcriptions, .translations: .media
        }
    }

    /// Its requests are multipart forms, for `UploadInspector`; all others are for `RequestInspector`.
    public var takesForm: Bool { self == .transcriptions || self == .translations }

    /// The member that caps the output; nil when the endpoint has none.
    var capName: String? {
        switch self {
        case .chat: "max_completion_tokens"
        case .responses: "max_output_tokens"
        case .completions: "max_tokens"
        case .embeddings, .moderations, .images, .speech, .transcriptions, .translations: nil
        }
    }

    /// Whether `service_tier` is a member of its requests.
    public var hasServiceTier: Bool { self == .chat || self == .responses }

    /// Whether streams report usage only when `stream_options.include_usage` asks for it.
    public var hasUsageOption: Bool { self == .chat || self == .completions }
}
