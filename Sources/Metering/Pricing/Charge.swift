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
        guard let exact = rates.price.amount(of: usage) else { throw .amountTooLarge }
        guard let cost = rates.cost.amount(of: usage) else { throw .costTooLarge }
        let amount = try Millicredits(rounding: AttoUSD(exact), mode: mode)
        guard let pico = Int64(exactly: (cost + AttoUSD.perPicoUSD / 2) / AttoUSD.perPicoUSD) else {
            throw .costTooLarge
        }
        return Charge(amount: amount, cost: PicoUSD(pico))
    }

    private func dearest(of permitted: [ServiceTier], for usage: Usage) -> TierPrice {
        let candidates = permitted.compactMap { self.rates($0, inputTokens: usage.inputTotal) }
        let dearest = candidates.max { left, right in
            (left.price.amount(of: usage) ?? .max) < (right.price.amount(of: usage) ?? .max)
        }
        if let dearest { return dearest }
        guard let standard = self.rates(.default, inputTokens: usage.inputTotal) else {
            preconditionFailure("ModelPrice.init guarantees a default tier")
        }
        return standard
    }
}

/// The bounds of a request, from which its worst case is priced.
public struct RequestBounds: Sendable, Hashable {
    /// No more input tokens than this can be billed (bytes bound tokens), before the model's context clamps
    /// it.
    public var inputTokensMax: Int64
    /// Number of choices, ≥ 1.
    public var choices: Int64
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
    /// Property: for each usage with input ≤ bound and output ≤ choices × outputCap, at any permitted tier,
    /// `worstCase ≥ charge`.
    public func worstCase(
        _ bounds: RequestBounds, outputCap: Int64, mode: RoundingMode
    ) throws(PricingFailure) -> Millicredits {
        let input = min(bounds.inputTokensMax, self.context)
        let (output, overflow) = bounds.choices.multipliedReportingOverflow(
            by: min(outputCap, self.outputMax))
        guard !overflow else { throw .amountTooLarge }
        var worst: Int128 = 0
        for rates in self.possibleRates(bounds.permittedTiers, inputTokens: input) {
            let (inputAmount, inputOverflow) = Int128(input).multipliedReportingOverflow(
                by: rates.dearestInput)
            let (outputAmount, outputOverflow) = Int128(output).multipliedReportingOverflow(by: rates.output)
            let (sum, sumOverflow) = inputAmount.addingReportingOverflow(outputAmount)
            guard !inputOverflow, !outputOverflow, !sumOverflow else { throw .amountTooLarge }
            worst = max(worst, sum)
        }
        return try Millicredits(roundingUp: AttoUSD(worst), mode: mode)
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

    private func possibleRates(_ tiers: [ServiceTier], inputTokens: Int64) -> [TokenRates] {
        var all: [TokenRates] = []
        for tier in tiers {
            if let short = self.tiers[tier] { all.append(short.price) }
            if let long = self.rates(tier, inputTokens: inputTokens) { all.append(long.price) }
        }
        // `charge` falls back to the default tier when none of the permitted ones has a price; so must the
        // hold.
        if all.isEmpty && tiers != [.default] {
            return self.possibleRates([.default], inputTokens: inputTokens)
        }
        return all
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
