import Foundation
import Metering
import Testing

@testable import RateCards

/// The rates of a card, times a usage, against a sum of exact decimals that knows nothing of the price table.
/// `TOLLGATE_SEED` repeats a run.
@Suite struct RatesPropertyTests {
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            self.state &+= 0x9E37_79B9_7F4A_7C15
            var bits = self.state
            bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
            bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
            return bits ^ (bits >> 31)
        }
    }

    /// A card in which chance has named costs and prices, and what each thing then costs, by the README.
    private struct Sample {
        var yaml: String
        var cost: [String: String] = [:]
        var price: [String: String] = [:]
        var markup: String
        var uplift: String

        static let optional = [
            "cached_input", "cache_write", "cache_write_12h", "audio_input", "audio_cached_input",
            "audio_output",
            "image_input", "image_cached_input", "image_output", "second", "characters",
        ]

        init(_ random: inout Generator) {
            func amount(_ digits: Int, _ random: inout Generator) -> String {
                ExactDecimal(
                    coefficient: Int128(Int64.random(in: 1...9_999_999, using: &random)), scale: digits
                )
                .description
            }
            self.markup = amount(6, &random)
            self.uplift = Bool.random(using: &random) ? "1.1" : "1"
            for name in ["input", "output"] + Self.optional
            where name.hasSuffix("put") && !name.contains("_")
                || Bool.random(using: &random)
            {
                self.cost[name] = amount(name == "second" ? 6 : 4, &random)
                if Int.random(in: 0..<4, using: &random) == 0 { self.price[name] = amount(6, &random) }
            }
            func map(_ amounts: [String: String]) -> String {
                let pairs = amounts.sorted { $0.key < $1.key }.map { "\($0.key): \"\($0.value)\"" }
                return "{\(pairs.joined(separator: ", "))}"
            }
            var row = "endpoints: [chat]\ncontext: 1000\nmax_output: 100\ncost: \(map(self.cost))\n"
            if !self.price.isEmpty { row += "price: \(map(self.price))\n" }
            self.yaml = FullFormatTests.card(
                row + "regional_uplift: {us: \"\(self.uplift)\"}\n", markup: self.markup)
        }

        func priced(_ medium: String) -> Bool { self.cost.keys.contains { $0.hasPrefix(medium + "_") } }

        /// The key that names the cost of a part.
        func key(_ part: String) -> String {
            if self.cost[part] != nil { return part }
            switch part {
            case "audio_cached_input": return self.key("audio_input")
            case "image_cached_input":
                return self.priced("image") ? self.key("image_input") : self.key("cached_input")
            case "audio_output", "image_output": return "output"
            default: return "input"
            }
        }

        /// USD per 1M, or per second.
        func cost(of part: String) throws -> ExactDecimal {
            let key = self.key(part)
            let cost = try ExactDecimal(parsing: try #require(self.cost[key]))
            guard key != "second", key != "characters" else { return cost }
            return try #require(cost.multiplied(by: try ExactDecimal(parsing: self.uplift)))
        }

        /// Credits per 1K, or per second.
        func price(of part: String) throws -> ExactDecimal {
            let key = self.key(part)
            var names = [part]
            if !part.hasSuffix("output") && part != "second" && part != "characters" {
                names.append(
                    part.hasPrefix("audio")
                        ? "audio_input" : part.hasPrefix("image") ? "image_input" : "input")
                if part == "audio_input" || part == "image_input" { names.removeLast() }
            }
            if key != part {
                names.append(key)
                if ["cached_input", "cache_write"].contains(key) || key == "audio_cached_input" {
                    names.append("input")
                }
            }
            for name in names { if let named = self.price[name] { return try ExactDecimal(parsing: named) } }
            let factor = ExactDecimal(coefficient: part == "second" ? 1000 : 1, scale: 0)
            let marked = try self.cost(of: part).multiplied(by: try ExactDecimal(parsing: self.markup))
            return try #require(marked?.multiplied(by: factor))
        }
    }

    private static func usage(_ sample: Sample, _ random: inout Generator) -> (Usage, [(String, Int64)]) {
        var parts: [(String, Int64)] = []
        func count(_ name: String, _ isCounted: Bool = true) -> Int64 {
            let count = isCounted ? Int64.random(in: 0...1_000_000, using: &random) : 0
            if count > 0 { parts.append((name, count)) }
            return count
        }
        var usage = Usage(
            input: count("input"), cachedInput: count("cached_input"), cacheWrite: count("cache_write"),
            output: count("output"))
        usage.reasoning = count("output")
        usage.cacheWriteLong = count("cache_write_12h", sample.cost["cache_write_12h"] != nil)
        let audio = sample.priced("audio")
        usage.audio = MediaTokens(
            input: count("audio_input", audio), cachedInput: count("audio_cached_input", audio),
            output: count("audio_output", audio))
        // Images are charged as text where they have no rates.
        usage.image = MediaTokens(
            input: count("image_input"), cachedInput: count("image_cached_input"),
            output: count("image_output"))
        usage.inputMilliseconds = count("second", sample.cost["second"] != nil)
        usage.characters = count("characters", sample.cost["characters"] != nil)
        return (usage, parts)
    }

    /// Σ count × amount in atto-USD: an amount per 1M is 10^12 of them a token, one per second 10^15 a
    /// millisecond.
    private static func sum(
        _ parts: [(String, Int64)], secondsTo power: Int, _ amount: (String) throws -> ExactDecimal
    ) throws -> Int128 {
        try parts.reduce(0) { sum, part in
            let product = try amount(part.0).multiplied(
                by: ExactDecimal(coefficient: Int128(part.1), scale: 0))
            return sum + (try #require(product?.scaledToInteger(powerOfTen: part.0 == "second" ? power : 12)))
        }
    }

    @Test func chargesAreTheSumOfExactDecimals() throws {
        let named = ProcessInfo.processInfo.environment["TOLLGATE_SEED"].flatMap { UInt64($0) }
        let seed = named ?? .random(in: 0 ... .max)
        var random = Generator(state: seed)
        for round in 0..<300 {
            let sample = Sample(&random)
            let (usage, parts) = Self.usage(sample, &random)
            let replay = Comment(rawValue: "TOLLGATE_SEED=\(seed), round \(round):\n\(sample.yaml)")
            let card = try RateCard(parsing: sample.yaml)
            let row = try #require(try card.priceTable(mode: .exact, region: .us).row(for: "m"))
            let cost = try Self.sum(parts, secondsTo: 15) { try sample.cost(of: $0) }
            let price = try Self.sum(parts, secondsTo: 12) { try sample.price(of: $0) }
            let charge = try row.charge(for: usage, served: .default, mode: .exact)
            #expect(Int128(charge.cost.value) == (cost + 500_000) / 1_000_000, replay)
            #expect(charge.amount == (try Millicredits(rounding: AttoUSD(price), mode: .exact)), replay)
        }
    }
}
