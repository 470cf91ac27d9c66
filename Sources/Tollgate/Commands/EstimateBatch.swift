import Foundation
import Metering

/// One line of `estimate --batch`: names as in the ledger, tokens as the API reports them.
struct EstimateQuestion: Decodable {
    var model: String
    var inputTokens: Int64?
    var cachedInputTokens: Int64?
    var cacheWriteTokens: Int64?
    var outputTokens: Int64?
    var reasoningTokens: Int64?
    /// As `service_tier` of the API; default: standard.
    var tier: String?
    /// As `usage_parts` of the ledger.
    var parts: [String: Int64]?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case model, inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens, reasoningTokens, tier,
            parts
    }

    func answer(from table: PriceTable) -> EstimateAnswer {
        guard let row = table.row(for: self.model) else {
            return EstimateAnswer(model: self.model, error: "has no price on \(table.version)")
        }
        let parts = (self.parts ?? [:]).map { UsagePart($0.key, $0.value) }
        guard
            let usage = Usage(
                inputTotal: self.inputTokens ?? 0, cachedInput: self.cachedInputTokens ?? 0,
                cacheWrite: self.cacheWriteTokens ?? 0, outputTotal: self.outputTokens ?? 0,
                reasoning: self.reasoningTokens ?? 0, parts: parts)
        else {
            return EstimateAnswer(model: self.model, error: "has parts that do not fit into its totals")
        }
        let tier = self.tier.map(ServiceTier.init(apiLiteral:)) ?? .default
        guard let tier, row.tiers[tier] != nil else {
            return EstimateAnswer(
                model: self.model, error: "has no price at the tier '\(self.tier ?? "default")'")
        }
        do throws(PricingFailure) {
            return EstimateAnswer(row, try row.charge(for: usage, served: tier, mode: table.mode), self.model)
        } catch {
            return EstimateAnswer(model: self.model, error: "costs too much: \(error)")
        }
    }
}

/// What a request costs; amounts are exact integers, as strings.
struct EstimateAnswer: Encodable {
    var model: String
    var priceId: String?
    var millicredits: String?
    var credits: String?
    var costPicousd: String?
    var error: String?

    init(model: String, error: String) {
        self.model = model
        self.error = error
    }

    init(_ row: ModelPrice, _ charge: Charge, _ model: String) {
        self.model = model
        self.priceId = row.priceID
        self.millicredits = "\(charge.amount)"
        self.credits = charge.amount.creditsText
        self.costPicousd = "\(charge.cost.value)"
    }
}

/// The names of the members of an object, whatever they are.
private struct MemberNames: Decodable {
    var all: [String]

    private struct Name: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }

        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        self.all = try decoder.container(keyedBy: Name.self).allKeys.map(\.stringValue)
    }
}

enum EstimateBatch {
    /// Answers each line with one of JSON. Returns whether all of them have a price.
    static func run(_ path: String, _ table: PriceTable) throws -> Bool {
        let lines = try self.lines(path)
        var allPriced = true
        let decoder = JSONDecoder()
        for (number, line) in lines.enumerated() where !line.allSatisfy(\.isWhitespace) {
            let data = Data(line.utf8)
            guard let question = try? decoder.decode(EstimateQuestion.self, from: data),
                let names = try? decoder.decode(MemberNames.self, from: data)
            else {
                throw CommandFailure("line \(number + 1) of \(path) is not a request")
            }
            // What is not read would be priced at nothing.
            let unknown = names.all.filter { EstimateQuestion.CodingKeys(rawValue: $0) == nil }
            guard unknown.isEmpty else {
                throw CommandFailure(
                    "line \(number + 1) of \(path) names what is not known: "
                        + unknown.sorted().joined(separator: ", "))
            }
            let answer = question.answer(from: table)
            allPriced = allPriced && answer.error == nil
            print(try CommandJSON.of(answer, pretty: false))
        }
        return allPriced
    }

    private static func lines(_ path: String) throws -> [Substring] {
        let text =
            path == "-"
            ? String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
            : try RateCardFiles.read(path)
        return text.split(separator: "\n", omittingEmptySubsequences: false)
    }
}
