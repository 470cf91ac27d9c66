import NIOCore

/// Everything about one chat completion, decided before the first byte goes out.
struct ReplyPlan {
    enum Finish { case stop, length, toolCalls }

    var model: ByteBuffer
    var tier: ByteBuffer
    var stream: Bool
    var choices: Int
    var cap: Int?
    var includeUsage: Bool
    var promptTokens: Int
    var cachedTokens: Int
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

    var faults: Faults { behaviour.faults }
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

        let wantedReasoning = behaviour.reasoning ?? (known.reasons ? 16 + Int(seed >> 32 & 63) : 0)
        let wantedVisible = behaviour.tokens ?? (8 + Int(seed & 63))
        let room = request.cap ?? Int.max
        reasoningPerChoice = min(wantedReasoning, room)
        visiblePerChoice = min(wantedVisible, room - reasoningPerChoice)

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

    /// Tokens really produced once `deltas` pieces went out. Reasoning comes before the first of them.
    func produced(deltas: Int) -> TokenCounts {
        let reasoning = reasoningPerChoice * choices
        return TokenCounts(
            prompt: promptTokens, completion: deltas + reasoning, cached: cachedTokens, reasoning: reasoning)
    }

    /// What the wire claims: the truth, bent by the usage faults.
    var reported: TokenCounts {
        var counts = produced(deltas: deltasTotal)
        if faults.contains(.overCap) {
            counts.completion = (cap.map { $0 * choices } ?? counts.completion) + 50
        }
        if faults.contains(.hugeUsage) { counts.completion = 9_000_000_000_000_000_000 }
        if faults.contains(.negativeUsage) { counts.completion = -1 }
        if faults.contains(.zeroUsage) {
            counts = TokenCounts(prompt: 0, completion: 0, cached: 0, reasoning: 0)
        }
        if faults.contains(.cachedOver) { counts.cached = counts.prompt + 1_000 }
        return counts
    }
}

/// Token counts of one exchange, as OpenAI's usage object groups them: cached tokens are part of the prompt,
/// reasoning tokens part of the completion.
struct TokenCounts: Equatable {
    var prompt: Int
    var completion: Int
    var cached: Int
    var reasoning: Int
}
