import Foundation
import Yams

/// What an exchange costs, computed from a rate card's file and the usage in a reply: on purpose not by the code that
/// charges. Text of one model at its standard rates; anything else is nil, never a guess.
public struct UsagePricer: Sendable {
    private let markup: Decimal
    private let standard: Rates
    private let long: (threshold: Int, rates: Rates)?

    /// US dollars for a million tokens, which is millicredits for one.
    private struct Rates: Sendable {
        var input: Decimal
        var cached: Decimal
        var output: Decimal
    }

    /// The parts of a usage report that text has.
    public struct Usage: Equatable, Sendable {
        public var input: Int
        public var cached: Int
        public var output: Int
    }

    public init(rateCard yaml: String, model: String) throws(ScenarioError) {
        let field = "rate card"
        guard let root = (try? Yams.compose(yaml: yaml)) ?? nil else { throw ScenarioError(field, "no YAML") }
        guard let row = root["models"]?[model] else {
            throw ScenarioError("model", "the rate card has no \(model)")
        }
        guard row["price"] == nil else {
            throw ScenarioError(field, "\(model) has prices of its own, which this does not compute")
        }
        guard let markup = root["markup"].flatMap(Self.decimal), let standard = Self.rates(row) else {
            throw ScenarioError(field, "\(model) wants a markup and costs of input and output")
        }
        self.markup = markup
        self.standard = standard
        if let long = row["long_context"] {
            guard let threshold = long["threshold"]?.int, let rates = Self.rates(long) else {
                throw ScenarioError(field, "\(model) wants a threshold and costs of its long context")
            }
            self.long = (threshold, rates)
        } else {
            self.long = nil
        }
    }

    private static func rates(_ row: Node) -> Rates? {
        guard let cost = row["cost"], let input = cost["input"].flatMap(Self.decimal) else { return nil }
        // What only reads has no output.
        return Rates(
            input: input, cached: cost["cached_input"].flatMap(Self.decimal) ?? input,
            output: cost["output"].flatMap(Self.decimal) ?? 0)
    }

    private static func decimal(_ node: Node) -> Decimal? {
        node.scalar.flatMap { Decimal(string: $0.string, locale: Locale(identifier: "en_US_POSIX")) }
    }

    /// Millicredits, rounded once, half to even.
    public func price(_ usage: Usage) -> Int64 {
        var rates = self.standard
        if let long = self.long, usage.input > long.threshold { rates = long.rates }
        var exact = Decimal(usage.input - usage.cached) * rates.input + Decimal(usage.cached) * rates.cached
        exact += Decimal(usage.output) * rates.output
        exact *= self.markup
        var rounded = Decimal()
        NSDecimalRound(&rounded, &exact, 0, .bankers)
        return NSDecimalNumber(decimal: rounded).int64Value
    }

    /// Of the end of a body: a JSON document, or a stream. nil without a usage report, or with one that is not of text.
    func price(of tail: [UInt8]) -> Int64? {
        Self.usage(in: tail).map(self.price)
    }

    /// The last report in the bytes.
    static func usage(in tail: [UInt8]) -> Usage? {
        let text = String(decoding: tail, as: UTF8.self)
        var end = text.endIndex
        while let found = text.range(of: "\"usage\"", options: .backwards, range: text.startIndex..<end) {
            end = found.lowerBound
            if let usage = Self.report(text[found.upperBound...]) { return usage }
        }
        return nil
    }

    private static func report(_ text: Substring) -> Usage? {
        guard let open = text.firstIndex(where: { $0 != ":" && !$0.isWhitespace }), text[open] == "{" else {
            return nil
        }
        var depth = 0
        // Names and numbers are all that stands in a report, so braces in strings do not occur.
        let close = text[open...].firstIndex { character in
            if character == "{" { depth += 1 }
            if character == "}" { depth -= 1 }
            return depth == 0
        }
        guard let close,
            let report = try? JSONSerialization.jsonObject(with: Data(text[open...close].utf8))
                as? [String: Any]
        else { return nil }
        return Self.parts(report)
    }

    private static func parts(_ report: [String: Any]) -> Usage? {
        func number(_ names: String...) -> Int? { names.lazy.compactMap { report[$0] as? Int }.first }
        func details(_ names: String...) -> [String: Any] {
            names.lazy.compactMap { report[$0] as? [String: Any] }.first ?? [:]
        }
        guard let input = number("prompt_tokens", "input_tokens") else { return nil }
        let read = details("prompt_tokens_details", "input_tokens_details")
        let written = details("completion_tokens_details", "output_tokens_details")
        let others = [read["audio_tokens"], read["cache_write_tokens"], written["audio_tokens"]]
        guard others.allSatisfy({ ($0 as? Int ?? 0) == 0 }) else { return nil }
        return Usage(
            input: input, cached: read["cached_tokens"] as? Int ?? 0,
            output: number("completion_tokens", "output_tokens") ?? 0)
    }
}
