import NIOCore

/// What every scripted reply is made from.
struct ReplyFacts {
    let request: EndpointRequest
    let behaviour: Behaviour
    let model: ModelCatalogue.Model
    let servedModel: String
    let tier: String
    let created: Int
    /// 32 hexadecimal digits that ids derive from.
    let identity: String

    init(
        _ request: EndpointRequest, model: ModelCatalogue.Model, behaviour: Behaviour,
        defaultTier: ByteBuffer,
        created: Int, identity: (UInt64, UInt64)
    ) {
        self.request = request
        self.behaviour = behaviour
        self.model = model
        servedModel = model.served.map { String(decoding: $0, as: UTF8.self) } ?? request.model
        // OpenAI answers `priority` for both names of that tier.
        let granted: String? =
            switch request.tree["service_tier"].text {
            case nil, "auto": String(buffer: defaultTier)
            case "fast": "priority"
            case let asked: asked
            }
        tier = behaviour.tier ?? granted ?? "default"
        self.created = behaviour.fixedIdentity ? 1_750_000_000 : created
        let pair =
            behaviour.fixedIdentity
            ? (ReplySeed.scramble(request.seed), ReplySeed.scramble(~request.seed)) : identity
        var hex = ByteBuffer()
        hex.writeHex(pair.0)
        hex.writeHex(pair.1)
        self.identity = String(buffer: hex)
    }

    var seed: UInt64 { request.seed }
    var faults: Faults { behaviour.faults }
    var tree: JSONTree { request.tree }

    /// Wanted output tokens of one choice, without reasoning.
    var wantedTokens: Int { behaviour.tokens ?? (8 + Int(seed & 63)) }

    /// Piece `index` of the text, escaped.
    func word(_ index: Int) -> String {
        var out = ByteBuffer()
        (behaviour.nastyText ? ReplyText.nasty : ReplyText.plain).write(
            1, from: index, seed: seed, into: &out)
        if faults.contains(.big), index == 0 { ChunkFrames.writeBigText(into: &out) }
        return String(buffer: out)
    }

    func words(_ count: Int, from first: Int = 0) -> String {
        (first..<(first + count)).map { word($0) }.joined()
    }

    /// Documented rule: ceil(bytes of text / 4), at least 1, never more than the bytes of the body.
    func promptTokens(textBytes: Int) -> Int {
        behaviour.prompt ?? min(max(1, (textBytes + 3) / 4), request.bodyBytes)
    }

    /// Input with its cached and written parts, as chat has them.
    func counts(prompt: Int, completion: Int, reasoning: Int = 0) -> TokenCounts {
        let isLong = prompt >= 1_024
        let cached = min(behaviour.cached ?? (isLong ? prompt / 2 / 128 * 128 : 0), prompt)
        let fresh = prompt - cached
        let written = behaviour.cacheWrite ?? (isLong && model.writesCache ? fresh / 128 * 128 : 0)
        return TokenCounts(
            prompt: prompt, completion: completion, cached: cached, cacheWrite: min(written, fresh),
            reasoning: reasoning)
    }
}
