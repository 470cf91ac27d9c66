import Metering

/// What looks wrong in a price list. A doubt changes nothing: it asks a person.
struct PriceListDoubts {
    /// Every row of the list by model, also those that the card leaves out.
    private let rows: [String: PriceListRow]
    private let retiredBefore: String

    init(_ rows: [PriceListRow], retiredBefore: String) {
        self.rows = Dictionary(rows.map { ($0.model, $0) }) { first, _ in first }
        self.retiredBefore = retiredBefore
    }

    func about(_ row: PriceListRow) -> [String] {
        self.standardRates(row) + self.tierRates(row) + self.longRates(row) + self.relatives(row)
            + self.limits(row)
    }

    private func standardRates(_ row: PriceListRow) -> [String] {
        var doubts: [String] = []
        let rates = row.standard
        guard let input = rates.amount(.input), let output = rates.amount(.output) else { return [] }
        if let cached = rates.amount(.cachedInput), input.isLess(than: cached) {
            doubts.append("cached input \(cached) is dearer than input \(input)")
        }
        if let write = rates.amount(.cacheWrite), write.isLess(than: input) {
            doubts.append("cache write \(write) is cheaper than input \(input)")
        }
        if row.mode != "embedding" && output.isLess(than: input) {
            doubts.append("output \(output) is cheaper than input \(input)")
        }
        if row.cells["genai_prices_agrees"] == "NO" { doubts.append("an independent list disagrees") }
        if row.model.hasSuffix("-latest") && row.mode != "moderation" {
            doubts.append(
                "follows whatever model OpenAI points it to: its price and context can change unseen")
        }
        return doubts
    }

    private func tierRates(_ row: PriceListRow) -> [String] {
        var doubts: [String] = []
        for tier in PriceListRow.tiers {
            guard let rates = row.short(tier) else { continue }
            if row.cells["\(tier.rawValue)_cache_write"] == nil && rates[.cacheWrite] != nil {
                doubts.append("\(tier.rawValue) names no cache_write: taken in proportion to input")
            }
            for part in RateCard.Part.tokens {
                guard let full = row.standard.amount(part) else { continue }
                guard let amount = rates.amount(part) else {
                    doubts.append(
                        "\(tier.rawValue) names no \(part.rawValue): it costs as \(tier.rawValue) input")
                    continue
                }
                if tier == .priority || tier == .ultrafast {
                    if amount.isLess(than: full) {
                        doubts.append(
                            "\(tier.rawValue) \(part.rawValue) \(amount) is below the standard \(full)")
                    }
                } else if full.multiplied(by: ExactDecimal(coefficient: 5, scale: 1)) != amount {
                    doubts.append("\(tier.rawValue) \(part.rawValue) is \(amount), not half of \(full)")
                }
            }
        }
        return doubts
    }

    private func longRates(_ row: PriceListRow) -> [String] {
        guard let long = row.long else { return [] }
        var doubts = RateCard.Part.allCases.compactMap { part -> String? in
            guard let full = row.standard.amount(part), let amount = long.amount(part) else { return nil }
            return amount.isLess(than: full)
                ? "long \(part.rawValue) \(amount) is below the short \(full)" : nil
        }
        var proportional: [String] = []
        for tier in PriceListRow.tiers where row.short(tier) != nil {
            switch row.long(tier)?.origin {
            case .inProportion: proportional.append(tier.rawValue)
            case .dearerOfShortAndStandard:
                doubts.append(
                    "\(tier.rawValue) has no long price: the dearer of its short and the standard long one"
                )
            case nil: doubts.append("\(tier.rawValue) has no long price: the standard long one is used")
            }
        }
        if !proportional.isEmpty && row.standard[.cachedInput] != nil {
            let names = proportional.joined(separator: ", ")
            doubts.append(
                "long cached and cache-write costs of \(names) are not listed: taken in proportion to input")
        }
        return doubts
    }

    /// Snapshots beside their undated name, and variants beside their family.
    private func relatives(_ row: PriceListRow) -> [String] {
        var doubts: [String] = []
        let undated = PriceListRow.undated(row.model)
        if undated != row.model, let relative = self.rows[undated] {
            if relative.standard != row.standard { doubts.append("is priced otherwise than \(undated)") }
            if let retired = relative.cells["deprecation_date"], retired < self.retiredBefore,
                row.cells["deprecation_date"] == nil
            {
                doubts.append("has no retirement date, but \(undated) retired on \(retired)")
            }
        }
        // gpt-5.4-nano → gpt-5.4
        var family = row.family.split(separator: "-", omittingEmptySubsequences: false)
        while family.count > 1 {
            family.removeLast()
            let name = family.joined(separator: "-")
            guard let relative = self.rows[name], let own = row.standard.amount(.input),
                let theirs = relative.standard.amount(.input)
            else { continue }
            let ten = ExactDecimal(coefficient: 10, scale: 0)
            if let tenfold = theirs.multiplied(by: ten), tenfold.isLess(than: own) {
                doubts.append("input \(own) is more than 10× that of \(name), \(theirs)")
            }
            if let tenfold = own.multiplied(by: ten), tenfold.isLess(than: theirs) {
                doubts.append("input \(own) is less than a tenth of that of \(name), \(theirs)")
            }
            if relative.standard[.cacheWrite] != nil && row.standard[.cacheWrite] == nil {
                doubts.append("names no cache-write cost, although \(name) does: it costs as input")
            }
            let reachesLong = (Int64(row.cells["max_input"] ?? "") ?? 0) > 272_000
            if relative.long != nil && row.long == nil && reachesLong {
                doubts.append("names no long-context price, although \(name) does")
            }
            break
        }
        return doubts
    }

    private func limits(_ row: PriceListRow) -> [String] {
        guard let outputMax = row.cells["max_output"].flatMap(Int64.init), row.mode != "embedding" else {
            return []
        }
        // Output limits are powers of two or round thousands; 4097 is the size of an old window, not of an
        // output.
        if outputMax % 2 == 1 { return ["max_output \(outputMax) is odd"] }
        return []
    }
}
