/// What metering needs of the body of a request, and where the body may be edited.
public struct InspectedRequest: Sendable, Equatable {
    public let endpoint: InspectedEndpoint
    public var model = ""
    /// The reply comes as events (`stream`; of speech, `stream_format: sse`).
    public var stream = false
    /// The client asked for the usage chunk itself.
    public var includeUsage = false
    /// Most output tokens per choice that the request allows, when it is the request that says so. Chat: the
    /// larger of `max_completion_tokens` and `max_tokens`. Completions: 16 when the client names none, as
    /// documented. Images: what one image can cost at its size and quality, partial images included.
    public var outputCap: Int64?
    /// How many outputs are billed: `n` of chat and images; of completions max(`n`, `best_of`) × prompts.
    public var choices: Int64 = 1
    /// Prompts that are read one by one, each up to the model's context: of completions and embeddings; of
    /// images `n`, since every image is billed for its prompt.
    public var inputs: Int64 = 1
    public var serviceTier: RequestedTier = .absent
    /// Bytes of the text in messages, tools and the like, without media: what the input estimate is made
    /// from. A token that came as a number counts as five, which is what the estimate takes for a token.
    public var textBytes = 0
    /// Of that text, what the model reads as it is: see `InputCounting`.
    public var texts = RequestTexts()
    /// How often the reply repeats each prompt (`echo` of completions), which is shown, and is no output: in front of the
    /// choices that are shown, which can be fewer than are sampled.
    public var echoes: Int64 = 0
    /// Upstream may leave out what does not fit (`truncation` of responses), so its report does not say how much a later
    /// turn can read.
    public var truncates = false
    /// Messages of a chat.
    public var messages: Int64 = 0
    /// Input whose tokens its bytes do not bound (images, files, stored objects, hosted tools): the model's
    /// context does.
    public var unboundedInput = false
    /// Kinds of tokens that the request is known to be billed for besides text.
    public var media: RequestMedia = []
    /// Most output tokens on top of the cap: rejected tokens of a prediction, which is no longer than its
    /// bytes.
    public var extraOutputTokens: Int64 = 0
    /// Declared tools that have a fee for each call.
    public var hostedTools: Set<ToolKind> = []
    /// Upstream calls tools by itself, and reads the whole context again after each call.
    public var loops = false
    /// Most calls of hosted tools that the request allows; nil: it does not say.
    public var maxToolCalls: Int64?
    /// Functions and tools that are declared.
    public var declaredTools: Int64 = 0
    /// Characters to be spoken, in Unicode scalars: the API's limit of 4096 "characters" is one of code
    /// points.
    public var characters: Int64 = 0
    /// The usage of such a speech is reported in events only; without `stream` it cannot be metered.
    public var usageOnlyInEvents = false
    /// Length of the uploaded audio in milliseconds, rounded up to whole seconds: OpenAI bills whole seconds, the nearest.
    public var inputMilliseconds: Int64 = 0
    /// Length of the audio in messages, each part rounded up to whole seconds, and the bytes of its base64, which the model
    /// does not read as text.
    var soundMilliseconds: Int64 = 0
    var soundBytes = 0
    /// Calls of a server's tools that the client approved: each may read the context again, whatever `max_tool_calls`.
    var approvedCalls: Int64 = 0
    /// The reply is not a JSON document and not a stream, so it tells nothing of its usage.
    public var replyIsOpaque = false
    /// Upstream keeps what was said, under an id that later requests can name.
    public var stored = false
    /// Objects that upstream has stored and this request makes use of; whether they are the client's is for
    /// the caller to check.
    public var references: [StoredReference] = []
    /// The response that the request goes on from; see `follow`.
    public internal(set) var earlier: EarlierInput?
    /// What the body does not show may be of any medium.
    var hidesMedia = false
    /// Upstream refuses an output cap in such a request.
    var refusesCap = false
    var anchors = EditAnchors()

    public enum RequestedTier: Sendable, Equatable {
        case absent
        /// OpenAI's project setting would decide; it is replaced by `default`, whose price is known.
        case auto
        case named(ServiceTier)
    }

    init(_ endpoint: InspectedEndpoint) { self.endpoint = endpoint }

    /// The proxy may add a cap: the endpoint has one, the client named none, and upstream takes it.
    public var isClampable: Bool {
        self.endpoint.capName != nil && self.outputCap == nil && !self.refusesCap
    }
}

/// Something that upstream has stored and a request names by its id.
public struct StoredReference: Sendable, Hashable {
    public enum Kind: Sendable, Hashable, CaseIterable {
        /// `prompt_cache_options.comparison_response_id`; not `previous_response_id`, which is `earlier`.
        case response
        /// An item of an earlier response.
        case item
        /// An uploaded file.
        case file
        case vectorStore
        /// A prompt template.
        case prompt
        /// Audio of an earlier chat completion.
        case audio
        /// A voice that was made from samples.
        case voice
    }

    public var kind: Kind
    public var id: String

    public init(kind: Kind, id: String) {
        self.kind = kind
        self.id = id
    }
}
