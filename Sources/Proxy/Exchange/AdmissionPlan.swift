import Metering

/// What is to be held for one request, and on what terms it may go upstream. Pure: made from the inspected
/// request and the active prices, before any store is asked. A class, since it is handed from step to step and never
/// changes.
final class AdmissionPlan: Sendable {
    /// What is asked.
    let request: InspectedRequest
    var endpoint: InspectedEndpoint { self.request.endpoint }
    let price: ModelPrice
    let mode: RoundingMode
    let bounds: RequestBounds
    /// A cap per choice may be added: the client set none, and upstream takes one.
    let isClampable: Bool
    /// Worst case at the cap of the request, or at the model's maximum.
    let want: Millicredits
    /// The smallest hold that is of use: `want` when no cap can be added.
    let least: Millicredits
    /// Estimated input tokens, charged when no usage is reported.
    let inputEstimateTokens: Int64
    /// That estimate as a usage, with what is known to be heard or spoken.
    let inputUsage: Usage
    /// The charge of it alone: what is settled when nothing else is known.
    let inputCharge: Charge
    var stream: Bool { self.request.stream }
    /// The usage chunk is asked for although the client did not, and taken out again.
    let injectsUsage: Bool
    /// `service_tier` is absent or `auto`: it is sent as `default`, so that it is served at a price that was
    /// held.
    let pinsTier: Bool
    /// The hold grows with the stream; nil: all of it is set aside at once.
    let rolling: RollingHold.Terms?
    /// `max_tool_calls` that is sent because the request declares hosted tools without one.
    let imposedToolCalls: Int64?
    /// The reply tells nothing of its usage, whatever comes.
    var replyIsOpaque: Bool { self.request.replyIsOpaque }
    /// The part of the reply that is the client's own prompt.
    let echo: EchoedPrompt
    var writesForTwelveHours: Bool { self.request.media.contains(.longWrites) }

    init(
        _ request: InspectedRequest, bodyBytes: Int, counted: CountedInput = CountedInput(),
        prices: PriceTable, leastOutputTokens: Int64, rollingStep: Int64 = 256,
        accountHolds: HoldPolicy = .full, isWaived: Bool = false
    ) throws(Refusal) {
        guard let price = prices.row(for: request.model) else { throw .notPriced(request.model) }
        guard price.endpoints.contains(request.endpoint.metered) else {
            throw .notMetered("The model '\(request.model)' on \(request.endpoint.metered.rawValue)")
        }
        if let reference = request.references.first { throw .notYourObject(reference) }
        try Self.checkPrices(of: request, price)
        try Self.checkUnits(of: request, price)
        precondition(
            !request.awaitsOwner, "admit() asks whose the earlier response is before anything is planned")
        self.request = request
        self.price = price
        self.mode = prices.mode
        let tiers = try Self.tiers(request, price)
        self.bounds = request.bounds(bodyBytes: bodyBytes, counted: counted, permittedTiers: tiers)
        let full = request.outputCap ?? price.outputMax
        // What is waived is not cut, so there is nothing to ask for on the way.
        let rolls =
            !isWaived && Self.canRoll(request, price, self.bounds)
            && (price.holds ?? accountHolds) == .rolling
        self.rolling =
            rolls
            ? RollingHold.Terms(
                price: price, bounds: self.bounds, mode: prices.mode, step: rollingStep,
                // No reply is longer than the model's maximum, whatever the cap is.
                outputMax: min(full, price.outputMax),
                knownInput: request.documentedInput(counted))
            : nil
        // A stream that runs out of credits is ended, so no cap need be added to it.
        self.isClampable = request.isClampable && !rolls
        do {
            self.want = try price.worstCase(
                self.bounds, outputCap: rolls ? min(rollingStep, full) : full, mode: prices.mode)
            self.least =
                request.isClampable || rolls
                ? try price.worstCase(self.bounds, outputCap: min(leastOutputTokens, full), mode: prices.mode)
                : self.want
            self.inputEstimateTokens = min(
                request.inputEstimate(counted) + request.audioTokensEstimate, self.bounds.inputTokensMax)
            var usage = Usage(input: self.inputEstimateTokens, output: 0)
            usage.inputMilliseconds = request.inputMilliseconds
            usage.characters = request.characters
            self.inputUsage = usage
            self.inputCharge = try price.charge(for: usage, served: .default, mode: prices.mode)
        } catch {
            throw Refusal(
                .invalidRequest, "The request is too large to be priced.",
                param: request.outputCap == nil ? "messages" : "max_completion_tokens")
        }
        self.injectsUsage = request.stream && !request.includeUsage && request.endpoint.hasUsageOption
        self.pinsTier = request.endpoint.hasServiceTier && request.serviceTier.isUndecided
        self.imposedToolCalls = request.needsToolCallLimit ? InspectedRequest.toolCallsDefault : nil
        self.echo = Self.echo(request, self.inputEstimateTokens)
    }

    /// Everything that it bills passes as visible text.
    private static func canRoll(
        _ request: InspectedRequest, _ price: ModelPrice, _ bounds: RequestBounds
    ) -> Bool {
        request.stream && !price.hidesReasoning && bounds.turns == 1 && bounds.extraOutputTokens == 0
            && bounds.tools.isZero && request.media.isDisjoint(with: [.audioOutput, .imageOutput])
    }

    /// Each prompt stands in front of each of its choices that are shown.
    private static func echo(_ request: InspectedRequest, _ inputTokens: Int64) -> EchoedPrompt {
        guard request.echoes > 0 else { return .none }
        return EchoedPrompt(deltas: request.echoes * request.inputs, tokens: inputTokens * request.echoes)
    }

    private static func tiers(
        _ request: InspectedRequest, _ price: ModelPrice
    ) throws(Refusal) -> [ServiceTier] {
        guard case .named(let tier) = request.serviceTier, tier != .default else { return [.default] }
        guard price.tiers[tier] != nil else { throw .tierNotPriced(tier, request.model) }
        return [.default, tier]
    }

    /// What the request asks for besides text must have a price of its own.
    private static func checkPrices(
        of request: InspectedRequest, _ price: ModelPrice
    ) throws(Refusal) {
        // Of uploads time may be priced instead, which `checkUnits` sees to.
        if !request.endpoint.takesForm, !request.media.isDisjoint(with: [.audioInput, .audioOutput]),
            !price.prices(.audio)
        {
            throw .kindNotPriced("Audio", request.model, param: "modalities")
        }
        if request.media.contains(.longWrites), !price.prices(.longWrites) {
            throw .kindNotPriced("A cache for 12 hours", request.model, param: "prompt_cache_options.ttl")
        }
        for kind in ToolKind.allCases
        where request.hostedTools.contains(kind) && price.units.price.tools[kind] == nil {
            throw .kindNotPriced("The tool '\(kind.rawValue)'", request.model, param: "tools")
        }
    }

    /// What has no tokens, or none that the reply tells of, must have a price by time or by characters.
    private static func checkUnits(of request: InspectedRequest, _ price: ModelPrice) throws(Refusal) {
        switch request.endpoint {
        case .transcriptions, .translations:
            guard price.units.price.millisecond == nil else { return }
            guard price.prices(.audio) else {
                throw .kindNotPriced("Audio", request.model, param: "model")
            }
            guard !request.replyIsOpaque else {
                throw .silent(request.model, param: "response_format", "json")
            }
            // Translations never tell of tokens.
            guard request.endpoint == .transcriptions else {
                throw .notMetered("The model '\(request.model)' on translations")
            }
        case .speech where price.units.price.character == nil:
            guard request.usageOnlyInEvents else {
                throw .kindNotPriced("Speech", request.model, param: "model")
            }
            guard !request.replyIsOpaque else { throw .silent(request.model, param: "stream_format", "sse") }
        default:
            break
        }
    }

    /// The cap to send upstream under a grant; nil when the request goes as it is.
    ///
    /// Hosted tools make a model answer several times, each time with as much output as it can write, and one cap holds for
    /// all of it: without one of the client's own, what was held for is sent.
    func cap(under grant: Millicredits) -> Int64? {
        guard self.isClampable else { return nil }
        guard grant < self.want else { return self.bounds.turns > 1 ? self.price.outputMax : nil }
        return self.price.affordableOutputCap(self.bounds, within: grant, mode: self.mode)
    }

    /// Output tokens per choice that `available` would pay for; 0 when it does not even pay the input.
    func affordableOutputTokens(_ available: Millicredits) -> Int64 {
        self.price.affordableOutputCap(self.bounds, within: available, mode: self.mode) ?? 0
    }

    /// Calls of hosted tools, by the names under which they were declared: a reply does not tell a search from a preview
    /// one, and a chat completion does not tell of searches at all, of which it makes one. Where both were declared, the
    /// dearer one was made: each was held for.
    func calls(of seen: ToolCalls) -> ToolCalls {
        let declared = self.bounds.tools
        if self.endpoint == .chat { return declared }
        var calls = seen
        if declared[.webSearchPreview] > 0, declared[.webSearch] == 0 || self.previewIsDearer {
            calls[.webSearchPreview] = seen[.webSearch]
            calls[.webSearch] = 0
        }
        return calls
    }

    private var previewIsDearer: Bool {
        let fees = self.price.units.price.tools
        return fees[.webSearchPreview] ?? 0 > fees[.webSearch] ?? 0
    }

    func onDisconnect(_ processWide: DisconnectPolicy) -> DisconnectPolicy {
        // A whole reply tells its cost only at its end.
        // What it costs to go on from a response whose tokens are not known, only the report says.
        self.stream && !self.request.hidesUncountedInput ? (self.price.onDisconnect ?? processWide) : .drain
    }
}

extension InspectedRequest.RequestedTier {
    fileprivate var isUndecided: Bool { self == .absent || self == .auto }
}
