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
        for region in [nil] + Region.allCases { _ = try card.priceTable(mode: .exact, region: region) }
        self = card
    }
}

/// Walks the YAML tree and collects problems; what is unreadable becomes nil and is reported once.
struct RateCardReader {
    var problems: [RateCardProblem] = []
    private(set) var markup: ExactDecimal?

    init() {}

    mutating func reject(_ path: String, _ message: String, _ node: Node? = nil) {
        self.problems.append(RateCardProblem(.error, path, message, line: node?.mark?.line))
    }

    mutating func root(of text: String) -> Node? {
        if let line = Self.lineOfAnchor(in: text) {
            self.problems.append(
                RateCardProblem(
                    .error, "(file)",
                    "has an anchor (&name), which a card does not take; in a text or a comment, "
                        + "put a blank behind the &", line: line))
            return nil
        }
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

    /// Ten anchors of ten aliases each are a kilobyte, and ten thousand million nodes to whoever walks them, which the
    /// parser does itself; so they are found before it. More is refused than need be (quoted texts, comments): telling these
    /// apart is the parser's work, and every alias needs an anchor that looks like this.
    private static func lineOfAnchor(in text: String) -> Int? {
        var line = 1
        var before: UInt8 = 0x0a
        var bytes = text.utf8.makeIterator()
        var this = bytes.next()
        while let byte = this {
            let next = bytes.next()
            if byte == UInt8(ascii: "&"), !Self.isWord(before), let next, Self.isWord(next) { return line }
            if byte == 0x0a { line += 1 }
            (before, this) = (byte, next)
        }
        return nil
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
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
        let tools = self.tools(top["tools"], "tools", node)
        guard let name, let version, let effective, let markup else { return nil }
        return RateCard(
            card: name, version: version, effectiveFromMilliseconds: effective, markup: markup,
            models: models, tools: tools)
    }

    private mutating func model(_ node: Node, _ path: String) -> RateCard.Model? {
        let known: Set<String> = [
            "encoding", "endpoints", "context", "max_output", "cost", "price", "tiers", "long_context",
            "on_disconnect", "holds", "hidden_reasoning", "tools", "regional_uplift",
        ]
        guard let fields = self.mapping(node, path, known: known) else { return nil }
        let encoding = self.identifier(fields["encoding"], path + ".encoding", node)
        let endpoints = self.endpoints(fields["endpoints"], path + ".endpoints", node)
        let uplift = self.uplift(fields["regional_uplift"], path + ".regional_uplift", node)
        let rules = TierRules(endpoints: endpoints, uplift: uplift)
        let standard = self.tier(fields, path, node, rules.ofStandard)
        let counts = standard.cost.all.contains { $0.part.measure == .token }
        // Without costs of tokens the limits of tokens have no meaning; whoever forgot the costs is told of
        // those.
        let needsLimits = counts || standard.cost.all.isEmpty
        let limits = self.limits(fields, path, node, required: needsLimits, endpoints)
        let tiers = self.tiers(fields["tiers"], path + ".tiers", node, rules)
        let long = fields["long_context"].flatMap { self.longContext($0, path + ".long_context", rules) }
        let policy = self.policy(fields["on_disconnect"], path)
        let holds = self.holds(fields["holds"], path)
        let hides = self.flag(fields["hidden_reasoning"], path + ".hidden_reasoning")
        let tools = self.tools(fields["tools"], path + ".tools", node)
        guard let encoding, !needsLimits || limits.context != nil && limits.outputMax != nil else {
            return nil
        }
        let model = RateCard.Model(
            encoding: encoding, endpoints: endpoints, context: limits.context, outputMax: limits.outputMax,
            standard: standard, tiers: tiers, longContext: long, onDisconnect: policy, holds: holds,
            hidesReasoning: hides,
            tools: tools, regionalUplift: uplift)
        if !tools.isEmpty && !model.callsTools {
            self.reject(path + ".tools", "are called by chat and responses only", fields["tools"])
        }
        return model
    }

    private mutating func limits(
        _ fields: [String: Node], _ path: String, _ node: Node, required: Bool, _ endpoints: [Endpoint]
    ) -> (context: Int64?, outputMax: Int64?) {
        func isRead(_ key: String) -> Bool { required || fields[key] != nil }
        let context = isRead("context") ? self.whole(fields["context"], path + ".context", node) : nil
        if context == 0 { self.reject(path + ".context", "must be positive", fields["context"]) }
        let outputMax =
            isRead("max_output") ? self.whole(fields["max_output"], path + ".max_output", node) : nil
        let generates = endpoints.contains { $0 != .embeddings && $0 != .moderations }
        if required && outputMax == 0 && generates {
            self.reject(
                path + ".max_output", "must be positive for a model that writes", fields["max_output"])
        }
        return (context, outputMax)
    }

    private mutating func longContext(
        _ node: Node, _ path: String, _ rules: TierRules
    ) -> RateCard.LongContext? {
        guard let fields = self.mapping(node, path, known: ["threshold", "cost", "price", "tiers"]) else {
            return nil
        }
        let threshold = self.whole(fields["threshold"], path + ".threshold", node)
        let standard = self.tier(fields, path, node, rules)
        let tiers = self.tiers(fields["tiers"], path + ".tiers", node, rules)
        return threshold.map { RateCard.LongContext(threshold: $0, standard: standard, tiers: tiers) }
    }

    private mutating func tiers(
        _ node: Node?, _ path: String, _ parent: Node, _ rules: TierRules
    ) -> [ServiceTier: RateCard.Tier] {
        var tiers: [ServiceTier: RateCard.Tier] = [:]
        for (name, row) in self.entries(node, path, required: false, parent) {
            guard let tier = ServiceTier(rawValue: name), tier != .default else {
                let known = ServiceTier.allCases.filter { $0 != .default }.map(\.rawValue)
                self.reject("\(path).\(name)", "is not one of \(known.joined(separator: ", "))", row)
                continue
            }
            guard let fields = self.mapping(row, "\(path).\(name)", known: ["cost", "price"]) else {
                continue
            }
            tiers[tier] = self.tier(fields, "\(path).\(name)", row, rules)
        }
        return tiers
    }

    private mutating func policy(_ node: Node?, _ path: String) -> DisconnectPolicy? {
        guard let node else { return nil }
        let policy = node.scalar.flatMap { DisconnectPolicy(rawValue: $0.string) }
        if policy == nil { self.reject(path + ".on_disconnect", "must be cancel or drain", node) }
        return policy
    }

    private mutating func holds(_ node: Node?, _ path: String) -> HoldPolicy? {
        guard let node else { return nil }
        let policy = node.scalar.flatMap { HoldPolicy(rawValue: $0.string) }
        if policy == nil { self.reject(path + ".holds", "must be full or rolling", node) }
        return policy
    }

    private mutating func flag(_ node: Node?, _ path: String) -> Bool? {
        guard let node else { return nil }
        let flag = node.scalar.flatMap { ["true": true, "false": false][$0.string] }
        if flag == nil { self.reject(path, "must be true or false", node) }
        return flag
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
