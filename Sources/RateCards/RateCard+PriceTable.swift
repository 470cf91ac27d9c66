import Metering

extension RateCard {
    /// The prices that charges are computed from.
    ///
    /// - Throws: `RateCardInvalid`, naming every amount that has no exact value in the units of a charge.
    public func priceTable(mode: RoundingMode) throws -> PriceTable {
        var rows: [ModelPrice] = []
        var problems: [RateCardProblem] = []
        for (name, model) in self.models.sorted(by: { $0.key < $1.key }) {
            do {
                rows.append(try self.row(name, model))
            } catch let invalid as RateCardInvalid {
                problems += invalid.problems
            }
        }
        guard problems.isEmpty else { throw RateCardInvalid(problems: problems) }
        return PriceTable(version: self.identity, mode: mode, rows: rows)
    }

    private func row(_ name: String, _ model: Model) throws -> ModelPrice {
        let path = "models.\(name)"
        var tiers = [ServiceTier.default: try self.tierPrice(model.standard, path)]
        for (tier, amounts) in model.tiers {
            tiers[tier] = try self.tierPrice(amounts, "\(path).tiers.\(tier.rawValue)")
        }
        let long = try model.longContext.map { long in
            var tiers = [ServiceTier.default: try self.tierPrice(long.standard, path + ".long_context")]
            for (tier, amounts) in long.tiers {
                tiers[tier] = try self.tierPrice(amounts, "\(path).long_context.tiers.\(tier.rawValue)")
            }
            return LongContextPrice(threshold: long.threshold, tiers: tiers)
        }
        return ModelPrice(
            priceID: "\(self.identity)/\(name)", model: name, endpoints: Set(model.endpoints),
            context: model.context, outputMax: model.outputMax, tiers: tiers, longContext: long,
            onDisconnect: model.onDisconnect)
    }

    /// Cost in atto-USD per token; price as named, or cost × markup. An unnamed cached or cache-write price is the
    /// input price when that one is named (CONTRACT §7).
    private func tierPrice(_ tier: Tier, _ path: String) throws -> TierPrice {
        guard let input = tier.cost.input, let output = tier.cost.output else {
            throw RateCardInvalid(problems: [RateCardProblem(.error, path + ".cost", "must name input and output")])
        }
        let costs = (
            input: input, cached: tier.cost.cachedInput ?? input, write: tier.cost.cacheWrite ?? input, output: output
        )
        func price(_ named: ExactDecimal?, _ cost: ExactDecimal, _ key: String) throws -> Int128 {
            try named.map { try Self.perToken($0, path + ".price." + key) }
                ?? self.marked(cost, path + ".cost." + key)
        }
        let inputPrice = tier.price.input
        return TierPrice(
            cost: TokenRates(
                input: try Self.cost(costs.input, path + ".cost.input"),
                cachedInput: try Self.cost(costs.cached, path + ".cost.cached_input"),
                cacheWrite: try Self.cost(costs.write, path + ".cost.cache_write"),
                output: try Self.cost(costs.output, path + ".cost.output")),
            price: TokenRates(
                input: try price(inputPrice, costs.input, "input"),
                cachedInput: try price(tier.price.cachedInput ?? inputPrice, costs.cached, "cached_input"),
                cacheWrite: try price(tier.price.cacheWrite ?? inputPrice, costs.write, "cache_write"),
                output: try price(tier.price.output, costs.output, "output")))
    }

    /// USD per 1M tokens, as whole pico-USD per token, in atto-USD.
    private static func cost(_ amount: ExactDecimal, _ path: String) throws -> Int128 {
        guard let pico = amount.scaledToInteger(powerOfTen: 6) else {
            throw self.inexact(path, "is finer than one pico-USD per token")
        }
        return try self.bounded(pico * AttoUSD.perPicoUSD, path)
    }

    /// cost × markup in atto-USD per token, exactly.
    private func marked(_ cost: ExactDecimal, _ path: String) throws -> Int128 {
        guard let price = cost.multiplied(by: self.markup) else { throw Self.inexact(path, "is too large") }
        return try Self.perToken(price, path)
    }

    /// USD per 1M tokens or credits per 1K tokens: both are 10^-6 USD = 10^12 atto-USD per token.
    private static func perToken(_ amount: ExactDecimal, _ path: String) throws -> Int128 {
        guard let value = amount.scaledToInteger(powerOfTen: 12) else {
            throw self.inexact(path, "has no exact value in atto-USD per token")
        }
        return try self.bounded(value, path)
    }

    private static func bounded(_ value: Int128, _ path: String) throws -> Int128 {
        // 1,000,000 USD per 1M tokens: beyond it a unit was mistaken.
        guard value <= 1_000_000_000_000_000_000 else { throw self.inexact(path, "is beyond 1,000,000 USD per 1M tokens") }
        return value
    }

    private static func inexact(_ path: String, _ message: String) -> RateCardInvalid {
        RateCardInvalid(problems: [RateCardProblem(.error, path, message)])
    }
}
