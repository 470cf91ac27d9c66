import Billing
import Metering

extension CreditsPages {
    struct EstimateContent {
        let action: String
        let csrf: String
        let apiURL: String
        let models: [Choice]
        let input: String
        let cached: String
        let output: String
        let inputProblem: String?
        let cachedProblem: String?
        let outputProblem: String?
        let result: EstimateResult?
        let rates: [RateRow]
    }

    struct EstimateResult {
        let credits: String
        let usd: String
    }

    struct RateRow {
        let model: String
        let input: String
        let cachedInput: String
        let output: String
        let others: String?
    }

    private static let tokensMax: Int64 = 1_000_000_000

    func estimateTab(_ view: View) -> Page {
        let prices = self.dependencies.prices.current
        let rows = prices.models
        let chosen =
            view.parameters["model"].flatMap { wanted in rows.first { $0.model == wanted } } ?? rows.first
        let input = Self.tokens(view.parameters["input"], default: 1000)
        let output = Self.tokens(view.parameters["output"], default: 500)
        var cached = Self.tokens(view.parameters["cached"], default: 0)
        if let all = input.value, let part = cached.value, part > all {
            cached.problem = "Must not be more than the input tokens."
        }
        var result: EstimateResult?
        if let row = chosen, let input = input.value, let output = output.value, let part = cached.value,
            cached.problem == nil
        {
            let usage = Usage(input: input - part, cachedInput: part, output: output)
            let charge = try? row.charge(for: usage, served: .default, mode: prices.mode)
            result = charge.map {
                EstimateResult(credits: Figures.credits($0.amount), usd: Figures.dollars($0.amount.value))
            }
        }
        return Page(
            frame: self.frame(.estimate, view), template: "estimate",
            content: EstimateContent(
                action: "\(self.site.base)/billing", csrf: view.visit.token.csrf,
                apiURL: "\(self.site.base)/api/billing/estimate",
                models: rows.map {
                    Choice(value: $0.model, name: $0.model, isChosen: $0.model == chosen?.model)
                }, input: input.text, cached: cached.text, output: output.text, inputProblem: input.problem,
                cachedProblem: cached.problem, outputProblem: output.problem, result: result,
                rates: rows.map(RateRow.init)))
    }

    private struct Tokens {
        var text: String
        var value: Int64?
        var problem: String?
    }

    private static func tokens(_ text: String?, default standard: Int64) -> Tokens {
        let text = text ?? String(standard)
        guard let value = Int64(text), (0...Self.tokensMax).contains(value) else {
            return Tokens(text: text, value: nil, problem: "Must be a whole number from 0 to 1,000,000,000.")
        }
        return Tokens(text: text, value: value)
    }
}

extension CreditsPages.RateRow {
    /// Credits per 1K tokens; what has other units is named with them.
    init(_ row: ModelPrice) {
        guard let rates = row.tiers[.default]?.price else {
            preconditionFailure("ModelPrice.init guarantees a default tier")
        }
        self.model = row.model
        self.input = Self.text(rates.input)
        self.cachedInput = Self.text(rates.cachedInput)
        self.output = Self.text(rates.output)
        var others: [String] = []
        if let audio = rates.audio {
            others.append("audio \(Self.text(audio.input)) in, \(Self.text(audio.output)) out")
        }
        if let image = rates.image {
            others.append("images \(Self.text(image.input)) in, \(Self.text(image.output)) out")
        }
        if let millisecond = row.units.price.millisecond {
            others.append("\(Self.text(millisecond)) per second")
        }
        if let character = row.units.price.character {
            others.append("\(Self.text(character)) per 1K characters")
        }
        self.others = others.isEmpty ? nil : others.joined(separator: "; ")
    }

    private static func text(_ rate: Int128) -> String {
        Figures.decimal(ExactDecimal(coefficient: rate, scale: 12))
    }
}
