import Metering

/// Drafts a card from a price list (columns as `ratecards/import/*.csv`). A person reviews it before it is
/// applied: what cannot be expressed is left out with its reason, what looks wrong is flagged.
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
    /// Prices of rows in the card that the card has no key for; a request that would need them must be
    /// refused.
    public private(set) var notExpressed: [(model: String, reason: String)] = []
    /// Rows that are in the card and want a second look.
    public private(set) var suspicious: [(model: String, reason: String)] = []

    private let settings: Settings

    /// - Throws: when the table or the settings cannot be read, or the draft is not a valid card.
    public init(csv: String, settings: Settings) throws {
        self.settings = settings
        let table = try CSVTable(parsing: csv)
        var body = "card: \(settings.card)\nversion: \"\(settings.version)\"\n"
        body += "effective_from: \(settings.effectiveFrom)\n"
        body += "markup: \"\(settings.markup)\""
        body += "  # price = cost × markup, exactly, unless `price` names it\nmodels:\n"
        let rows = table.rows.map(PriceListRow.init).sorted { $0.model < $1.model }
        let doubts = PriceListDoubts(rows, retiredBefore: String(settings.effectiveFrom.prefix(10)))
        for row in rows where Self.toolNames[row.model] == nil {
            if let reason = self.reasonToLeaveOut(row) {
                self.leftOut.append((row.model, reason))
                continue
            }
            body += Self.text(of: row)
            self.notExpressed += Self.notExpressed(row).map { (row.model, $0) }
            self.suspicious += (row.repairs + doubts.about(row)).map { (row.model, $0) }
        }
        body += Self.tools(rows)
        self.yaml = body
        _ = try RateCard(parsing: body)
    }

    // MARK: What is left out

    private func reasonToLeaveOut(_ row: PriceListRow) -> String? {
        if row.mode == "tool" { return "is a tool that is not priced per call" }
        guard ["chat", "responses", "completion", "embedding", "moderation"].contains(row.mode) else {
            return "mode \(row.mode) is not priced per text token"
        }
        if let retired = row.cells["deprecation_date"], retired < self.settings.effectiveFrom.prefix(10) {
            return "retired on \(retired)"
        }
        if row.model.contains("-audio") || row.cells["audio_in_usd_per_1m"] != nil {
            return "has audio tokens"
        }
        if row.model.contains("-search") { return "every request carries a search fee" }
        if row.standard.input == nil { return "has no input price" }
        if row.standard.output == nil { return "has no output price" }
        if row.cells["max_input"] == nil { return "has no context size" }
        if row.cells["max_output"] == nil && row.mode != "embedding" { return "has no maximal output" }
        return self.reasonInRates(row)
    }

    private func reasonInRates(_ row: PriceListRow) -> String? {
        let all =
            ([.default] + PriceListRow.tiers).flatMap { [row.short($0), row.long($0)?.rates] } + [row.long]
        for rates in all.compactMap({ $0 }) {
            for part in RateCard.Part.allCases {
                guard let text = rates[part] else { continue }
                guard let amount = try? ExactDecimal(parsing: text),
                    (try? RateCard.costPerToken(amount)) != nil
                else {
                    return "\(part.rawValue) \(text) is not a whole number of pico-USD per token"
                }
            }
        }
        return nil
    }

    private static func notExpressed(_ row: PriceListRow) -> [String] {
        var reasons: [String] = []
        if let write = row.cells["cache_write_12h_usd_per_1m"] {
            reasons.append("12-hour cache writes at \(write)")
        }
        if let input = row.cells["ultrafast_input"] { reasons.append("tier ultrafast, input at \(input)") }
        if let input = row.cells["decisions_input"] {
            reasons.append("endpoint decisions, input at \(input)")
        }
        if let uplift = row.cells["regional_uplift_eu"] ?? row.cells["regional_uplift_us"] {
            reasons.append("regional uplift of \(uplift)")
        }
        return reasons
    }

    // MARK: Rows as YAML

    private static func text(of row: PriceListRow) -> String {
        var text = "  \(self.key(row.model)):\n    encoding: \(self.encoding(row.model))\n"
        text += "    endpoints: [\(self.endpoints(row).joined(separator: ", "))]\n"
        text += "    context: \(row.cells["max_input"] ?? "0")\n"
        text += "    max_output: \(row.mode == "embedding" ? "0" : row.cells["max_output"] ?? "0")\n"
        text += "    cost: \(self.amounts(row.standard))\n"
        text += self.tiers(indent: "    ") { row.short($0) }
        if let long = row.long, let threshold = row.cells["long_ctx_threshold"] {
            text += "    long_context:\n      threshold: \(threshold)\n      cost: \(self.amounts(long))\n"
            text += self.tiers(indent: "      ") { row.long($0)?.rates }
        }
        if self.thinksInHiddenTokens(row.model) { text += "    on_disconnect: drain\n" }
        return text
    }

    private static func tiers(indent: String, _ rates: (ServiceTier) -> PriceListRow.Rates?) -> String {
        let lines = PriceListRow.tiers.compactMap { tier in
            rates(tier).map { "\(indent)  \(tier.rawValue): {cost: \(self.amounts($0))}\n" }
        }
        return lines.isEmpty ? "" : "\(indent)tiers:\n" + lines.joined()
    }

    private static func amounts(_ rates: PriceListRow.Rates) -> String {
        let parts = RateCard.Part.allCases.compactMap { part in
            rates[part].map { "\(part.rawValue): \"\($0)\"" }
        }
        return "{\(parts.joined(separator: ", "))}"
    }

    /// A chat model whose row lists no endpoint takes both: the price per token is the same, and upstream
    /// refuses what it does not serve. Fine-tuned ones stay with what is known.
    private static func endpoints(_ row: PriceListRow) -> [String] {
        switch row.mode {
        case "embedding": return ["embeddings"]
        case "moderation": return ["moderations"]
        case "completion": return ["completions"]
        case "responses": return ["responses"]
        default:
            guard let listed = row.cells["endpoints"] else {
                return row.model.hasPrefix("ft:") ? ["chat"] : ["chat", "responses"]
            }
            return (listed.contains("/v1/chat/completions") ? ["chat"] : [])
                + (listed.contains("/v1/responses") ? ["responses"] : [])
        }
    }

    /// tiktoken's table of models; `o200k_base` is what its newest entries use, and what is assumed beyond
    /// them.
    private static func encoding(_ model: String) -> String {
        let base = model.hasPrefix("ft:") ? String(model.dropFirst(3)) : model
        let isNew = ["gpt-4o", "gpt-4.1", "gpt-4.5"].contains { base.hasPrefix($0) }
        let isOld = ["gpt-4", "gpt-3.5", "text-embedding", "babbage", "davinci"].contains {
            base.hasPrefix($0)
        }
        return isOld && !isNew ? "cl100k_base" : "o200k_base"
    }

    /// Reasoning models: what they cost is told only at the end of their stream. `daybreak` carries the
    /// prices of gpt-5.6, cache writes included, so it is taken for one of them.
    private static func thinksInHiddenTokens(_ model: String) -> Bool {
        let base = model.hasPrefix("ft:") ? String(model.dropFirst(3)) : model
        let isO = ["o1", "o3", "o4"].contains { base.hasPrefix($0) }
        let isNew = ["gpt-5", "gpt-6"].contains { base.hasPrefix($0) }
        return isO || base.contains("daybreak") || (isNew && !base.contains("-chat"))
    }

    private static func key(_ model: String) -> String { model.contains(":") ? "\"\(model)\"" : model }

    private static let toolNames = [
        "tool:web_search": "web_search",
        "tool:web_search_preview_non_reasoning": "web_search_preview_non_reasoning",
        "tool:file_search_call": "file_search",
    ]

    private static func tools(_ rows: [PriceListRow]) -> String {
        let lines = rows.compactMap { row -> String? in
            guard let name = self.toolNames[row.model], let cost = row.cells["web_search_usd_per_1k_calls"]
            else {
                return nil
            }
            return "  \(name): {cost_per_1k_calls: \"\(cost)\"}\n"
        }
        return lines.isEmpty ? "" : "tools:\n" + lines.joined()
    }
}
