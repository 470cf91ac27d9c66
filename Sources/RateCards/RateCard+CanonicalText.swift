import Metering

extension RateCard {
    /// The card as YAML in one fixed spelling: equal cards give equal bytes, whatever comments, order or
    /// quotes their files had, and reading it gives the card again. Hash these bytes to tell whether two
    /// files mean the same.
    public var canonicalText: String {
        var text = "card: \"\(self.card)\"\nversion: \"\(self.version)\"\n"
        text += "effective_from: \(UTCInstant.text(milliseconds: self.effectiveFromMilliseconds))\n"
        text += "markup: \"\(self.markup)\"\nmodels:\n"
        for (name, model) in self.models.sorted(by: { $0.key < $1.key }) { text += model.canonical(name) }
        guard !self.tools.isEmpty else { return text }
        text += "tools:\n"
        return text + RateCard.Model.canonical(self.tools, indent: "  ")
    }

    /// `canonicalText` in UTF-8.
    public var canonicalBytes: [UInt8] { Array(self.canonicalText.utf8) }
}

extension RateCard.Model {
    fileprivate func canonical(_ name: String) -> String {
        var text = "  \"\(name)\":\n    encoding: \(self.encoding)\n"
        text += "    endpoints: [\(self.endpoints.map(\.rawValue).joined(separator: ", "))]\n"
        if let context = self.context { text += "    context: \(context)\n" }
        if let outputMax = self.outputMax { text += "    max_output: \(outputMax)\n" }
        text += Self.canonical(self.standard, indent: "    ") + Self.canonical(self.tiers, indent: "    ")
        if let long = self.longContext {
            text += "    long_context:\n      threshold: \(long.threshold)\n"
            text +=
                Self.canonical(long.standard, indent: "      ") + Self.canonical(long.tiers, indent: "      ")
        }
        if let policy = self.onDisconnect { text += "    on_disconnect: \(policy.rawValue)\n" }
        if let holds = self.holds { text += "    holds: \(holds.rawValue)\n" }
        if let hides = self.hidesReasoning { text += "    hidden_reasoning: \(hides)\n" }
        if !self.tools.isEmpty {
            text += "    tools:\n" + Self.canonical(self.tools, indent: "      ")
        }
        let uplifts = Region.allCases.compactMap { region in
            self.regionalUplift[region].map { "\(region.rawValue): \"\($0)\"" }
        }
        if !uplifts.isEmpty { text += "    regional_uplift: {\(uplifts.joined(separator: ", "))}\n" }
        return text
    }

    fileprivate static func canonical(_ tools: [ToolKind: RateCard.ToolFee], indent: String) -> String {
        Self.sorted(tools).reduce("") { text, entry in
            let price = entry.1.namedPrice.map { ", price_per_1k_calls: \"\($0)\"" } ?? ""
            return text + indent
                + "\"\(entry.0.rawValue)\": {cost_per_1k_calls: \"\(entry.1.cost)\"\(price)}\n"
        }
    }

    private static func canonical(_ tiers: [ServiceTier: RateCard.Tier], indent: String) -> String {
        guard !tiers.isEmpty else { return "" }
        return Self.sorted(tiers).reduce(indent + "tiers:\n") { text, entry in
            text + "\(indent)  \(entry.0.rawValue):\n" + self.canonical(entry.1, indent: indent + "    ")
        }
    }

    private static func canonical(_ tier: RateCard.Tier, indent: String) -> String {
        var text = ""
        for (key, amounts) in [("cost", tier.cost), ("price", tier.price)] {
            let named = amounts.all.map { "\($0.part.rawValue): \"\($0.amount)\"" }
            if !named.isEmpty { text += "\(indent)\(key): {\(named.joined(separator: ", "))}\n" }
        }
        return text
    }
}
