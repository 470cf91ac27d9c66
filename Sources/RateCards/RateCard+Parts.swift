import Metering

extension RateCard {
    /// Everything that a `cost:` or `price:` map can name; the raw value is its key in the file. This is the
    /// one list: reading, printing, comparing and pricing walk it.
    public enum Part: String, Sendable, Hashable, CaseIterable {
        case input
        case cachedInput = "cached_input"
        case cacheWrite = "cache_write"
        case cacheWriteLong = "cache_write_12h"
        case output
        case audioInput = "audio_input"
        case audioCachedInput = "audio_cached_input"
        case audioOutput = "audio_output"
        case imageInput = "image_input"
        case imageCachedInput = "image_cached_input"
        case imageOutput = "image_output"
        case second
        case characters

        /// What a tier, or the rates of long input, can name.
        static let tokens = Self.allCases.filter { $0.measure == .token }

        var measure: Measure {
            switch self {
            case .second: .second
            case .characters: .character
            default: .token
            }
        }

        var medium: Medium? { Medium.allCases.first { $0.parts.contains(self) } }

        /// The input of which this is a kind. Where that has a named price, it is the price of an unnamed
        /// kind.
        var wholeInput: Part? {
            switch self {
            case .cachedInput, .cacheWrite, .cacheWriteLong: .input
            case .audioCachedInput: .audioInput
            case .imageCachedInput: .imageInput
            default: nil
            }
        }
    }

    /// Media whose tokens can have amounts of their own. A tier prices a medium when its costs name one of
    /// its parts.
    enum Medium: String, Sendable, CaseIterable {
        case audio, image

        var parts: [Part] {
            switch self {
            case .audio: [.audioInput, .audioCachedInput, .audioOutput]
            case .image: [.imageInput, .imageCachedInput, .imageOutput]
            }
        }
    }

    /// Amounts by part. Costs are USD per 1M tokens or characters, or per second; prices are credits per 1K
    /// tokens or characters, or per second. nil: not named.
    public struct Amounts: Sendable, Hashable {
        private var named: [Part: ExactDecimal] = [:]

        public init() {}

        public subscript(part: Part) -> ExactDecimal? {
            get { self.named[part] }
            set { self.named[part] = newValue }
        }

        /// The named amounts, in the order of `Part`.
        var all: [(part: Part, amount: ExactDecimal)] {
            Part.allCases.compactMap { part in self[part].map { (part, $0) } }
        }
    }

    /// What one tier costs and what it is sold for, as named in the file.
    public struct Tier: Sendable, Hashable {
        public var cost = Amounts()
        public var price = Amounts()

        public init() {}

        /// What a part costs: as named, or as the part that stands in for it. nil: nothing prices it.
        public func cost(of part: Part) -> ExactDecimal? { self.source(of: part).flatMap { self.cost[$0] } }

        /// What a part is sold for, when the file names it. An unnamed kind of input has the named price of
        /// that input; a part without a cost of its own has the price of the part that stands in for it.
        public func namedPrice(of part: Part) -> ExactDecimal? {
            if let named = self.price[part] ?? part.wholeInput.flatMap({ self.price[$0] }) { return named }
            guard let source = self.source(of: part), source != part else { return nil }
            return self.namedPrice(of: source)
        }

        /// What a part is sold for: as named, else cost × markup. nil: nothing prices it.
        public func price(of part: Part, markup: ExactDecimal) -> ExactDecimal? {
            guard let cost = self.cost(of: part) else { return nil }
            return self.namedPrice(of: part) ?? part.measure.credits(of: cost)?.multiplied(by: markup)
        }

        /// The part whose named cost is the cost of this one: itself, or what stands in for it.
        private func source(of part: Part) -> Part? {
            if let medium = part.medium, !self.prices(medium) { return nil }
            guard self.cost[part] == nil else { return part }
            switch part {
            case .cachedInput, .cacheWrite, .audioInput, .imageInput: return self.source(of: .input)
            case .audioCachedInput: return self.source(of: .audioInput)
            case .imageCachedInput: return self.source(of: .imageInput)
            case .audioOutput, .imageOutput: return self.source(of: .output)
            // A reply need not say that all of its output is an image; it must not be free for that.
            case .output: return [.imageOutput, .audioOutput].first { self.cost[$0] != nil }
            // A write for 12 hours is dearer than any other input: nothing may stand in for it.
            case .input, .cacheWriteLong, .second, .characters: return nil
            }
        }

        func prices(_ medium: Medium) -> Bool { medium.parts.contains { self.cost[$0] != nil } }
    }
}

extension RateCard {
    /// What an amount is for.
    enum Measure: Sendable {
        case token, character, second, call

        /// Credits of the price's unit per USD of the cost's. 1 USD per 1M and 1 credit per 1K are the same
        /// amount; of seconds and of 1K calls cost and price count the same number, and a USD is 1,000
        /// credits.
        private var creditsPerUSD: ExactDecimal {
            switch self {
            case .token, .character: ExactDecimal(coefficient: 1, scale: 0)
            case .second, .call: ExactDecimal(coefficient: 1000, scale: 0)
            }
        }

        /// A cost in the unit of the prices; nil on overflow.
        func credits(of cost: ExactDecimal) -> ExactDecimal? { cost.multiplied(by: self.creditsPerUSD) }

        /// What a charge multiplies.
        var single: String {
            switch self {
            case .token: "token"
            case .character: "character"
            case .second: "millisecond"
            case .call: "call"
            }
        }

        /// Most digits after the point of a cost that is a whole number of pico-USD per `single`.
        var costDigits: String {
            switch self {
            case .token, .character: "six"
            case .second, .call: "nine"
            }
        }

        /// 1 USD per `single`: beyond it a unit was mistaken.
        var most: String {
            switch self {
            case .token: "1,000,000 USD per 1M tokens"
            case .character: "1,000,000 USD per 1M characters"
            case .second: "1,000 USD per second"
            case .call: "1,000 USD per 1K calls"
            }
        }
    }

    /// Why an amount of the file has no place in a charge.
    struct InexactAmount: Error {
        var message: String
    }

    private static let perSingleMax = AttoUSD.perPicoUSD * 1_000_000_000_000

    /// A cost in atto-USD per token, character, millisecond or call; it must be a whole number of pico-USD.
    static func rate(cost: ExactDecimal, per measure: Measure) throws(InexactAmount) -> Int128 {
        guard let credits = measure.credits(of: cost) else {
            throw InexactAmount(message: "is beyond \(measure.most)")
        }
        let value = try self.rate(price: credits, per: measure)
        guard value % AttoUSD.perPicoUSD == 0 else {
            throw InexactAmount(
                message: "is not a whole number of pico-USD per \(measure.single) "
                    + "(\(measure.costDigits) digits after the point)")
        }
        return value
    }

    /// A price in atto-USD per token, character, millisecond or call. Each unit of prices is 10^-6 USD of
    /// one.
    static func rate(price: ExactDecimal, per measure: Measure) throws(InexactAmount) -> Int128 {
        guard price.scale <= 12 else {
            throw InexactAmount(
                message: "has no exact value in atto-USD per \(measure.single) "
                    + "(twelve digits after the point)")
        }
        // nil is an overflow here, so the amount is beyond the limit as well.
        guard let value = price.scaledToInteger(powerOfTen: 12), value <= self.perSingleMax else {
            throw InexactAmount(message: "is beyond \(measure.most)")
        }
        guard value >= 0 else { throw InexactAmount(message: "must not be negative") }
        return value
    }

    /// cost × markup, exactly, in atto-USD per token, character, millisecond or call.
    static func rate(
        marking cost: ExactDecimal, up markup: ExactDecimal, per measure: Measure
    ) throws(InexactAmount) -> Int128 {
        guard let price = measure.credits(of: cost)?.multiplied(by: markup) else {
            throw InexactAmount(message: "times the markup is beyond \(measure.most)")
        }
        do throws(InexactAmount) {
            return try self.rate(price: price, per: measure)
        } catch {
            throw InexactAmount(message: "times the markup (\(price)) \(error.message)")
        }
    }
}
