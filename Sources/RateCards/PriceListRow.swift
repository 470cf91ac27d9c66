import Metering

/// One row of a price list, with the rates of each tier as written. Columns: `ratecards/README.md`.
struct PriceListRow: Sendable {
    /// Input, cached input, cache write, output; nil: the list names none.
    struct Rates: Sendable, Hashable {
        var input: String?
        var cachedInput: String?
        var cacheWrite: String?
        var output: String?

        subscript(part: RateCard.Part) -> String? {
            switch part {
            case .input: self.input
            case .cachedInput: self.cachedInput
            case .cacheWrite: self.cacheWrite
            case .output: self.output
            }
        }

        func amount(_ part: RateCard.Part) -> ExactDecimal? {
            self[part].flatMap { try? ExactDecimal(parsing: $0) }
        }
    }

    /// Where the parts of a tier's long rates come from that the list has no column for.
    enum LongOrigin: Sendable {
        case inProportion
        case dearerOfShortAndStandard
    }

    static let tiers: [ServiceTier] = [.flex, .priority, .batch]

    let cells: [String: String]
    private(set) var standard: Rates
    /// What was put right while reading, for the reviewer.
    private(set) var repairs: [String] = []

    init(_ cells: [String: String]) {
        self.cells = cells
        self.standard = Rates(
            input: cells["input_usd_per_1m"], cachedInput: cells["cached_input_usd_per_1m"],
            cacheWrite: cells["cache_write_usd_per_1m"], output: cells["output_usd_per_1m"])
        guard self.standard.cachedInput == nil, let input = self.standard.amount(.input),
            let write = self.standard.amount(.cacheWrite), write.isLess(than: input)
        else { return }
        // Writing to the cache never costs less than plain input; reading from it does.
        self.standard.cachedInput = self.standard.cacheWrite
        self.standard.cacheWrite = nil
        self.repairs.append(
            "\(write) stood as cache write, below the input price \(input): taken as cached input")
    }

    var model: String { self.cells["model", default: ""] }
    var mode: String { self.cells["mode", default: ""] }

    /// The name without `ft:` and without a date at its end: `gpt-4o` for `ft:gpt-4o-2024-08-06`.
    var family: String {
        let base = self.model.hasPrefix("ft:") ? String(self.model.dropFirst(3)) : self.model
        return Self.undated(base)
    }

    /// Without `-2024-08-06` or `-0613` at the end.
    static func undated(_ name: String) -> String {
        func isNumber(_ part: Substring, _ digits: Int) -> Bool {
            part.utf8.count == digits && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
        }
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        if parts.count > 3, isNumber(parts[parts.count - 3], 4), isNumber(parts[parts.count - 2], 2),
            isNumber(parts[parts.count - 1], 2)
        {
            return parts.dropLast(3).joined(separator: "-")
        }
        if parts.count > 1, let last = parts.last, isNumber(last, 4) {
            return parts.dropLast().joined(separator: "-")
        }
        return name
    }

    /// nil: the list has no such tier.
    func short(_ tier: ServiceTier) -> Rates? {
        guard tier != .default else { return self.standard }
        let name = tier.rawValue
        guard let input = self.cells["\(name)_input"], let output = self.cells["\(name)_output"] else {
            return nil
        }
        return Rates(
            input: input, cachedInput: self.cells["\(name)_cached"],
            cacheWrite: self.cells["\(name)_cache_write"],
            output: output)
    }

    /// The long rates of the standard tier; nil: the model has one price for every length.
    var long: Rates? {
        guard self.cells["long_ctx_threshold"] != nil, let input = self.cells["input_long"],
            let output = self.cells["output_long"]
        else { return nil }
        return Rates(
            input: input, cachedInput: self.cells["cached_long"], cacheWrite: self.cells["cache_write_long"],
            output: output)
    }

    /// The long rates of another tier, and where they come from.
    ///
    /// The list has columns for input and output only. Cached and written tokens follow in the proportion of
    /// the input, as they do for short input: left unnamed they would cost as plain input, which is below
    /// what a cache write costs. A tier that is dearer than the standard one and has no long price takes the
    /// dearer of its own short and the standard long rate, part by part, so that a longer request never costs
    /// less.
    func long(_ tier: ServiceTier) -> (rates: Rates, origin: LongOrigin)? {
        guard let long, let short = self.short(tier) else { return nil }
        let name = tier.rawValue
        if let input = self.cells["\(name)_input_long"], let output = self.cells["\(name)_output_long"] {
            func inProportion(_ part: RateCard.Part) -> String? {
                guard let full = long.amount(part), let own = try? ExactDecimal(parsing: input),
                    let base = long.amount(.input), let product = full.multiplied(by: own)
                else { return nil }
                return product.divided(by: base, digitsMax: 6)?.description
            }
            let rates = Rates(
                input: input, cachedInput: inProportion(.cachedInput), cacheWrite: inProportion(.cacheWrite),
                output: output)
            return (rates, .inProportion)
        }
        guard let own = short.amount(.input), let base = self.standard.amount(.input), base.isLess(than: own)
        else {
            return nil
        }
        func dearer(_ part: RateCard.Part) -> String? {
            guard let left = short.amount(part), let right = long.amount(part) else {
                return short[part] ?? long[part]
            }
            return left.isLess(than: right) ? long[part] : short[part]
        }
        let rates = Rates(
            input: dearer(.input), cachedInput: dearer(.cachedInput), cacheWrite: dearer(.cacheWrite),
            output: dearer(.output))
        return (rates, .dearerOfShortAndStandard)
    }
}

extension ExactDecimal {
    /// Exact quotient with at most `digitsMax` digits after the point; nil when there is none.
    func divided(by divisor: ExactDecimal, digitsMax: Int) -> ExactDecimal? {
        // self / divisor = (c · 10^(ds + digits)) / (dc · 10^s) / 10^digits
        let shifted = ExactDecimal(coefficient: self.coefficient, scale: 0)
        let bottom = ExactDecimal(coefficient: divisor.coefficient, scale: 0)
        guard let top = shifted.scaledToInteger(powerOfTen: divisor.scale + digitsMax),
            let under = bottom.scaledToInteger(powerOfTen: self.scale), under != 0, top % under == 0
        else { return nil }
        return ExactDecimal(coefficient: top / under, scale: digitsMax)
    }
}
