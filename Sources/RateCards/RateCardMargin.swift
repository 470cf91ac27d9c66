import Metering

/// What remains of one rate after its cost. Price and cost are the same unit (1 USD per 1M = 1 credit per
/// 1K).
public struct RateCardMargin: Sendable, Hashable {
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

    static func all(of model: RateCard.Model, named name: String, markup: ExactDecimal) -> [RateCardMargin] {
        model.pricedTiers.flatMap { path, tier in
            RateCard.Part.allCases.compactMap { part in
                guard let price = tier.price(of: part, markup: markup), let cost = tier.cost(of: part) else {
                    return nil
                }
                return RateCardMargin(model: name, path: path + part.rawValue, price: price, cost: cost)
            }
        }
    }
}
