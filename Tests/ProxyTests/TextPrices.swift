import Metering

/// Rows for the other endpoints of text, at the rates of `FakePrices`.
enum TextPrices {
    static let rows: [ModelPrice] = [row("text-legacy", .completions), row("text-events", .responses)]

    private static func row(_ model: String, _ endpoint: Endpoint) -> ModelPrice {
        let unit = AttoUSD.perMillicredit
        let rates = TokenRates(
            input: Int128(FakePrices.inputRate) * unit, cachedInput: unit, cacheWrite: unit,
            output: Int128(FakePrices.outputRate) * unit)
        return ModelPrice(
            priceID: "test@1/\(model)", model: model, endpoints: [endpoint], context: 16_000, outputMax: 1000,
            tiers: [.default: TierPrice(cost: rates, price: rates)], longContext: nil, onDisconnect: nil)
    }
}
