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

    let settings: Settings
    /// USD per 1,000 calls, for all rows.
    private let tools: [ToolKind: String]

    /// - Throws: when the table or the settings cannot be read, or the draft is not a valid card.
    public init(csv: String, settings: Settings) throws {
        self.settings = settings
        let table = try CSVTable(parsing: csv)
        let rows = table.rows.map(PriceListRow.init).sorted { $0.model < $1.model }
        self.tools = Self.tools(rows)
        let doubts = PriceListDoubts(rows, retiredBefore: String(settings.effectiveFrom.prefix(10)))
        var body = ""
        for row in rows where Self.toolNames[row.model] == nil {
            if let reason = self.reasonToLeaveOut(row) {
                self.leftOut.append((row.model, reason))
                continue
            }
            body += self.text(of: row)
            self.notExpressed += Self.notExpressed(row).map { (row.model, $0) }
            self.suspicious += (row.repairs + doubts.about(row)).map { (row.model, $0) }
            if let fee = self.searchFee(of: row) {
                self.suspicious.append(
                    (row.model, "a web search costs \(fee), not the \(self.commonSearchFee)"))
            }
        }
        self.yaml = self.head(longWrites: body.contains(RateCard.Part.cacheWriteLong.rawValue)) + body
        let fees = self.tools.sorted { $0.key.rawValue < $1.key.rawValue }.map { tool, cost in
            "  \(tool.rawValue): {cost_per_1k_calls: \"\(cost)\"}\n"
        }
        if !fees.isEmpty { self.yaml += "tools:\n" + fees.joined() }
        _ = try RateCard(parsing: self.yaml)
    }

    private func head(longWrites: Bool) -> String {
        var head = "card: \(self.settings.card)\nversion: \"\(self.settings.version)\"\n"
        head += "effective_from: \(self.settings.effectiveFrom)\nmarkup: \"\(self.settings.markup)\""
        head += "  # price = cost × markup, exactly, unless `price` names it\n"
        if longWrites {
            head +=
                "# cache_write_12h is 2 × the input of its tier and length: OpenAI documents \"12h writes are 2x"
            head += " input price\".\n"
        }
        return head + "models:\n"
    }

    // MARK: Rows as YAML

    private func text(of row: PriceListRow) -> String {
        var text = "  \(Self.key(row.model)):\n    encoding: \(Self.encoding(row.model))\n"
        text += "    endpoints: [\(Self.endpoints(row).map(\.rawValue).joined(separator: ", "))]\n"
        if !row.isPricedByUnits {
            text += "    context: \(row.cells["max_input"] ?? "0")\n"
            text += "    max_output: \(row.mode == "embedding" ? "0" : row.cells["max_output"] ?? "0")\n"
        }
        text += "    cost: \(Self.amounts(row.standard))\n"
        text += Self.tiers(indent: "    ") { row.short($0) }
        if let long = row.long, let threshold = row.cells["long_ctx_threshold"] {
            text += "    long_context:\n      threshold: \(threshold)\n"
            text += "      cost: \(Self.amounts(long))\n"
            text += Self.tiers(indent: "      ") { row.long($0)?.rates }
        }
        if RateCard.Model.hidesReasoning(named: row.model) { text += "    on_disconnect: drain\n" }
        if let fee = self.searchFee(of: row) {
            text += "    tools: {\(ToolKind.webSearch.rawValue): {cost_per_1k_calls: \"\(fee)\"}}\n"
        }
        let uplift = Self.uplift(row).map { "\($0.region.rawValue): \"\($0.factor)\"" }
        if !uplift.isEmpty { text += "    regional_uplift: {\(uplift.joined(separator: ", "))}\n" }
        return text
    }

    static func uplift(_ row: PriceListRow) -> [(region: Region, factor: String)] {
        Region.allCases.compactMap { region in
            row.cells["regional_uplift_\(region.rawValue)"].map { (region, $0) }
        }
    }

    private var commonSearchFee: String { self.tools[.webSearch] ?? "nothing" }

    /// The row's own fee of a web search, where it is not the card's.
    private func searchFee(of row: PriceListRow) -> String? {
        guard let fee = row.cells["web_search_usd_per_1k_calls"], fee != self.tools[.webSearch],
            Self.endpoints(row).contains(where: { $0 == .chat || $0 == .responses })
        else { return nil }
        return fee
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
    static func endpoints(_ row: PriceListRow) -> [Endpoint] {
        let listed = row.cells["endpoints"]
        switch row.mode {
        case "embedding": return [.embeddings]
        case "moderation": return [.moderations]
        case "completion": return [.completions]
        case "responses": return [.responses]
        case "image_generation": return [.images]
        case "audio_transcription", "audio_speech":
            let paths = ["/v1/audio/transcriptions", "/v1/audio/speech"]
            let served = (listed ?? "").split(separator: " ").map(String.init)
            return served.contains(where: paths.contains) ? [.audio] : []
        default:
            guard let listed else { return row.model.hasPrefix("ft:") ? [.chat] : [.chat, .responses] }
            return (listed.contains("/v1/chat/completions") ? [.chat] : [])
                + (listed.contains("/v1/responses") ? [.responses] : [])
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
    private static func key(_ model: String) -> String { model.contains(":") ? "\"\(model)\"" : model }

    private static let toolNames: [String: ToolKind] = [
        "tool:web_search": .webSearch,
        "tool:web_search_preview_non_reasoning": .webSearchPreview,
        "tool:file_search_call": .fileSearch,
    ]

    private static func tools(_ rows: [PriceListRow]) -> [ToolKind: String] {
        var tools: [ToolKind: String] = [:]
        for row in rows {
            guard let tool = self.toolNames[row.model] else { continue }
            tools[tool] = row.cells["web_search_usd_per_1k_calls"]
        }
        return tools
    }
}
