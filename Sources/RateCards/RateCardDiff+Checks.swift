import Metering

extension RateCardDiff {
    /// What is legal but hardly meant.
    mutating func check(_ model: RateCard.Model, _ path: String) {
        if !["o200k_base", "o200k_harmony", "cl100k_base", "p50k_base"].contains(model.encoding) {
            self.warn(
                .warning, path + ".encoding", "'\(model.encoding)' is unknown: bytes will bound its tokens")
        }
        self.checkKinds(model, path)
        guard let long = model.longContext else { return }
        if let context = model.context, long.threshold >= context {
            self.warn(
                .warning, path + ".long_context.threshold", "is never reached: the context is \(context)")
        }
        for (tier, short) in [(ServiceTier.default, model.standard)] + RateCard.Model.sorted(model.tiers) {
            let rates = long.tiers[tier] ?? long.standard
            for part in RateCard.Part.allCases {
                guard let longCost = rates.cost(of: part), let cost = short.cost(of: part) else { continue }
                guard longCost.isLess(than: cost) else { continue }
                self.warn(
                    .warning, path + ".long_context",
                    "\(tier.rawValue) \(part.rawValue) is cheaper than for short input")
            }
        }
    }

    /// What is priced at one tier or length and not at another is refused at all of them; what has two prices
    /// is charged both.
    private mutating func checkKinds(_ model: RateCard.Model, _ path: String) {
        func check(_ what: String, _ isPriced: (RateCard.Tier) -> Bool) {
            let without = model.pricedTiers.filter { !isPriced($0.tier) }.map { $0.path }
            guard let first = without.first, without.count < model.pricedTiers.count else { return }
            self.warn(
                .warning, "\(path).\(first)cost",
                "names no cost of \(what), other rates of this row do: such requests will be refused")
        }
        check("audio") { $0.prices(.audio) }
        check("12-hour cache writes") { $0.cost[.cacheWriteLong] != nil }
        let cost = model.standard.cost
        guard cost[.input] != nil, cost[.second] != nil || cost[.characters] != nil else { return }
        self.warn(
            .warning, path + ".cost",
            "names tokens beside seconds or characters: all that are reported are charged")
    }
}
