import Metering

/// What a model is sold for, as `activeRates` of the summary shows it: the standard tier, short input.
enum BillingRates {
    /// Credits per 1K tokens, characters or calls, or per second, as exact decimals. Text is always there;
    /// the rest only where the row prices it.
    static func json(_ row: ModelPrice) -> JSONValue {
        guard let rates = row.tiers[.default]?.price else {
            preconditionFailure("ModelPrice.init guarantees a default tier")
        }
        var fields: [(String, JSONValue)] = [
            ("model", .string(row.model)), ("priceId", .string(row.priceID)),
            ("inputCreditsPer1k", self.credits(rates.input)),
            ("cachedInputCreditsPer1k", self.credits(rates.cachedInput)),
            ("cacheWriteCreditsPer1k", self.credits(rates.cacheWrite)),
            ("outputCreditsPer1k", self.credits(rates.output)),
        ]
        if let long = rates.cacheWriteLong {
            fields.append(("cacheWrite12hCreditsPer1k", self.credits(long)))
        }
        fields += self.media("audio", rates.audio) + self.media("image", rates.image)
        if let millisecond = row.units.price.millisecond {
            fields.append(("creditsPerSecond", self.credits(millisecond)))
        }
        if let character = row.units.price.character {
            fields.append(("charactersCreditsPer1k", self.credits(character)))
        }
        let tools = row.units.price.tools.sorted { $0.key.rawValue < $1.key.rawValue }
        if !tools.isEmpty {
            let fees = tools.map { ($0.key.rawValue, self.credits($0.value)) }
            fields.append(("toolCreditsPer1kCalls", .object(fees)))
        }
        return .object(fields)
    }

    private static func media(_ medium: String, _ rates: MediaRates?) -> [(String, JSONValue)] {
        guard let rates else { return [] }
        return [
            ("\(medium)InputCreditsPer1k", self.credits(rates.input)),
            ("\(medium)CachedInputCreditsPer1k", self.credits(rates.cachedInput)),
            ("\(medium)OutputCreditsPer1k", self.credits(rates.output)),
        ]
    }

    /// A credit per 1K tokens, characters or calls, or per second, is 10^12 atto-USD per token, character,
    /// call or millisecond.
    private static func credits(_ rate: Int128) -> JSONValue {
        .string(ExactDecimal(coefficient: rate, scale: 12).description)
    }
}
