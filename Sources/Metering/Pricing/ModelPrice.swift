/// The processing tier of OpenAI that an exchange is asked for, or was served at.
public enum ServiceTier: String, Sendable, Hashable, CaseIterable {
    case `default`, flex, priority, batch, ultrafast

    /// Reads the API's literal. `fast` is another name of `priority`; `auto` and `scale` name no price of
    /// their own.
    public init?(apiLiteral: String) {
        switch apiLiteral {
        case "default", "standard": self = .default
        case "flex": self = .flex
        case "priority", "fast": self = .priority
        case "ultrafast": self = .ultrafast
        default: return nil
        }
    }

    /// By its place, not by its name: prices are looked up by it several times for each exchange.
    public func hash(into hasher: inout Hasher) { hasher.combine(self.ordinal) }

    private var ordinal: UInt8 {
        switch self {
        case .default: 0
        case .flex: 1
        case .priority: 2
        case .batch: 3
        case .ultrafast: 4
        }
    }
}

/// Amounts per token, in one unit (atto-USD for prices, pico-USD scaled to atto-USD for costs).
public struct TokenRates: Sendable, Hashable {
    public var input: Int128
    public var cachedInput: Int128
    public var cacheWrite: Int128
    /// Of a write that is kept for 12 hours; nil: such a request is refused.
    public var cacheWriteLong: Int128?
    public var output: Int128
    /// nil: audio cannot be charged, so a request with audio is refused.
    public var audio: MediaRates?
    /// nil: tokens of images are priced as text.
    public var image: MediaRates?

    public init(
        input: Int128, cachedInput: Int128, cacheWrite: Int128, cacheWriteLong: Int128? = nil, output: Int128,
        audio: MediaRates? = nil, image: MediaRates? = nil
    ) {
        self.input = input
        self.cachedInput = cachedInput
        self.cacheWrite = cacheWrite
        self.cacheWriteLong = cacheWriteLong
        self.output = output
        self.audio = audio
        self.image = image
    }

    private var images: MediaRates {
        self.image ?? MediaRates(input: self.input, cachedInput: self.cachedInput, output: self.output)
    }

    /// The dearest way in which one input token of a request can be billed.
    func dearestInput(_ media: RequestMedia) -> Int128 {
        var dearest = max(self.input, self.cachedInput, self.cacheWrite)
        if media.contains(.longWrites) { dearest = max(dearest, self.cacheWriteLong ?? 0) }
        if media.contains(.audioInput), let audio { dearest = max(dearest, audio.input, audio.cachedInput) }
        if media.contains(.imageInput) { dearest = max(dearest, self.images.input, self.images.cachedInput) }
        return dearest
    }

    /// The dearest way in which one output token of a request can be billed.
    func dearestOutput(_ media: RequestMedia) -> Int128 {
        var dearest = self.output
        if media.contains(.audioOutput), let audio { dearest = max(dearest, audio.output) }
        if media.contains(.imageOutput) { dearest = max(dearest, self.images.output) }
        return dearest
    }

    /// Adds what these tokens cost. What has no rate of its own is charged as text: it was refused, or
    /// distrusted, before.
    func add(_ usage: Usage, to sum: inout ExactSum) {
        sum.add(usage.input, at: self.input)
        sum.add(usage.cachedInput, at: self.cachedInput)
        sum.add(usage.cacheWrite, at: self.cacheWrite)
        sum.add(usage.outputTotal - usage.audio.output - usage.image.output, at: self.output)
        guard usage.hasRareParts else { return }
        sum.add(usage.cacheWriteLong, at: self.cacheWriteLong ?? self.cacheWrite)
        let text = MediaRates(input: self.input, cachedInput: self.cachedInput, output: self.output)
        (self.audio ?? text).add(usage.audio, to: &sum)
        self.images.add(usage.image, to: &sum)
    }
}

/// Amounts per token of one medium.
public struct MediaRates: Sendable, Hashable {
    public var input: Int128
    public var cachedInput: Int128
    public var output: Int128

    public init(input: Int128, cachedInput: Int128, output: Int128) {
        self.input = input
        self.cachedInput = cachedInput
        self.output = output
    }

    func add(_ tokens: MediaTokens, to sum: inout ExactSum) {
        sum.add(tokens.input, at: self.input)
        sum.add(tokens.cachedInput, at: self.cachedInput)
        sum.add(tokens.output, at: self.output)
    }
}

/// Amounts for what is not counted in tokens; nil or absent: it cannot be charged.
public struct UnitRates: Sendable, Hashable {
    public var millisecond: Int128?
    public var character: Int128?
    /// Per call.
    public var tools: [ToolKind: Int128]

    public static let none = UnitRates()

    public init(millisecond: Int128? = nil, character: Int128? = nil, tools: [ToolKind: Int128] = [:]) {
        self.millisecond = millisecond
        self.character = character
        self.tools = tools
    }

    func add(_ usage: Usage, to sum: inout ExactSum) {
        guard usage.hasRareParts else { return }
        self.add(usage.inputMilliseconds, usage.characters, usage.tools, to: &sum)
    }

    func add(_ milliseconds: Int64, _ characters: Int64, _ calls: ToolCalls, to sum: inout ExactSum) {
        sum.add(milliseconds, at: self.millisecond ?? 0)
        sum.add(characters, at: self.character ?? 0)
        guard !calls.isZero else { return }
        for kind in ToolKind.allCases { sum.add(calls[kind], at: self.tools[kind] ?? 0) }
    }
}

/// A sum of products in 128 bits that remembers an overflow.
struct ExactSum {
    private(set) var value: Int128 = 0
    private(set) var isExact = true

    mutating func add(_ count: Int64, at rate: Int128) {
        let (product, tooLarge) = Int128(count).multipliedReportingOverflow(by: rate)
        let (sum, overflow) = self.value.addingReportingOverflow(product)
        if tooLarge || overflow { self.isExact = false }
        self.value = sum
    }
}

extension Usage {
    /// Something besides plain, cached and 30-minute text tokens.
    var hasRareParts: Bool {
        self.cacheWriteLong != 0 || !self.audio.isZero || !self.image.isZero || !self.tools.isZero
            || self.inputMilliseconds != 0 || self.characters != 0
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

/// What time, characters and tool calls cost the operator and what users pay for them.
public struct UnitPrice: Sendable, Hashable {
    public var cost: UnitRates
    public var price: UnitRates

    public static let none = UnitPrice(cost: .none, price: .none)

    public init(cost: UnitRates, price: UnitRates) {
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

/// Kinds of tokens that a model need not have a price for.
public enum PricedKind: Sendable, Hashable, CaseIterable { case audio, longWrites }

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
    /// Of what is not counted in tokens; the same at every tier.
    public let units: UnitPrice
    /// nil: the process-wide `BILLING_ON_DISCONNECT` decides.
    public let onDisconnect: DisconnectPolicy?
    /// nil: the account decides.
    public let holds: HoldPolicy?
    /// Tokens are billed that a stream does not show: only its end tells what it costs.
    public let hidesReasoning: Bool
    private let pricesAudio: Bool
    private let pricesLongWrites: Bool

    public init(
        priceID: String, model: String, endpoints: Set<Endpoint>, context: Int64, outputMax: Int64,
        tiers: [ServiceTier: TierPrice], longContext: LongContextPrice?, units: UnitPrice = .none,
        onDisconnect: DisconnectPolicy?, holds: HoldPolicy? = nil, hidesReasoning: Bool = false
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
        self.units = units
        self.onDisconnect = onDisconnect
        self.holds = holds
        self.hidesReasoning = hidesReasoning
        let all = Array(tiers.values) + Array((longContext?.tiers ?? [:]).values)
        self.pricesAudio = all.allSatisfy { $0.price.audio != nil && $0.cost.audio != nil }
        self.pricesLongWrites = all.allSatisfy {
            $0.price.cacheWriteLong != nil && $0.cost.cacheWriteLong != nil
        }
    }

    /// Whether tokens of a kind have a price at every tier and length.
    public func prices(_ kind: PricedKind) -> Bool {
        switch kind {
        case .audio: self.pricesAudio
        case .longWrites: self.pricesLongWrites
        }
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
