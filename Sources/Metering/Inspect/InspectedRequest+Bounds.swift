extension InspectedRequest {
    /// Calls of hosted tools that a request is held for, and limited to, when it does not name a number
    /// itself.
    public static let toolCallsDefault: Int64 = 10
    /// All embedding models (openai-openapi, `CreateEmbeddingRequest.input`).
    private static let embeddingTokensMax: Int64 = 300_000
    private static let embeddingInputTokensMax: Int64 = 8192
    /// What the Responses API adds to a request and to each function, measured on the spec's examples: 64 for
    /// a reasoning model, 210 for a function. A body can be shorter than that, so its bytes alone are no
    /// bound.
    private static let hiddenTokens: Int64 = 64
    private static let hiddenTokensPerTool: Int64 = 256

    /// Audio tokens of one second: 10 is what agrees with OpenAI's price per minute of gpt-4o-transcribe, and with its
    /// limit of 1,500 seconds in a context of 16,000 tokens. No document says it, so the bound is twice that.
    private static let audioTokensPerSecondMax: Int64 = 20
    private static let audioTokensPerSecond: Int64 = 10

    /// Estimated tokens of the audio that was sent.
    public var audioTokensEstimate: Int64 {
        (self.inputMilliseconds + self.soundMilliseconds) / 1000 * Self.audioTokensPerSecond
    }

    /// Whether `max_tool_calls` has to be imposed for the request to be bounded.
    public var needsToolCallLimit: Bool { self.loops && self.maxToolCalls == nil }

    /// How often the model may read its context.
    ///
    /// - Parameter toolCalls: the limit that `edits` imposes.
    public func turns(toolCalls: Int64 = Self.toolCallsDefault) -> Int64 {
        self.loops ? 1 + (self.maxToolCalls ?? toolCalls) + self.approvedCalls : 1
    }

    /// The bounds from which the worst case is priced.
    ///
    /// - Parameters:
    ///   - bodyBytes: length of the body as it was received, in bytes; edits add nothing that the model
    ///     reads.
    ///   - counted: what `InputCounting` made of the texts.
    ///   - permittedTiers: tiers that the exchange can be served at.
    ///   - toolCalls: the limit that `edits` imposes.
    public func bounds(
        bodyBytes: Int, counted: CountedInput = CountedInput(), permittedTiers: [ServiceTier],
        toolCalls: Int64 = Self.toolCallsDefault
    ) -> RequestBounds {
        var bounds = RequestBounds(
            inputTokensMax: self.inputTokensMax(
                shownTokens: counted.tokensMax + Int64(bodyBytes - counted.bodyBytes - self.soundBytes)
                    + self.soundMilliseconds / 1000 * Self.audioTokensPerSecondMax),
            choices: self.choices, permittedTiers: permittedTiers)
        bounds.inputs = self.inputs
        bounds.turns = self.turns(toolCalls: toolCalls)
        bounds.extraOutputTokens = self.extraOutputTokens
        bounds.charactersMax = self.characters
        bounds.inputMillisecondsMax = self.inputMilliseconds
        bounds.media = self.media
        // A medium for which the model has no price it cannot be sent either.
        if self.hidesMedia { bounds.media.formUnion([.audioInput, .imageInput]) }
        for kind in self.hostedTools { bounds.tools[kind] = self.maxToolCalls ?? toolCalls }
        return bounds
    }

    /// The estimate of the input, for a reply that reports no usage, and before there is one.
    ///
    /// What was counted, a fifth of the bytes of all other text, and of a chat what its template adds, 3 to each message
    /// and 3 for the answer to begin (OpenAI's cookbook; exact on the pairs of request and usage that the API's
    /// specification prints, facts C5).
    public func inputEstimate(_ counted: CountedInput) -> Int64 {
        let other = TokenEstimate.tokens(textBytes: self.textBytes - counted.bodyBytes)
        let template = self.endpoint == .chat && counted.bodyBytes > 0 ? 3 + 3 * self.messages : 0
        return counted.tokens + other + template + (self.earlier?.tokens ?? 0)
    }

    /// Input tokens of a chat that is nothing but counted texts, as the documented template makes them: what
    /// `inputEstimate` says, with the net of `CountedInput.tokensMax` under it. nil: something else is in the request.
    public func documentedInput(_ counted: CountedInput) -> Int64? {
        let otherBytes = self.textBytes - counted.bodyBytes
        guard self.endpoint == .chat, counted.bodyBytes > 0, !self.unboundedInput, self.media.isEmpty,
            self.declaredTools == 0, self.hostedTools.isEmpty, self.extraOutputTokens == 0,
            otherBytes <= Self.otherBytesPerMessage * Int(self.messages)
        else { return nil }
        return self.inputEstimate(counted) - counted.tokens + counted.tokensMax
    }

    /// Roles and names; a schema is longer.
    private static let otherBytesPerMessage = 24

    /// Tokens that the body shows: those of the texts that were counted, and of the rest its bytes, since every token
    /// covers a byte at least. The model's context clamps what the body does not show.
    ///
    /// The bytes of the rest also bound what the template adds:
    /// - To a message of a chat it adds 3, the role and 1 to a name (cookbook; facts C5), and between two special tokens
    ///   the text is cut as it is counted here. `{"role":"user","content":""}` are 28 bytes.
    /// - Where parts are read as one text, a join can cost a token or two more. `{"type":"text","text":""}` are 25 bytes.
    /// - Tools and schemas are rendered in another language, which nobody documents, shorter than the JSON that says
    ///   the same (facts C5, litellm's `_format_function_definitions`): 82 tokens for a body of 433 bytes. So all their
    ///   bytes stay.
    /// - Of the Responses API see `hiddenTokens`.
    private func inputTokensMax(shownTokens bodyBytes: Int64) -> Int64 {
        guard !self.unboundedInput, let earlierMax = self.earlier.map(\.tokensMax) ?? 0 else { return .max }
        switch self.endpoint {
        case .chat, .completions, .moderations, .speech:
            return bodyBytes
        case .responses:
            let shown = bodyBytes + Self.hiddenTokens + Self.hiddenTokensPerTool * self.declaredTools
            let (all, overflow) = shown.addingReportingOverflow(earlierMax)
            return overflow ? .max : all
        case .embeddings:
            return min(bodyBytes, Self.embeddingTokensMax, Self.embeddingInputTokensMax * self.inputs)
        case .images:
            return bodyBytes * self.inputs
        case .transcriptions, .translations:
            let heard = self.inputMilliseconds / 1000 * Self.audioTokensPerSecondMax
            return heard + (Int64(self.textBytes) + Self.hiddenTokens) * self.inputs
        }
    }
}
