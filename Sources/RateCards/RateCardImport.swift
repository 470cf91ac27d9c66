import Metering

/// Drafts a card from a price list (columns as `ratecards/import/*.csv`). A person reviews it before it is applied:
/// what cannot be expressed is left out with its reason, what looks wrong is flagged.
public struct RateCardImport: Sendable {
    public struct Settings: Sendable {
        public var card: String
        public var version: String
        /// Text of the instant, such as `2026-11-12T00:00:00Z`; rows retired before it are left out.
        public var effectiveFrom: String
        public var markup: String

        public init(card: String, version: String, effectiveFrom: String, markup: String) {
            self.card = card
            self.version = version
            self.effectiveFrom = effectiveFrom
            self.markup = markup
        }
    }

    /// The card as YAML; the same table gives the same bytes.
    public private(set) var yaml = ""
    /// Rows that are not in the card, with the reason.
    public private(set) var leftOut: [(model: String, reason: String)] = []
    /// Rows that are in the card and want a second look.
    public private(set) var suspicious: [(model: String, reason: String)] = []

    private typealias Row = [String: String]
    private let settings: Settings

    /// - Throws: when the table or the settings cannot be read, or the draft is not a valid card.
    public init(csv: String, settings: Settings) throws {
        self.settings = settings
        let table = try CSVTable(parsing: csv)
        var body = "card: \(settings.card)\nversion: \"\(settings.version)\"\n"
        body += "effective_from: \(settings.effectiveFrom)\n"
        body += "markup: \"\(settings.markup)\"  # price = cost × markup, exactly, unless `price` names it\nmodels:\n"
        for row in table.rows.sorted(by: { $0["model", default: ""] < $1["model", default: ""] }) {
            guard let model = row["model"], !model.hasPrefix("tool:") else { continue }
            if let reason = self.reasonToLeaveOut(row) {
                self.leftOut.append((model, reason))
            } else {
                body += self.model(model, row)
                self.flag(model, row)
            }
        }
        body += Self.tools(table.rows)
        self.yaml = body
        _ = try RateCard(parsing: body)
    }

    // MARK: What is left out

    private func reasonToLeaveOut(_ row: Row) -> String? {
        let model = row["model", default: ""]
        let mode = row["mode", default: ""]
        guard ["chat", "responses", "completion", "embedding", "moderation"].contains(mode) else {
            return "mode \(mode) is not priced per text token"
        }
        if let retired = row["deprecation_date"], retired < self.settings.effectiveFrom.prefix(10) {
            return "retired on \(retired)"
        }
        if model.contains("-audio") || row["audio_in_usd_per_1m"] != nil { return "has audio tokens" }
        if model.contains("-search") { return "every request carries a search fee" }
        if row["input_usd_per_1m"] == nil { return "has no input price" }
        if row["max_input"] == nil { return "has no context size" }
        if row["max_output"] == nil && mode != "embedding" { return "has no maximal output" }
        for (key, value) in row where Self.rateColumns.contains(key) {
            guard let amount = try? ExactDecimal(parsing: value), amount.scale <= 6 else {
                return "\(key) \(value) is not a whole pico-USD per token"
            }
        }
        return nil
    }

    private static let rateColumns: Set<String> = {
        var columns: Set<String> = [
            "input_usd_per_1m", "cached_input_usd_per_1m", "cache_write_usd_per_1m", "output_usd_per_1m",
            "input_long", "cached_long", "cache_write_long", "output_long",
        ]
        for tier in ["flex", "priority", "batch"] {
            for part in ["input", "cached", "cache_write", "output", "input_long", "output_long"] {
                columns.insert("\(tier)_\(part)")
            }
        }
        return columns
    }()

    // MARK: Rows

    private func model(_ model: String, _ row: Row) -> String {
        let isEmbedding = row["mode"] == "embedding"
        var text = "  \(Self.key(model)):\n    encoding: \(Self.encoding(model))\n"
        text += "    endpoints: [\(Self.endpoints(row).joined(separator: ", "))]\n"
        text += "    context: \(row["max_input"] ?? "0")\n    max_output: \(isEmbedding ? "0" : row["max_output"] ?? "0")\n"
        text += "    cost: " + Self.amounts(
            row["input_usd_per_1m"], row["cached_input_usd_per_1m"], row["cache_write_usd_per_1m"],
            row["output_usd_per_1m"] ?? "0") + "\n"
        let tiers = ["flex", "priority", "batch"].compactMap { tier -> String? in
            guard let input = row["\(tier)_input"], let output = row["\(tier)_output"] else { return nil }
            let cost = Self.amounts(input, row["\(tier)_cached"], row["\(tier)_cache_write"], output)
            return "      \(tier): {cost: \(cost)}\n"
        }
        if !tiers.isEmpty { text += "    tiers:\n" + tiers.joined() }
        text += Self.longContext(row)
        if Self.thinksInHiddenTokens(model) { text += "    on_disconnect: drain\n" }
        return text
    }

    private static func longContext(_ row: Row) -> String {
        guard let threshold = row["long_ctx_threshold"], let input = row["input_long"], let output = row["output_long"]
        else { return "" }
        var text = "    long_context:\n      threshold: \(threshold)\n      cost: "
        text += self.amounts(input, row["cached_long"], row["cache_write_long"], output) + "\n"
        let tiers = ["flex", "priority", "batch"].compactMap { tier -> String? in
            guard let input = row["\(tier)_input_long"], let output = row["\(tier)_output_long"] else { return nil }
            return "        \(tier): {cost: \(self.amounts(input, nil, nil, output))}\n"
        }
        if !tiers.isEmpty { text += "      tiers:\n" + tiers.joined() }
        return text
    }

    private static func amounts(_ input: String?, _ cached: String?, _ write: String?, _ output: String) -> String {
        var parts = ["input: \"\(input ?? "0")\""]
        if let cached { parts.append("cached_input: \"\(cached)\"") }
        if let write { parts.append("cache_write: \"\(write)\"") }
        parts.append("output: \"\(output)\"")
        return "{\(parts.joined(separator: ", "))}"
    }

    private static func endpoints(_ row: Row) -> [String] {
        switch row["mode"] {
        case "embedding": return ["embeddings"]
        case "moderation": return ["moderations"]
        case "completion": return ["completions"]
        case "responses": return ["responses"]
        default:
            let listed = row["endpoints", default: "/v1/chat/completions"]
            return (listed.contains("/v1/chat/completions") ? ["chat"] : [])
                + (listed.contains("/v1/responses") ? ["responses"] : [])
        }
    }

    /// tiktoken's table of models; `o200k_base` is what its newest entries use, and what is assumed beyond them.
    private static func encoding(_ model: String) -> String {
        let base = model.hasPrefix("ft:") ? String(model.dropFirst(3)) : model
        let isNew = ["gpt-4o", "gpt-4.1", "gpt-4.5"].contains { base.hasPrefix($0) }
        let isOld = ["gpt-4", "gpt-3.5", "text-embedding", "babbage", "davinci"].contains { base.hasPrefix($0) }
        return isOld && !isNew ? "cl100k_base" : "o200k_base"
    }

    /// Reasoning models: what they cost is told only at the end of their stream.
    private static func thinksInHiddenTokens(_ model: String) -> Bool {
        let base = model.hasPrefix("ft:") ? String(model.dropFirst(3)) : model
        let isO = base.hasPrefix("o1") || base.hasPrefix("o3") || base.hasPrefix("o4")
        let isNew = base.hasPrefix("gpt-5") || base.hasPrefix("gpt-6")
        return isO || (isNew && !base.contains("-chat"))
    }

    private static func key(_ model: String) -> String { model.contains(":") ? "\"\(model)\"" : model }

    private static func tools(_ rows: [Row]) -> String {
        let lines = rows.compactMap { row -> String? in
            guard let tool = row["model"], let cost = row["web_search_usd_per_1k_calls"] else { return nil }
            switch tool {
            case "tool:web_search": return "  web_search: {cost_per_1k_calls: \"\(cost)\"}\n"
            case "tool:web_search_preview_non_reasoning":
                return "  web_search_preview_non_reasoning: {cost_per_1k_calls: \"\(cost)\"}\n"
            case "tool:file_search_call": return "  file_search: {cost_per_1k_calls: \"\(cost)\"}\n"
            default: return nil
            }
        }
        return lines.isEmpty ? "" : "tools:\n" + lines.joined()
    }

    // MARK: What looks wrong

    private mutating func flag(_ model: String, _ row: Row) {
        func amount(_ key: String) -> ExactDecimal? { row[key].flatMap { try? ExactDecimal(parsing: $0) } }
        func note(_ reason: String) { self.suspicious.append((model, reason)) }
        let input = amount("input_usd_per_1m")
        if let input, let cached = amount("cached_input_usd_per_1m"), input.isLess(than: cached) {
            note("cached input is dearer than input")
        }
        if let input, let write = amount("cache_write_usd_per_1m"), write.isLess(than: input) {
            note("a cache write is cheaper than plain input: a cached price in the wrong column?")
        }
        if let input, let output = amount("output_usd_per_1m"), row["mode"] == "chat" || row["mode"] == "responses",
            output.isLess(than: input)
        {
            note("output is cheaper than input")
        }
        if let input, let priority = amount("priority_input"), priority.isLess(than: input) {
            note("the priority tier is cheaper than the standard one")
        }
        for tier in ["flex", "batch"] {
            for (part, column) in [
                ("input", "input_usd_per_1m"), ("cached", "cached_input_usd_per_1m"), ("output", "output_usd_per_1m"),
            ] {
                guard let full = amount(column), let tierAmount = amount("\(tier)_\(part)") else { continue }
                let half = full.multiplied(by: ExactDecimal(coefficient: 5, scale: 1))
                if half != tierAmount {
                    note("\(tier) \(part) is \(tierAmount), not half of \(full)")
                }
            }
        }
        if row["priority_input"] != nil, row["long_ctx_threshold"] != nil, row["priority_input_long"] == nil {
            note("priority has no long-context price: the standard long price is used")
        }
        if row["genai_prices_agrees"] == "NO" { note("an independent list disagrees") }
    }
}
