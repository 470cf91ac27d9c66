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
        for (tool, cost) in self.tools.sorted(by: { $0.key < $1.key }) {
            text += "  \"\(tool)\": {cost_per_1k_calls: \"\(cost)\"}\n"
        }
        return text
    }

    /// `canonicalText` in UTF-8.
    public var canonicalBytes: [UInt8] { Array(self.canonicalText.utf8) }
}

extension RateCard.Model {
    fileprivate func canonical(_ name: String) -> String {
        var text = "  \"\(name)\":\n    encoding: \(self.encoding)\n"
        text += "    endpoints: [\(self.endpoints.map(\.rawValue).joined(separator: ", "))]\n"
        text += "    context: \(self.context)\n    max_output: \(self.outputMax)\n"
        text += Self.canonical(self.standard, indent: "    ") + Self.canonical(self.tiers, indent: "    ")
        if let long = self.longContext {
            text += "    long_context:\n      threshold: \(long.threshold)\n"
            text +=
                Self.canonical(long.standard, indent: "      ") + Self.canonical(long.tiers, indent: "      ")
        }
        if let policy = self.onDisconnect { text += "    on_disconnect: \(policy.rawValue)\n" }
        return text
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
            let named = RateCard.Part.allCases.compactMap { part in
                amounts[part].map { "\(part.rawValue): \"\($0)\"" }
            }
            if !named.isEmpty { text += "\(indent)\(key): {\(named.joined(separator: ", "))}\n" }
        }
        return text
    }
}
