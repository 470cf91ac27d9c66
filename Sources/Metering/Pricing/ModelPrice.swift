/// The processing tier of OpenAI that an exchange is asked for, or was served at.
public enum ServiceTier: String, Sendable, Hashable, CaseIterable {
    case `default`, flex, priority, batch

    /// Reads the API's literal. `fast` is another name of `priority`; `auto` and `scale` name no price of
    /// their own.
    public init?(apiLiteral: String) {
        switch apiLiteral {
        case "default", "standard": self = .default
        case "flex": self = .flex
        case "priority", "fast": self = .priority
        default: return nil
        }
    }
}

/// Amounts per token, in one unit (atto-USD for prices, pico-USD scaled to atto-USD for costs).
public struct TokenRates: Sendable, Hashable {
    public var input: Int128
    public var cachedInput: Int128
    public var cacheWrite: Int128
    public var output: Int128

    public init(input: Int128, cachedInput: Int128, cacheWrite: Int128, output: Int128) {
        self.input = input
        self.cachedInput = cachedInput
        self.cacheWrite = cacheWrite
        self.output = output
    }

    /// The dearest way in which one input token can be billed.
    var dearestInput: Int128 { max(self.input, self.cachedInput, self.cacheWrite) }

    /// Exact amount; nil on overflow of 128 bits.
    func amount(of usage: Usage) -> Int128? {
        let parts: [(Int64, Int128)] = [
            (usage.input, self.input), (usage.cachedInput, self.cachedInput),
            (usage.cacheWrite, self.cacheWrite), (usage.outputTotal, self.output),
        ]
        var sum: Int128 = 0
        for (tokens, rate) in parts {
            let (product, tooLarge) = Int128(tokens).multipliedReportingOverflow(by: rate)
            let (next, overflow) = sum.addingReportingOverflow(product)
            guard !tooLarge, !overflow else { return nil }
            sum = next
        }
        return sum
    }
}

/// What one tier of a model costs the operator and what users pay for it, in atto-USD per token.
public struct TierPrice: Sendable, Hashable {
    public var cost: TokenRates
    public var price: TokenRates

    public init(cost: TokenRates, price: TokenRates) {
        self.cost = cost
        self.price = price
    }
}

/// Rates that apply to *all* tokens of a request whose input exceeds `threshold` tokens.
public struct LongContextPrice: Sendable, Hashable {
    public var threshold: Int64
    public var tiers: [ServiceTier: TierPrice]

    public init(threshold: Int64, tiers: [ServiceTier: TierPrice]) {
        self.threshold = threshold
        self.tiers = tiers
    }
}

/// What to do with the upstream request when the client of a stream goes away.
public enum DisconnectPolicy: String, Sendable, Hashable, CaseIterable {
    /// Close upstream at once and charge what was produced.
    case cancel
    /// Read on to the usage report (bounded by the hold and by time).
    case drain
}

/// Something a client can ask for that is metered. Bounded: used as a metric label and in the ledger.
public enum Endpoint: String, Sendable, Hashable, CaseIterable {
    case chat, responses, completions, embeddings, moderations
    case images, audio
}

/// One model's row of one rate card: everything needed to hold and to charge. Immutable.
public final class ModelPrice: Sendable {
    /// `card@version/model`
    public let priceID: String
    public let model: String
    public let endpoints: Set<Endpoint>
    /// Most input tokens that the model accepts.
    public let context: Int64
    public let outputMax: Int64
    public let tiers: [ServiceTier: TierPrice]
    public let longContext: LongContextPrice?
    /// nil: the process-wide `BILLING_ON_DISCONNECT` decides.
    public let onDisconnect: DisconnectPolicy?

    public init(
        priceID: String, model: String, endpoints: Set<Endpoint>, context: Int64, outputMax: Int64,
        tiers: [ServiceTier: TierPrice], longContext: LongContextPrice?, onDisconnect: DisconnectPolicy?
    ) {
        precondition(tiers[.default] != nil, "RateCards refuses a row without a default tier")
        precondition(context > 0 && outputMax >= 0, "RateCards refuses a row without context or max output")
        self.priceID = priceID
        self.model = model
        self.endpoints = endpoints
        self.context = context
        self.outputMax = outputMax
        self.tiers = tiers
        self.longContext = longContext
        self.onDisconnect = onDisconnect
    }

    /// The rates of a tier at a given input length; nil when this row does not price the tier. A tier without
    /// long rates of its own takes the default tier's long rates, as OpenAI's price list does; `worstCase`
    /// looks at both.
    func rates(_ tier: ServiceTier, inputTokens: Int64) -> TierPrice? {
        guard let base = self.tiers[tier] else { return nil }
        guard let long = self.longContext, inputTokens > long.threshold else { return base }
        return long.tiers[tier] ?? long.tiers[.default] ?? base
    }
}
