import NIOCore

/// Everything about one chat completion, decided before the first byte goes out.
struct ReplyPlan: PlannedReply {
    enum Finish { case stop, length, toolCalls }

    var model: ByteBuffer
    var tier: ByteBuffer
    var stream: Bool
    var choices: Int
    var cap: Int?
    var includeUsage: Bool
    var promptTokens: Int
    var cachedTokens: Int
    var cacheWriteTokens: Int
    var inputAudioTokens: Int
    /// Audio that each choice speaks, on top of its transcript; 0 without the modality.
    var audioPerChoice: Int
    /// Predicted tokens of all choices: accepted ones are among the visible ones, rejected ones come on top.
    var acceptedTokens: Int
    var rejectedTokens: Int
    /// The web was searched once, which has a fee.
    var searches: Bool
    /// JSON that the schema of the request permits, in pieces; nil for words.
    var structured: [String]?
    /// Content deltas (or argument pieces) of one choice.
    var visiblePerChoice: Int
    var reasoningPerChoice: Int
    var finish: Finish
    /// Raw JSON string contents of the function that is called; nil for a text reply.
    var toolName: ByteBuffer?
    var seed: UInt64
    /// Deltas of all choices before a mid-stream fault strikes.
    var faultAfter: Int
    var behaviour: Behaviour
    var created: Int
    /// 16 bytes of identity: request id, completion id, fingerprints derive from it.
    var identity: (UInt64, UInt64)

    var deltasTotal: Int { visiblePerChoice * choices }

    init(
        _ request: ChatRequest, model known: ModelCatalogue.Model, behaviour: Behaviour,
        defaultTier: ByteBuffer,
        created: Int, identity: (UInt64, UInt64)
    ) {
        let seed = request.seed
        stream = request.stream
        choices = request.choices
        cap = request.cap
        includeUsage = request.includeUsage
        model = known.served.map { ByteBuffer(bytes: $0) } ?? request.model ?? ByteBuffer()
        tier = Self.tier(request, behaviour, defaultTier)

        promptTokens = behaviour.prompt ?? request.promptTokens
        let longPrompt = promptTokens >= 1_024
        let implied = longPrompt ? promptTokens / 2 / 128 * 128 : 0
        cachedTokens = min(behaviour.cached ?? implied, promptTokens)
        let fresh = promptTokens - cachedTokens
        cacheWriteTokens = min(
            behaviour.cacheWrite ?? (longPrompt && known.writesCache ? fresh / 128 * 128 : 0), fresh)
        inputAudioTokens = min(
            behaviour.inputAudio ?? request.inputAudioTokens, fresh - cacheWriteTokens)
        searches = request.searchesWeb || known.searchesWeb

        structured = request.schema.map { SchemaFiller.pieces(of: $0) }
        let wantedReasoning = behaviour.reasoning ?? (known.reasons ? 16 + Int(seed >> 32 & 63) : 0)
        let wantedVisible = structured?.count ?? behaviour.tokens ?? (8 + Int(seed & 63))
        let room = request.cap ?? Int.max
        reasoningPerChoice = min(wantedReasoning, room)
        visiblePerChoice = min(wantedVisible, room - reasoningPerChoice)
        let spoken = behaviour.outputAudio ?? (request.speaks ? 4 * visiblePerChoice : 0)
        audioPerChoice = min(spoken, room - reasoningPerChoice - visiblePerChoice)
        let predicted = (request.predictionBytes + 3) / 4
        acceptedTokens = min(behaviour.accepted ?? predicted / 2, visiblePerChoice * request.choices)
        rejectedTokens = behaviour.rejected ?? max(0, predicted - acceptedTokens)

        let calls =
            request.toolName != nil
            && (request.toolChoice == .required
                || (request.toolChoice == .automatic && request.lastUserAsksForCall))
        toolName = calls ? request.toolName : nil
        let truncated = visiblePerChoice < wantedVisible || reasoningPerChoice < wantedReasoning
        finish = truncated ? .length : (calls ? .toolCalls : .stop)

        self.seed = seed
        faultAfter = min(behaviour.after ?? visiblePerChoice * choices / 2, visiblePerChoice * choices)
        self.behaviour = behaviour
        self.created = behaviour.fixedIdentity ? 1_750_000_000 : created
        self.identity =
            behaviour.fixedIdentity ? (ReplySeed.scramble(seed), ReplySeed.scramble(~seed)) : identity
    }

    private static func tier(
        _ request: ChatRequest, _ behaviour: Behaviour, _ standard: ByteBuffer
    ) -> ByteBuffer {
        if let forced = behaviour.tier { return ByteBuffer(string: forced) }
        guard let asked = request.serviceTier else { return standard }
        let view = asked.readableBytesView
        if view.elementsEqual("auto".utf8) { return standard }
        // OpenAI answers `priority` for both names of that tier.
        return view.elementsEqual("fast".utf8) ? ByteBuffer(staticString: "priority") : asked
    }

    var contentType: ReplyHead.ContentType { .json }
    /// Chat bills its search at the fee of the preview tool.
    var units: ByteBuffer? { searches ? ByteBuffer(staticString: "{\"web_search_preview\":1}") : nil }
    func makeFrames() -> any ReplyFrames { ChunkFrames(self) }
    func writeBody(into out: inout ByteBuffer) { CompletionBody.write(self, into: &out) }
    func loggedUsage() -> ByteBuffer? { UsageObject(counts: reported, faults: faults).logged() }

    /// Reasoning and rejected predictions come before the first delta, audio with the last.
    func produced(deltas: Int) -> TokenCounts? { counts(deltas: deltas) }

    private func counts(deltas: Int) -> TokenCounts {
        let reasoning = reasoningPerChoice * choices
        let audio = deltas == deltasTotal ? audioPerChoice * choices : 0
        return TokenCounts(
            prompt: promptTokens, completion: deltas + reasoning + audio + rejectedTokens,
            cached: cachedTokens, cacheWrite: cacheWriteTokens, reasoning: reasoning,
            inputAudio: inputAudioTokens, outputAudio: audio, accepted: acceptedTokens,
            rejected: rejectedTokens)
    }

    /// What the wire claims.
    var reported: TokenCounts {
        counts(deltas: deltasTotal).bent(by: faults, cap: cap.map { $0 * choices })
    }
}
