import Metering

/// What remains of one rate after its cost. Both are in the unit of the price: credits per 1K tokens,
/// characters or calls, or per second.
public struct RateCardMargin: Sendable, Hashable {
    /// `(card)` for the fees of tools that every row has.
    public var model: String
    /// Path below the row, such as `tiers.batch.output`.
    public var path: String
    public var price: ExactDecimal
    public var cost: ExactDecimal

    public var isNegative: Bool { self.price.isLess(than: self.cost) }

    /// (price − cost) ÷ price in tenths of a percent, rounded down; nil when the price is 0.
    public var perMille: Int64? {
        let scale = max(self.price.scale, self.cost.scale)
        guard let price = self.price.scaledToInteger(powerOfTen: scale),
            let cost = self.cost.scaledToInteger(powerOfTen: scale), price > 0
        else { return nil }
        let (thousandfold, overflow) = (price - cost).multipliedReportingOverflow(by: 1000)
        guard !overflow else { return nil }
        let (quotient, remainder) = thousandfold.quotientAndRemainder(dividingBy: price)
        return Int64(exactly: remainder < 0 ? quotient - 1 : quotient)
    }

    /// `50.0 %`, `free` (price and cost 0) or `given away` (price 0, cost not).
    public var text: String {
        guard let perMille else { return self.isNegative ? "given away" : "free" }
        let sign = perMille < 0 ? "-" : ""
        return "\(sign)\(perMille.magnitude / 10).\(perMille.magnitude % 10) %"
    }

    /// Of every rate; the fees of tools come first.
    static func all(of card: RateCard) -> [RateCardMargin] {
        Self.all(of: card.tools, named: "(card)", markup: card.markup)
            + card.models.sorted { $0.key < $1.key }.flatMap { name, model in
                Self.all(of: model, named: name, markup: card.markup)
            }
    }

    static func all(of model: RateCard.Model, named name: String, markup: ExactDecimal) -> [RateCardMargin] {
        let parts = model.pricedTiers.flatMap { path, tier in
            RateCard.Part.allCases.compactMap { part -> RateCardMargin? in
                guard let price = tier.price(of: part, markup: markup),
                    let cost = tier.cost(of: part).flatMap({ part.measure.credits(of: $0) })
                else { return nil }
                return RateCardMargin(model: name, path: path + part.rawValue, price: price, cost: cost)
            }
        }
        return parts + self.all(of: model.tools, named: name, markup: markup)
    }

    static func all(
        of tools: [ToolKind: RateCard.ToolFee], named name: String, markup: ExactDecimal
    ) -> [RateCardMargin] {
        RateCard.Model.sorted(tools).compactMap { tool, fee in
            guard let price = fee.price(markup: markup),
                let cost = RateCard.Measure.call.credits(of: fee.cost)
            else { return nil }
            return RateCardMargin(model: name, path: "tools.\(tool.rawValue)", price: price, cost: cost)
        }
    }

    /// Place in the file.
    var place: String { self.model == "(card)" ? self.path : "models.\(self.model).\(self.path)" }
}
