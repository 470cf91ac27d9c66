import Metering

/// Rows for what is heard, spoken and drawn: 3 millicredits per second, 5 per character, and 2 to 8 per token.
enum MediaPrices {
    static let secondRate: Int64 = 3
    static let characterRate: Int64 = 5

    static let rows: [ModelPrice] = [
        row("whisper-1", .audio, .free, millisecond: AttoUSD.perMillicredit * Int128(secondRate) / 1000),
        row("gpt-4o-transcribe", .audio, .tokens),
        row("tts-1", .audio, .free, character: AttoUSD.perMillicredit * Int128(characterRate)),
        row("gpt-4o-mini-tts", .audio, .tokens), row("gpt-image-1.5", .images, .tokens),
        row("gpt-responses", .responses, .tokens), row("gpt-other", .responses, .tokens),
    ]

    private enum Tokens { case free, tokens }

    private static func row(
        _ model: String, _ endpoint: Endpoint, _ tokens: Tokens, millisecond: Int128? = nil,
        character: Int128? = nil
    ) -> ModelPrice {
        let unit = tokens == .free ? 0 : AttoUSD.perMillicredit
        let media = MediaRates(input: 2 * unit, cachedInput: unit, output: 8 * unit)
        let rates = TokenRates(
            input: 2 * unit, cachedInput: unit, cacheWrite: 2 * unit, output: 8 * unit,
            audio: tokens == .free ? nil : media, image: media)
        let units = UnitRates(millisecond: millisecond, character: character)
        return ModelPrice(
            priceID: "test@1/\(model)", model: model, endpoints: [endpoint], context: 16_000,
            outputMax: endpoint == .images ? 20_000 : tokens == .free ? 0 : 2_000,
            tiers: [.default: TierPrice(cost: rates, price: rates)], longContext: nil,
            units: UnitPrice(cost: units, price: units), onDisconnect: nil)
    }
}
