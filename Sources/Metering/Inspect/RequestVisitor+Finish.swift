/// What can be said only when the whole body was seen.
extension RequestVisitor {
    private static let completionTokensDefault: Int64 = 16
    private static let embeddingInputsMax: Int64 = 2048
    private static let moderationModelDefault = "omni-moderation-latest"

    mutating func finish() throws(RequestRejection) -> InspectedRequest {
        if let unknown = self.unknownMember { throw .unknownMember(self.text(unknown)) }
        if self.request.model.isEmpty, self.endpoint == .moderations {
            self.request.model = Self.moderationModelDefault
        }
        guard !self.request.model.isEmpty else { throw .missing("model") }
        self.finishSounds()
        switch self.endpoint {
        case .chat: try self.finishChat()
        case .responses: try self.finishResponse()
        case .completions: try self.finishCompletions()
        case .embeddings, .moderations: try self.finishInputs()
        case .images: try self.finishImages()
        case .speech: try self.finishSpeech()
        case .transcriptions, .translations:
            throw .invalid("file", "The body must be a multipart form with a 'file'.")
        }
        return self.request
    }

    private mutating func finishChat() throws(RequestRejection) {
        try self.needSubject("messages")
        self.request.messages = self.said.subjects
        if let one = self.said.maxTokens, let other = self.said.maxCompletionTokens {
            self.request.outputCap = max(one, other)
        } else {
            self.request.outputCap = self.said.maxCompletionTokens ?? self.said.maxTokens
        }
        self.request.stored = self.said.store ?? false
        // These models search whether they are told to or not.
        if Self.searches(self.request.model) { self.takeWebSearch() }
    }

    private mutating func finishResponse() throws(RequestRejection) {
        self.request.stored = self.said.store ?? true
        // What an item declares stands in the conversation, and only upstream sees it in the turns behind this one.
        guard !self.said.itemsHostTools || !self.request.stored else {
            throw .notMetered(
                .itemTools,
                "a later turn could call a hosted tool of an item; name it in 'tools', or set 'store' to false"
            )
        }
    }

    /// Whether `-search-` is in the name; byte by byte, since this is on the path of every chat.
    private static func searches(_ model: String) -> Bool {
        var rest = model.utf8[...]
        while let dash = rest.firstIndex(of: UInt8(ascii: "-")) {
            rest = rest[dash...]
            if rest.starts(with: "-search-".utf8) { return true }
            rest = rest.dropFirst()
        }
        return false
    }

    private mutating func finishCompletions() throws(RequestRejection) {
        // Without a prompt the model starts from nothing: one prompt.
        if self.said.hasSubject { try self.needSubject("prompt") }
        self.request.inputs = self.subjects
        self.request.echoes = self.said.echo ? self.request.choices : 0
        self.request.choices = max(self.request.choices, self.said.bestOf ?? 1) * self.request.inputs
        self.request.outputCap = self.said.maxTokens ?? Self.completionTokensDefault
    }

    private mutating func finishInputs() throws(RequestRejection) {
        try self.needSubject("input")
        self.request.inputs = self.subjects
        guard self.endpoint == .embeddings else { return }
        guard self.request.inputs <= Self.embeddingInputsMax else {
            throw .invalid("input", "'input' must have at most \(Self.embeddingInputsMax) elements.")
        }
    }

    private mutating func finishImages() throws(RequestRejection) {
        try self.needSubject("prompt")
        guard let family = ImageTokenBounds.Family(model: self.request.model) else {
            throw .notMetered(.model, "how many tokens its images cost at most is not published")
        }
        let quality = try self.imageQuality()
        let size = try self.imageSize()
        guard let tokens = ImageTokenBounds.tokens(family, quality, size) else {
            throw .notMetered(.size, "how many tokens the model's images of this size cost is not published")
        }
        self.request.outputCap = tokens + self.said.partialImages * ImageTokenBounds.partialImageTokens
        self.request.inputs = self.request.choices
        self.request.media.insert(.imageOutput)
        self.request.extraOutputTokens = self.request.choices * family.textTokensMax
        // Each image ends with an event of its own, and no document says whether that tells of one or of all.
        guard !self.request.stream || self.request.choices == 1 else {
            throw .notMetered(.choices, "a stream of several images does not say whose usage it reports")
        }
    }

    private func imageQuality() throws(RequestRejection) -> ImageTokenBounds.Quality? {
        guard let literal = self.said.quality, literal != "auto" else { return nil }
        guard let quality = ImageTokenBounds.Quality(apiLiteral: literal) else {
            throw .notMetered(.quality, "only low, medium, high and auto have a known price")
        }
        return quality
    }

    private func imageSize() throws(RequestRejection) -> ImageTokenBounds.Size? {
        guard let literal = self.said.size, literal != "auto" else { return nil }
        guard let size = ImageTokenBounds.Size(apiLiteral: literal) else {
            throw .invalid("size", "'size' must be auto, or of the form 1024x1536.")
        }
        return size
    }

    private mutating func finishSpeech() throws(RequestRejection) {
        try self.needSubject("input")
        if self.request.model.hasPrefix("tts-1") {
            // Priced by the characters that are sent, which are known: there is no output to be held for.
            self.request.outputCap = 0
        } else {
            self.request.usageOnlyInEvents = true
            self.request.media.insert(.audioOutput)
        }
        self.request.replyIsOpaque = !self.request.stream
    }

    /// Elements of the subject, of which a list of token ids is one.
    private var subjects: Int64 { max(1, self.said.subjects + (self.said.isTokenList ? 1 : 0)) }

    private func needSubject(_ name: String) throws(RequestRejection) {
        guard self.said.hasSubject else { throw .missing(name) }
        guard self.said.subjects > 0 || self.said.isTokenList else {
            throw .invalid(name, "'\(name)' must not be empty.")
        }
    }
}
