import Metering

extension RateCard {
    /// The prices that charges are computed from.
    ///
    /// - Parameter region: of the upstream; raises the costs of tokens by the rows' uplift, and the prices
    ///   that come from them. A named price stands as named.
    /// - Throws: `RateCardInvalid`, naming every amount that has no exact value in the units of a charge.
    public func priceTable(mode: RoundingMode, region: Region? = nil) throws -> PriceTable {
        var pricer = Pricer(card: self, region: region)
        let rows = self.models.sorted { $0.key < $1.key }.compactMap { name, model in
            pricer.row(model, named: name)
        }
        guard pricer.problems.isEmpty else { throw RateCardInvalid(problems: pricer.problems) }
        return PriceTable(version: self.identity, mode: mode, rows: rows)
    }
}

/// Turns rows into `ModelPrice`s and collects what cannot be expressed.
private struct Pricer {
    let card: RateCard
    let region: Region?
    var problems: [RateCardProblem] = []

    mutating func row(_ model: RateCard.Model, named name: String) -> ModelPrice? {
        let path = "models.\(name)."
        let before = self.problems.count
        let uplift = self.region.flatMap { model.regionalUplift[$0] }
        var tiers = [ServiceTier.default: self.price(model.standard, uplift, path)]
        for (tier, amounts) in model.tiers {
            tiers[tier] = self.price(amounts, uplift, path + "tiers.\(tier.rawValue).")
        }
        var long: LongContextPrice?
        if let named = model.longContext {
            var tiers = [ServiceTier.default: self.price(named.standard, uplift, path + "long_context.")]
            for (tier, amounts) in named.tiers {
                tiers[tier] = self.price(amounts, uplift, path + "long_context.tiers.\(tier.rawValue).")
            }
            long = LongContextPrice(threshold: named.threshold, tiers: tiers)
        }
        let units = self.units(model, path)
        let hides = model.hidesReasoning ?? RateCard.Model.hidesReasoning(named: name)
        if hides, model.holds == .rolling {
            self.problems.append(
                RateCardProblem(
                    .error, path + "holds", "must be full: hidden reasoning cannot be counted as it passes"))
        }
        guard self.problems.count == before else { return nil }
        // A row without costs of tokens expects none: with the smallest limits, a report of tokens is not
        // believed.
        return ModelPrice(
            priceID: "\(self.card.identity)/\(name)", model: name, endpoints: Set(model.endpoints),
            context: model.context ?? 1, outputMax: model.outputMax ?? 0, tiers: tiers, longContext: long,
            units: units, onDisconnect: model.onDisconnect, holds: model.holds, hidesReasoning: hides)
    }

    private typealias Compute = (RateCard.Part) throws(RateCard.InexactAmount) -> Int128?

    private mutating func price(
        _ tier: RateCard.Tier, _ uplift: ExactDecimal?, _ path: String
    ) -> TierPrice {
        let markup = self.card.markup
        func cost(of part: RateCard.Part) throws(RateCard.InexactAmount) -> ExactDecimal? {
            guard let cost = tier.cost(of: part), let uplift else { return tier.cost(of: part) }
            guard let raised = cost.multiplied(by: uplift) else {
                throw RateCard.InexactAmount(message: "times the uplift is beyond \(part.measure.most)")
            }
            return raised
        }
        let costs = self.tokens(path) { (part) throws(RateCard.InexactAmount) in
            guard let cost = try cost(of: part) else { return nil }
            return try RateCard.rate(cost: cost, per: part.measure)
        }
        let prices = self.tokens(path) { (part) throws(RateCard.InexactAmount) in
            // The cost comes first: what has none is not sold, whatever price stands there.
            guard let cost = try cost(of: part) else { return nil }
            if let named = tier.namedPrice(of: part) {
                return try RateCard.rate(price: named, per: part.measure)
            }
            return try RateCard.rate(marking: cost, up: markup, per: part.measure)
        }
        return TierPrice(cost: costs, price: prices)
    }

    private mutating func tokens(_ path: String, _ compute: Compute) -> TokenRates {
        var rates: [RateCard.Part: Int128] = [:]
        for part in RateCard.Part.tokens {
            rates[part] = self.rate(path + "cost." + part.rawValue, part, compute)
        }
        func media(
            _ input: RateCard.Part, _ cached: RateCard.Part, _ output: RateCard.Part
        ) -> MediaRates? {
            guard rates[input] ?? rates[output] != nil else { return nil }
            return MediaRates(
                input: rates[input] ?? 0, cachedInput: rates[cached] ?? 0, output: rates[output] ?? 0)
        }
        return TokenRates(
            input: rates[.input] ?? 0, cachedInput: rates[.cachedInput] ?? 0,
            cacheWrite: rates[.cacheWrite] ?? 0, cacheWriteLong: rates[.cacheWriteLong],
            output: rates[.output] ?? 0, audio: media(.audioInput, .audioCachedInput, .audioOutput),
            image: media(.imageInput, .imageCachedInput, .imageOutput))
    }

    private mutating func rate(
        _ path: String, _ part: RateCard.Part, _ compute: Compute
    ) -> Int128? {
        do throws(RateCard.InexactAmount) {
            return try compute(part)
        } catch {
            self.problems.append(RateCardProblem(.error, path, error.message))
            return nil
        }
    }

    // MARK: Units

    private mutating func units(_ model: RateCard.Model, _ path: String) -> UnitPrice {
        var price = UnitPrice.none
        (price.cost.millisecond, price.price.millisecond) = self.unit(.second, model.standard, path)
        (price.cost.character, price.price.character) = self.unit(.characters, model.standard, path)
        guard model.callsTools else { return price }
        for (tool, fee) in self.card.tools.merging(model.tools, uniquingKeysWith: { $1 }) {
            let path = (model.tools[tool] == nil ? "" : path) + "tools.\(tool.rawValue)"
            let (cost, sold) = self.amounts(fee.cost, fee.namedPrice, .call, path)
            price.cost.tools[tool] = cost
            price.price.tools[tool] = sold
        }
        return price
    }

    private mutating func unit(
        _ part: RateCard.Part, _ tier: RateCard.Tier, _ path: String
    ) -> (cost: Int128?, price: Int128?) {
        guard let cost = tier.cost(of: part) else { return (nil, nil) }
        return self.amounts(cost, tier.namedPrice(of: part), part.measure, path + "cost." + part.rawValue)
    }

    private mutating func amounts(
        _ cost: ExactDecimal, _ named: ExactDecimal?, _ measure: RateCard.Measure, _ path: String
    ) -> (cost: Int128?, price: Int128?) {
        do throws(RateCard.InexactAmount) {
            let exactCost = try RateCard.rate(cost: cost, per: measure)
            if let named { return (exactCost, try RateCard.rate(price: named, per: measure)) }
            return (exactCost, try RateCard.rate(marking: cost, up: self.card.markup, per: measure))
        } catch {
            self.problems.append(RateCardProblem(.error, path, error.message))
            return (nil, nil)
        }
    }
}
