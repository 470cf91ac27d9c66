import Metering
import Yams

extension RateCard {
    /// Reads a card. Every problem is reported at once; amounts never pass through a binary float.
    ///
    /// - Throws: `RateCardInvalid`.
    public init(parsing text: String) throws {
        var reader = RateCardReader()
        let card = reader.root(of: text).flatMap { reader.card($0) }
        guard let card, reader.problems.isEmpty else { throw RateCardInvalid(problems: reader.problems) }
        // The reader has checked each amount with its line; this is the proof that nothing was missed.
        _ = try card.priceTable(mode: .exact)
        self = card
    }
}

/// Walks the YAML tree and collects problems; what is unreadable becomes nil and is reported once.
struct RateCardReader {
    var problems: [RateCardProblem] = []
    private var markup: ExactDecimal?

    init() {}

    mutating func reject(_ path: String, _ message: String, _ node: Node? = nil) {
        self.problems.append(RateCardProblem(.error, path, message, line: node?.mark?.line))
    }

    mutating func root(of text: String) -> Node? {
        do {
            guard let root = try Yams.compose(yaml: text) else {
                self.reject("(file)", "is empty")
                return nil
            }
            return root
        } catch {
            self.problems.append(Self.problem(error))
            return nil
        }
    }

    mutating func card(_ node: Node) -> RateCard? {
        guard
            let top = self.mapping(
                node, "(top)", known: ["card", "version", "effective_from", "markup", "models", "tools"])
        else { return nil }
        let name = self.identifier(top["card"], "card", node)
        let version = self.identifier(top["version"], "version", node)
        let effective = self.instant(top["effective_from"], "effective_from", node)
        self.markup = self.decimal(top["markup"], "markup", node)
        if let markup, markup.isNegative { self.reject("markup", "must not be negative", top["markup"]) }
        var models: [String: RateCard.Model] = [:]
        for (model, row) in self.entries(top["models"], "models", required: true, node) {
            if let row = self.model(row, "models.\(model)") { models[model] = row }
        }
        var tools: [String: ExactDecimal] = [:]
        for (tool, row) in self.entries(top["tools"], "tools", required: false, node) {
            let path = "tools.\(tool)"
            guard let fields = self.mapping(row, path, known: ["cost_per_1k_calls"]) else { continue }
            let cost = self.decimal(fields["cost_per_1k_calls"], path + ".cost_per_1k_calls", row)
            if let cost, cost.isNegative {
                self.reject(path + ".cost_per_1k_calls", "must not be negative", row)
            }
            tools[tool] = cost
        }
        guard let name, let version, let effective, let markup else { return nil }
        return RateCard(
            card: name, version: version, effectiveFromMilliseconds: effective, markup: markup,
            models: models,
            tools: tools)
    }

    private mutating func model(_ node: Node, _ path: String) -> RateCard.Model? {
        let known: Set<String> = [
            "encoding", "endpoints", "context", "max_output", "cost", "price", "tiers", "long_context",
            "on_disconnect",
        ]
        guard let fields = self.mapping(node, path, known: known) else { return nil }
        let encoding = self.identifier(fields["encoding"], path + ".encoding", node)
        let endpoints = self.endpoints(fields["endpoints"], path + ".endpoints", node)
        let context = self.whole(fields["context"], path + ".context", node)
        if context == 0 { self.reject(path + ".context", "must be positive", fields["context"]) }
        let outputMax = self.whole(fields["max_output"], path + ".max_output", node)
        let generates = endpoints.contains { $0 != .embeddings && $0 != .moderations }
        if outputMax == 0 && generates {
            self.reject(
                path + ".max_output", "must be positive for a model that writes", fields["max_output"])
        }
        let standard = self.tier(fields, path, node)
        let tiers = self.tiers(fields["tiers"], path + ".tiers", node)
        let long = fields["long_context"].flatMap { self.longContext($0, path + ".long_context") }
        let policy = self.policy(fields["on_disconnect"], path)
        guard let encoding, let context, let outputMax else { return nil }
        return RateCard.Model(
            encoding: encoding, endpoints: endpoints, context: context, outputMax: outputMax,
            standard: standard,
            tiers: tiers, longContext: long, onDisconnect: policy)
    }

    private mutating func longContext(_ node: Node, _ path: String) -> RateCard.LongContext? {
        guard let fields = self.mapping(node, path, known: ["threshold", "cost", "price", "tiers"]) else {
            return nil
        }
        let threshold = self.whole(fields["threshold"], path + ".threshold", node)
        let standard = self.tier(fields, path, node)
        let tiers = self.tiers(fields["tiers"], path + ".tiers", node)
        return threshold.map { RateCard.LongContext(threshold: $0, standard: standard, tiers: tiers) }
    }

    private mutating func tiers(_ node: Node?, _ path: String, _ parent: Node) -> [ServiceTier: RateCard.Tier]
    {
        var tiers: [ServiceTier: RateCard.Tier] = [:]
        for (name, row) in self.entries(node, path, required: false, parent) {
            guard let tier = ServiceTier(rawValue: name), tier != .default else {
                self.reject("\(path).\(name)", "is not one of flex, priority, batch", row)
                continue
            }
            guard let fields = self.mapping(row, "\(path).\(name)", known: ["cost", "price"]) else {
                continue
            }
            tiers[tier] = self.tier(fields, "\(path).\(name)", row)
        }
        return tiers
    }

    /// A tier's cost must be complete; its price replaces only what it names.
    private mutating func tier(_ fields: [String: Node], _ path: String, _ node: Node) -> RateCard.Tier {
        var tier = RateCard.Tier()
        if let cost = fields["cost"] {
            tier.cost = self.amounts(
                cost, path + ".cost", required: [.input, .output], RateCard.costPerToken)
        } else {
            self.reject(path + ".cost", "is missing", node)
        }
        if let price = fields["price"] {
            tier.price = self.amounts(price, path + ".price", required: [], RateCard.pricePerToken(_:))
        }
        guard let markup, let costs = fields["cost"]?.mapping else { return tier }
        for part in RateCard.Part.allCases {
            guard tier.namedPrice(of: part) == nil, let cost = tier.cost[part] else { continue }
            do throws(RateCard.InexactAmount) {
                _ = try RateCard.pricePerToken(cost, markup: markup)
            } catch {
                self.reject("\(path).cost.\(part.rawValue)", error.message, costs[part.rawValue])
            }
        }
        return tier
    }

    private mutating func amounts(
        _ node: Node, _ path: String, required: [RateCard.Part],
        _ convert: (ExactDecimal) throws(RateCard.InexactAmount) -> Int128
    ) -> RateCard.Amounts {
        var amounts = RateCard.Amounts()
        let known = Set(RateCard.Part.allCases.map(\.rawValue))
        guard let fields = self.mapping(node, path, known: known) else { return amounts }
        for part in RateCard.Part.allCases {
            let partPath = "\(path).\(part.rawValue)"
            guard let field = fields[part.rawValue] else {
                if required.contains(part) { self.reject(partPath, "is missing", node) }
                continue
            }
            guard let value = self.decimal(field, partPath, field) else { continue }
            do throws(RateCard.InexactAmount) {
                _ = try convert(value)
                amounts[part] = value
            } catch {
                self.reject(partPath, error.message, field)
            }
        }
        return amounts
    }

    private mutating func policy(_ node: Node?, _ path: String) -> DisconnectPolicy? {
        guard let node else { return nil }
        let policy = node.scalar.flatMap { DisconnectPolicy(rawValue: $0.string) }
        if policy == nil { self.reject(path + ".on_disconnect", "must be cancel or drain", node) }
        return policy
    }

    /// In the order of `Endpoint`, so that equal rows are equal values.
    private mutating func endpoints(_ node: Node?, _ path: String, _ parent: Node) -> [Endpoint] {
        guard let sequence = node?.sequence, !sequence.isEmpty else {
            self.reject(path, "must be a list with at least one endpoint", node ?? parent)
            return []
        }
        var named: Set<Endpoint> = []
        for item in sequence {
            guard let endpoint = item.scalar.flatMap({ Endpoint(rawValue: $0.string) }) else {
                let known = Endpoint.allCases.map(\.rawValue).joined(separator: ", ")
                self.reject(path, "knows only \(known)", item)
                continue
            }
            if !named.insert(endpoint).inserted {
                self.reject(path, "names \(endpoint.rawValue) twice", item)
            }
        }
        return Endpoint.allCases.filter(named.contains)
    }
}
