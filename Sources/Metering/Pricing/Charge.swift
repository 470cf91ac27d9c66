/// The amount of one exchange: what the user pays and what the operator pays.
public struct Charge: Sendable, Hashable {
    public var amount: Millicredits
    public var cost: PicoUSD

    public static let zero = Charge(amount: .zero, cost: .zero)

    public init(amount: Millicredits, cost: PicoUSD) {
        self.amount = amount
        self.cost = cost
    }
}

extension ModelPrice {
    /// usage × price, rounded once. The same rates serve `worstCase`.
    ///
    /// - Parameter tier: the tier that was *served*; nil when the response named one that has no name here. A
    ///   tier without a price takes the dearest of `permitted`.
    public func charge(
        for usage: Usage, served tier: ServiceTier?, permitted: [ServiceTier] = [.default], mode: RoundingMode
    ) throws(PricingFailure) -> Charge {
        let rates =
            tier.flatMap { self.rates($0, inputTokens: usage.inputTotal) }
            ?? self.dearest(of: permitted, for: usage)
        guard let exact = rates.price.amount(of: usage, and: self.units.price) else {
            throw .amountTooLarge
        }
        guard let cost = rates.cost.amount(of: usage, and: self.units.cost) else { throw .costTooLarge }
        let amount = try Millicredits(rounding: AttoUSD(exact), mode: mode)
        guard let pico = Int64(exactly: (cost + AttoUSD.perPicoUSD / 2) / AttoUSD.perPicoUSD) else {
            throw .costTooLarge
        }
        return Charge(amount: amount, cost: PicoUSD(pico))
    }

    private func dearest(of permitted: [ServiceTier], for usage: Usage) -> TierPrice {
        let candidates = permitted.compactMap { self.rates($0, inputTokens: usage.inputTotal) }
        let dearest = candidates.max { left, right in
            (left.price.amount(of: usage, and: .none) ?? .max)
                < (right.price.amount(of: usage, and: .none) ?? .max)
        }
        if let dearest { return dearest }
        guard let standard = self.rates(.default, inputTokens: usage.inputTotal) else {
            preconditionFailure("ModelPrice.init guarantees a default tier")
        }
        return standard
    }
}

extension TokenRates {
    /// Exact amount of everything; nil on overflow of 128 bits.
    fileprivate func amount(of usage: Usage, and units: UnitRates) -> Int128? {
        var sum = ExactSum()
        self.add(usage, to: &sum)
        units.add(usage, to: &sum)
        return sum.isExact ? sum.value : nil
    }
}

/// Kinds of tokens, besides text, of which a request may be billed.
public struct RequestMedia: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let audioInput = RequestMedia(rawValue: 1)
    public static let imageInput = RequestMedia(rawValue: 2)
    public static let audioOutput = RequestMedia(rawValue: 4)
    public static let imageOutput = RequestMedia(rawValue: 8)
    /// Cache writes that are kept for 12 hours.
    public static let longWrites = RequestMedia(rawValue: 16)
}

/// The bounds of a request, from which its worst case is priced.
public struct RequestBounds: Sendable, Hashable {
    /// No more input tokens than this can be billed for one turn (bytes bound tokens), before the model's context
    /// clamps it.
    public var inputTokensMax: Int64
    /// Prompts that are read one by one: the context clamps each of them, not their sum.
    public var inputs: Int64 = 1
    /// How often the model may read its context: 1, and once more for each call of a hosted tool. From the second turn
    /// on what it reads is bounded by the context only.
    public var turns: Int64 = 1
    /// Number of choices, ≥ 1.
    public var choices: Int64
    /// Most output tokens on top of what caps allow, all choices together.
    public var extraOutputTokens: Int64 = 0
    public var media: RequestMedia = []
    /// Most calls of each tool with a fee.
    public var tools = ToolCalls()
    /// Longest audio input, for models that are priced by time.
    public var inputMillisecondsMax: Int64 = 0
    public var charactersMax: Int64 = 0
    /// Tiers that the exchange can be served at.
    public var permittedTiers: [ServiceTier]

    public init(inputTokensMax: Int64, choices: Int64, permittedTiers: [ServiceTier]) {
        precondition(choices >= 1 && inputTokensMax >= 0, "the inspector refuses such a request")
        self.inputTokensMax = inputTokensMax
        self.choices = choices
        self.permittedTiers = permittedTiers
    }
}

extension ModelPrice {
    /// The hold that covers every usage the request permits, rounded up; at least 1 millicredit when any rate
    /// is not 0.
    ///
    /// Property: for each usage within the bounds, with output ≤ choices × outputCap, at any permitted tier,
    /// `worstCase ≥ charge`.
    ///
    /// Several turns (hosted tools) report one usage, the sum over all of them, and that sum is compared with the threshold
    /// of long context, here as in `charge`: a report does not say how long each turn was. So turns that are short one by
    /// one can be charged, and are held for, at the rates of a long one, never the other way round.
    public func worstCase(
        _ bounds: RequestBounds, outputCap: Int64, mode: RoundingMode
    ) throws(PricingFailure) -> Millicredits {
        guard let input = self.inputMax(bounds) else { throw .amountTooLarge }
        let (capped, tooMany) = bounds.choices.multipliedReportingOverflow(
            by: min(outputCap, self.outputMax(bounds)))
        let (output, overflow) = capped.addingReportingOverflow(bounds.extraOutputTokens)
        guard !tooMany, !overflow else { throw .amountTooLarge }
        var worst: Int128 = 0
        var isExact = true
        self.forEachPossibleRate(bounds.permittedTiers, inputTokens: input) { rates in
            var sum = ExactSum()
            sum.add(input, at: rates.dearestInput(bounds.media))
            sum.add(output, at: rates.dearestOutput(bounds.media))
            self.units.price.add(
                bounds.inputMillisecondsMax, bounds.charactersMax, bounds.tools, to: &sum)
            isExact = isExact && sum.isExact
            worst = max(worst, sum.value)
        }
        guard isExact else { throw .amountTooLarge }
        return try Millicredits(roundingUp: AttoUSD(worst), mode: mode)
    }

    /// Most output tokens of one choice: in each turn the model can write as much as it ever does.
    public func outputMax(_ bounds: RequestBounds) -> Int64 {
        let (all, overflow) = self.outputMax.multipliedReportingOverflow(by: bounds.turns)
        return overflow ? .max : all
    }

    /// Most input tokens of all turns together; nil on overflow.
    public func inputMax(_ bounds: RequestBounds) -> Int64? {
        let (first, tooLong) = self.context.multipliedReportingOverflow(by: bounds.inputs)
        let (later, tooMany) = self.context.multipliedReportingOverflow(by: bounds.turns - 1)
        let (sum, overflow) = min(bounds.inputTokensMax, tooLong ? .max : first).addingReportingOverflow(
            later)
        return tooMany || overflow ? nil : sum
    }

    /// The largest output cap per choice whose worst case fits `amount`; nil when not even 0 tokens fit.
    public func affordableOutputCap(
        _ bounds: RequestBounds, within amount: Millicredits, mode: RoundingMode
    ) -> Int64? {
        // The worst case is monotone in the cap, so the search needs no inverse of the rounding.
        func fits(_ cap: Int64) -> Bool {
            guard let worst = try? self.worstCase(bounds, outputCap: cap, mode: mode) else { return false }
            return worst <= amount
        }
        guard fits(0) else { return nil }
        var low: Int64 = 0
        var high = self.outputMax
        while low < high {
            let middle = low + (high - low + 1) / 2
            if fits(middle) { low = middle } else { high = middle - 1 }
        }
        return low
    }

    private func forEachPossibleRate(
        _ tiers: [ServiceTier], inputTokens: Int64, _ body: (TokenRates) -> Void
    ) {
        var isPriced = false
        for tier in tiers {
            guard let short = self.tiers[tier] else { continue }
            isPriced = true
            body(short.price)
            guard let long = self.longContext, inputTokens > long.threshold,
                let rates = self.rates(tier, inputTokens: inputTokens)
            else { continue }
            body(rates.price)
        }
        // `charge` falls back to the default tier when none of the permitted ones has a price; so must the
        // hold.
        if !isPriced && tiers != [.default] {
            self.forEachPossibleRate([.default], inputTokens: inputTokens, body)
        }
    }
}

/// The active prices, by model name. Immutable; a new card makes a new table.
public final class PriceTable: Sendable {
    /// `card@version` of the rate card in force.
    public let version: String
    public let mode: RoundingMode
    private let rows: [String: ModelPrice]

    public init(version: String, mode: RoundingMode, rows: [ModelPrice]) {
        self.version = version
        self.mode = mode
        self.rows = Dictionary(rows.map { ($0.model, $0) }) { _, last in last }
    }

    /// The row of a requested model: its own name, or `ft:<base>` for `ft:<base>:…`. nil: not priced, refuse.
    public func row(for model: String) -> ModelPrice? {
        if let row = self.rows[model] { return row }
        guard model.hasPrefix("ft:") else { return nil }
        let parts = model.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[1].isEmpty else { return nil }
        return self.rows["ft:" + parts[1]]
    }

    /// All rows, by model name.
    public var models: [ModelPrice] { self.rows.values.sorted { $0.model < $1.model } }
}
