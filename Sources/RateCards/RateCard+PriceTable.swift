import Metering

extension RateCard {
    /// The prices that charges are computed from.
    ///
    /// - Throws: `RateCardInvalid`, naming every amount that has no exact value in the units of a charge.
    public func priceTable(mode: RoundingMode) throws -> PriceTable {
        var pricer = Pricer(markup: self.markup)
        let rows = self.models.sorted { $0.key < $1.key }.compactMap { name, model in
            pricer.row(model, named: name, on: self.identity)
        }
        guard pricer.problems.isEmpty else { throw RateCardInvalid(problems: pricer.problems) }
        return PriceTable(version: self.identity, mode: mode, rows: rows)
    }

    /// Why an amount of the file has no place in a charge.
    struct InexactAmount: Error {
        var message: String
    }

    /// Both 1 USD per 1M tokens and 1 credit per 1K tokens are 10^-6 USD = 10^12 atto-USD per token. Beyond
    /// 1,000,000 of them a unit was mistaken.
    private static let perTokenMax: Int128 = 1_000_000_000_000_000_000

    /// USD per 1M tokens to atto-USD per token; the cost must be a whole number of pico-USD.
    static func costPerToken(_ cost: ExactDecimal) throws(InexactAmount) -> Int128 {
        let value = try self.perToken(cost)
        guard value % AttoUSD.perPicoUSD == 0 else {
            throw InexactAmount(
                message: "is not a whole number of pico-USD per token (six digits after the point)")
        }
        return value
    }

    /// Credits per 1K tokens to atto-USD per token.
    static func pricePerToken(_ price: ExactDecimal) throws(InexactAmount) -> Int128 {
        try self.perToken(price)
    }

    /// cost × markup, exactly, in atto-USD per token.
    static func pricePerToken(_ cost: ExactDecimal, markup: ExactDecimal) throws(InexactAmount) -> Int128 {
        guard let price = cost.multiplied(by: markup) else {
            throw InexactAmount(message: "times the markup is beyond 1,000,000 credits per 1K tokens")
        }
        do throws(InexactAmount) {
            return try self.perToken(price)
        } catch {
            throw InexactAmount(message: "times the markup (\(price)) \(error.message)")
        }
    }

    private static func perToken(_ amount: ExactDecimal) throws(InexactAmount) -> Int128 {
        guard amount.scale <= 12 else {
            throw InexactAmount(
                message: "has no exact value in atto-USD per token (twelve digits after the point)")
        }
        // nil is an overflow here, so the amount is beyond the limit as well.
        guard let value = amount.scaledToInteger(powerOfTen: 12), value <= self.perTokenMax else {
            throw InexactAmount(message: "is beyond 1,000,000 USD per 1M tokens")
        }
        guard value >= 0 else { throw InexactAmount(message: "must not be negative") }
        return value
    }
}

/// Turns rows into `ModelPrice`s and collects what cannot be expressed.
private struct Pricer {
    let markup: ExactDecimal
    var problems: [RateCardProblem] = []

    mutating func row(_ model: RateCard.Model, named name: String, on card: String) -> ModelPrice? {
        let path = "models.\(name)."
        let before = self.problems.count
        var tiers = [ServiceTier.default: self.price(model.standard, path)]
        for (tier, amounts) in model.tiers {
            tiers[tier] = self.price(amounts, path + "tiers.\(tier.rawValue).")
        }
        var long: LongContextPrice?
        if let named = model.longContext {
            var tiers = [ServiceTier.default: self.price(named.standard, path + "long_context.")]
            for (tier, amounts) in named.tiers {
                tiers[tier] = self.price(amounts, path + "long_context.tiers.\(tier.rawValue).")
            }
            long = LongContextPrice(threshold: named.threshold, tiers: tiers)
        }
        guard self.problems.count == before else { return nil }
        return ModelPrice(
            priceID: "\(card)/\(name)", model: name, endpoints: Set(model.endpoints), context: model.context,
            outputMax: model.outputMax, tiers: tiers, longContext: long, onDisconnect: model.onDisconnect)
    }

    private mutating func price(_ tier: RateCard.Tier, _ path: String) -> TierPrice {
        func rate(_ part: RateCard.Part, _ compute: (RateCard.Part) throws -> Int128?) -> Int128 {
            do {
                if let value = try compute(part) { return value }
                self.problems.append(RateCardProblem(.error, path + "cost." + part.rawValue, "is missing"))
            } catch let inexact as RateCard.InexactAmount {
                self.problems.append(RateCardProblem(.error, path + "cost." + part.rawValue, inexact.message))
            } catch {
                self.problems.append(RateCardProblem(.error, path + "cost." + part.rawValue, "\(error)"))
            }
            return 0
        }
        func rates(_ compute: (RateCard.Part) throws -> Int128?) -> TokenRates {
            TokenRates(
                input: rate(.input, compute), cachedInput: rate(.cachedInput, compute),
                cacheWrite: rate(.cacheWrite, compute), output: rate(.output, compute))
        }
        let cost = rates { part in try tier.cost(of: part).map(RateCard.costPerToken) }
        let price = rates { part in
            if let named = tier.namedPrice(of: part) { return try RateCard.pricePerToken(named) }
            return try tier.cost(of: part).map { try RateCard.pricePerToken($0, markup: self.markup) }
        }
        return TierPrice(cost: cost, price: price)
    }
}
