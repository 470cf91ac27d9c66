import Metering

/// What this process settled, by the model whose price was charged: a bounded set, unlike the names that clients choose
/// (`ft:…`).
struct ModelSums: Sendable {
    private struct Sums: Sendable {
        var millicredits: Int128 = 0
        var picoUSD: Int128 = 0
        var exchanges = 0
        var inputTokens: Int128 = 0
        var outputTokens: Int128 = 0

        mutating func add(_ settlement: Settlement) {
            self.millicredits += Int128(settlement.charge.amount.value)
            self.picoUSD += Int128(settlement.charge.cost.value)
            self.exchanges += 1
            self.inputTokens += Int128(settlement.usage.inputTotal)
            self.outputTokens += Int128(settlement.usage.outputTotal)
        }
    }

    /// By price id: `card@version/model`. No text is made for a settlement.
    private var byPrice: [String: Sums] = [:]

    /// Price ids are those of our own cards; this bounds a mistake.
    private static let pricesMax = 2_000

    mutating func add(_ settlement: Settlement) {
        let isRoom = self.byPrice.count < Self.pricesMax || self.byPrice[settlement.priceID] != nil
        self.byPrice[isRoom ? settlement.priceID : "other", default: Sums()].add(settlement)
    }

    func samples() -> [MetricSample] {
        self.byPrice.flatMap { price, sums in
            let model = MetricSample.Label("model", Settlement.model(ofPrice: price))
            func counter(
                _ name: String, _ help: String, _ value: Int128, scale: Int, _ more: [MetricSample.Label] = []
            ) -> MetricSample {
                MetricSample(
                    name, help: help, kind: .counter, labels: [model] + more,
                    value: ExactDecimal(coefficient: value, scale: scale))
            }
            let tokens = "Tokens of settled exchanges, by priced model."
            return [
                counter(
                    "billing_credits_deducted_total", "Credits charged, by priced model.", sums.millicredits,
                    scale: 3),
                counter(
                    "billing_cost_usd_total", "What OpenAI charges for settled exchanges, by priced model.",
                    sums.picoUSD, scale: 12),
                counter(
                    "billing_exchanges_total", "Settled exchanges that were not free, by priced model.",
                    Int128(sums.exchanges), scale: 0),
                counter(
                    "billing_tokens_total", tokens, sums.inputTokens, scale: 0, [.init("direction", "input")]),
                counter(
                    "billing_tokens_total", tokens, sums.outputTokens, scale: 0,
                    [.init("direction", "output")]),
            ]
        }
    }
}
