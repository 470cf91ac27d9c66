import Metering

/// What is to be held for one request, and on what terms it may go upstream. Pure: made from the inspected
/// request and the active prices, before any store is asked.
struct AdmissionPlan: Sendable {
    let price: ModelPrice
    let mode: RoundingMode
    let bounds: RequestBounds
    /// The cap that the client set per choice; never lowered.
    let clientCap: Int64?
    /// Worst case at the client's cap, or at the model's maximum.
    let want: Millicredits
    /// The smallest hold that is of use: `want` when the client set a cap.
    let least: Millicredits
    /// Estimated input tokens, charged when no usage is reported: text bytes / 5.
    let inputEstimateTokens: Int64
    /// The charge of that estimate alone: what is settled when nothing else is known.
    let inputCharge: Charge
    let stream: Bool
    /// The usage chunk is asked for although the client did not, and taken out again.
    let injectsUsage: Bool
    /// `service_tier` is absent or `auto`: it is sent as `default`, so that it is served at a price that was
    /// held.
    let pinsTier: Bool

    init(
        _ request: ChatRequest, bodyBytes: Int, prices: PriceTable, leastOutputTokens: Int64
    ) throws(Refusal) {
        guard let price = prices.row(for: request.model) else { throw .notPriced(request.model) }
        guard price.endpoints.contains(.chat) else {
            throw .notMetered("The model '\(request.model)' on chat completions")
        }
        var tiers: [ServiceTier] = [.default]
        if case .named(let tier) = request.serviceTier, tier != .default {
            guard price.tiers[tier] != nil else { throw .tierNotPriced(tier, request.model) }
            tiers.append(tier)
        }
        self.price = price
        self.mode = prices.mode
        self.bounds = RequestBounds(
            inputTokensMax: request.unboundedInput ? price.context : Int64(bodyBytes),
            choices: request.choices, permittedTiers: tiers)
        self.clientCap = request.outputCap
        do {
            let full = request.outputCap ?? price.outputMax
            self.want = try price.worstCase(self.bounds, outputCap: full, mode: prices.mode)
            self.least =
                request.outputCap != nil
                ? self.want
                : try price.worstCase(self.bounds, outputCap: min(leastOutputTokens, full), mode: prices.mode)
            self.inputEstimateTokens = min(
                TokenEstimate.tokens(textBytes: request.textBytes), self.bounds.inputTokensMax)
            self.inputCharge = try price.charge(
                for: Usage(input: self.inputEstimateTokens, output: 0), served: .default, mode: prices.mode)
        } catch {
            throw Refusal(
                .invalidRequest, "The request is too large to be priced.",
                param: request.outputCap == nil ? "messages" : "max_completion_tokens")
        }
        self.stream = request.stream
        self.injectsUsage = request.stream && !request.includeUsage
        self.pinsTier = request.serviceTier == .absent || request.serviceTier == .auto
    }

    /// The cap to send upstream under a grant; nil when the request goes as it is.
    func cap(under grant: Millicredits) -> Int64? {
        guard self.clientCap == nil, grant < self.want else { return nil }
        return self.price.affordableOutputCap(self.bounds, within: grant, mode: self.mode)
    }

    /// Output tokens per choice that `available` would pay for; 0 when it does not even pay the input.
    func affordableOutputTokens(_ available: Millicredits) -> Int64 {
        self.price.affordableOutputCap(self.bounds, within: available, mode: self.mode) ?? 0
    }

    /// Bounds within which a usage report is believed (MONEY_PATH C14).
    var usageBounds: (inputMax: Int64, outputMax: Int64) {
        (self.price.context, self.bounds.choices * self.price.outputMax)
    }

    func onDisconnect(_ processWide: DisconnectPolicy) -> DisconnectPolicy {
        // A whole reply tells its cost only at its end.
        self.stream ? (self.price.onDisconnect ?? processWide) : .drain
    }
}
