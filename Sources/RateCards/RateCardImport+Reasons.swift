import Metering

/// Why a row of the list, or a price of it, is not in the draft.
extension RateCardImport {
    /// nil: the row is in the card.
    func reasonToLeaveOut(_ row: PriceListRow) -> String? {
        if row.mode == "tool" { return "is a tool that is not priced per call" }
        guard Self.modes.contains(row.mode) else {
            return "mode \(row.mode) has no endpoint here"
        }
        if row.cells["usd_per_image"] != nil { return "is priced per image, by size and quality" }
        if let retired = row.cells["deprecation_date"], retired < self.settings.effectiveFrom.prefix(10) {
            return "retired on \(retired)"
        }
        if row.model.contains("-search") { return "every request carries a search fee" }
        if Self.endpoints(row).isEmpty { return "is served at no endpoint of a card" }
        return self.reasonInCosts(row) ?? self.reasonInRates(row)
    }

    private static let modes: Set<String> = [
        "chat", "responses", "completion", "embedding", "moderation", "image_generation",
        "audio_transcription", "audio_speech",
    ]

    /// Without tokens only what a row has instead; else input, output and the limits of both.
    private func reasonInCosts(_ row: PriceListRow) -> String? {
        let rates = row.standard
        if row.isPricedByUnits { return nil }
        let outputs: [RateCard.Part] =
            switch row.mode {
            case "image_generation": [.output, .imageOutput]
            case "audio_transcription", "audio_speech": [.output, .audioOutput]
            default: [.output]
            }
        if rates[.input] == nil { return "has no input price" }
        if outputs.allSatisfy({ rates[$0] == nil }) { return "has no output price" }
        if row.cells["max_input"] == nil { return "has no context size" }
        if row.cells["max_output"] == nil && row.mode != "embedding" { return "has no maximal output" }
        return nil
    }

    private func reasonInRates(_ row: PriceListRow) -> String? {
        let all =
            ([.default] + PriceListRow.tiers).flatMap { [row.short($0), row.long($0)?.rates] } + [row.long]
        let factors = ["1"] + Self.uplift(row).map(\.factor)
        for rates in all.compactMap({ $0 }) {
            for part in RateCard.Part.allCases {
                guard let text = rates[part] else { continue }
                let isExact = (part.measure == .token ? factors : ["1"]).allSatisfy { factor in
                    guard let amount = try? ExactDecimal(parsing: text),
                        let raised = (try? ExactDecimal(parsing: factor)).flatMap(amount.multiplied(by:))
                    else { return false }
                    return (try? RateCard.rate(cost: raised, per: part.measure)) != nil
                }
                guard !isExact else { continue }
                return "\(part.rawValue) \(text) is not a whole number of pico-USD per \(part.measure.single)"
            }
        }
        return nil
    }

    static func notExpressed(_ row: PriceListRow) -> [String] {
        var reasons: [String] = []
        if row.hasMediaAtStandardOnly {
            reasons += PriceListRow.tiers.compactMap { tier in
                row.cells["\(tier.rawValue)_input"].map {
                    "tier \(tier.rawValue), input at \($0): it lists no price of media output"
                }
            }
        }
        if let input = row.cells["decisions_input"] {
            reasons.append("endpoint decisions, input at \(input)")
        }
        return reasons
    }
}
