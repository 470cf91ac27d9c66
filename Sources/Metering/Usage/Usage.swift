/// What one exchange consumed, in disjoint parts: whatever the endpoint calls them, each token stands in exactly one.
///
/// Source of the arithmetic: cached and cache-write tokens are disjoint subsets of the reported input, audio and image
/// tokens subsets of input or output, reasoning tokens a subset of the output (openai-openapi, `CompletionUsage`,
/// `ResponseUsage`, `ImagesResponse.usage`).
public struct Usage: Sendable, Hashable {
    /// Input tokens that are of no other part.
    public var input: Int64
    /// Input tokens read from the prompt cache.
    public var cachedInput: Int64
    /// Input tokens written to the prompt cache for 30 minutes (priced above plain input on newer models).
    public var cacheWrite: Int64
    /// Input tokens written to the prompt cache for 12 hours.
    public var cacheWriteLong: Int64 = 0
    /// Visible output tokens, rejected prediction tokens included.
    public var output: Int64
    /// Hidden output tokens; priced as output.
    public var reasoning: Int64
    public var audio = MediaTokens()
    public var image = MediaTokens()
    /// Calls of hosted tools that have a fee.
    public var tools = ToolCalls()
    /// Length of audio that was read, for models that are priced by time.
    public var inputMilliseconds: Int64 = 0
    /// Characters that were spoken, for models that are priced by them.
    public var characters: Int64 = 0

    public static let zero = Usage(input: 0, output: 0)

    public init(
        input: Int64, cachedInput: Int64 = 0, cacheWrite: Int64 = 0, output: Int64, reasoning: Int64 = 0
    ) {
        self.input = input
        self.cachedInput = cachedInput
        self.cacheWrite = cacheWrite
        self.output = output
        self.reasoning = reasoning
    }

    /// As the API reports it: all input tokens, cached and written ones, audio and images included.
    public var inputTotal: Int64 {
        self.input + self.cachedInput + self.cacheWrite + self.cacheWriteLong + self.audio.input
            + self.audio.cachedInput + self.image.input + self.image.cachedInput
    }

    /// As the API reports it: all output tokens, reasoning included.
    public var outputTotal: Int64 { self.output + self.reasoning + self.audio.output + self.image.output }
}

/// Tokens of a medium that has prices of its own.
public struct MediaTokens: Sendable, Hashable {
    public var input: Int64
    public var cachedInput: Int64
    public var output: Int64

    public init(input: Int64 = 0, cachedInput: Int64 = 0, output: Int64 = 0) {
        self.input = input
        self.cachedInput = cachedInput
        self.output = output
    }

    public var isZero: Bool { self == MediaTokens() }
}

/// Hosted tools of the Responses API, and of chat, that cost a fee per call. The raw value is the name in the rate card.
public enum ToolKind: String, Sendable, Hashable, CaseIterable {
    case webSearch = "web_search"
    case webSearchPreview = "web_search_preview"
    case fileSearch = "file_search"
}

/// How often each tool was, or may be, called.
public struct ToolCalls: Sendable, Hashable {
    private var webSearch: Int64 = 0
    private var webSearchPreview: Int64 = 0
    private var fileSearch: Int64 = 0

    public init() {}

    public subscript(kind: ToolKind) -> Int64 {
        get {
            switch kind {
            case .webSearch: self.webSearch
            case .webSearchPreview: self.webSearchPreview
            case .fileSearch: self.fileSearch
            }
        }
        set {
            switch kind {
            case .webSearch: self.webSearch = newValue
            case .webSearchPreview: self.webSearchPreview = newValue
            case .fileSearch: self.fileSearch = newValue
            }
        }
    }

    public var isZero: Bool { self == ToolCalls() }

    mutating func add(_ more: ToolCalls) {
        for kind in ToolKind.allCases { self[kind] &+= more[kind] }
    }
}
