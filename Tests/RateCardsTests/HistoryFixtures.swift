import Metering

@testable import RateCards

/// Cards and rows of the ledger for what looks back.
enum History {
    static func card(
        version: String = "1", markup: String = "2.0", output: String = "4", models: String = "",
        tools: String = "10"
    ) throws -> RateCard {
        try RateCard(
            parsing: """
                card: test
                version: "\(version)"
                effective_from: 2026-01-01T00:00:00Z
                markup: "\(markup)"
                models:
                  m:
                    encoding: o200k_base
                    endpoints: [chat, responses]
                    context: 100000
                    max_output: 10000
                    cost: {input: "1", cached_input: "0.1", output: "\(output)", audio_input: "30", audio_output: "60"}
                    tiers: {flex: {cost: {input: "0.5", output: "2", audio_input: "15", audio_output: "30"}}}
                    regional_uplift: {eu: "1.1"}
                \(models)
                tools: {web_search: {cost_per_1k_calls: "\(tools)"}}
                """)
    }

    /// A row as a release with this card would have written it.
    static func record(
        _ usage: Usage, by card: RateCard, account: AccountID = 1, kind: Settlement.Kind = .final,
        tier: String? = nil, model: String = "m", mode: RoundingMode = .exact, region: Region? = nil
    ) throws -> UsageRecord {
        let table = try card.priceTable(mode: mode, region: region)
        guard let row = table.row(for: model) else {
            preconditionFailure("the caller names a row of the card")
        }
        let served = tier.map { ServiceTier(apiLiteral: $0) } ?? .default
        let charge = try row.charge(for: usage, served: served, mode: mode)
        return UsageRecord(
            account: account, user: "user\(account)",
            hold: HoldID(millisecondsSinceEpoch: 1_800_000_000_000, randomA: 1, randomB: 2), kind: kind,
            endpoint: .chat, model: model, servedTier: tier, priceID: row.priceID, usage: usage,
            charged: kind == .waived ? .zero : charge.amount, shadow: charge.amount, cost: charge.cost)
    }

    /// With audio and a tool.
    static var rich: Usage {
        var usage = Usage(input: 1000, cachedInput: 333, output: 77, reasoning: 5)
        usage.audio = MediaTokens(input: 11, output: 3)
        usage.tools[.webSearch] = 2
        return usage
    }
}
