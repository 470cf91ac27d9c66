import Metering
import Yams

extension RateCard {
    /// Reads a card. Every problem is reported at once; amounts never pass through a binary float.
    ///
    /// - Throws: `RateCardInvalid`.
    public init(parsing text: String) throws {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw RateCardInvalid(problems: [RateCardProblem(.error, "(file)", "not YAML: \(error)")])
        }
        var reader = RateCardReader()
        let card = root.flatMap { reader.card($0) }
        if root == nil { reader.reject("(file)", "is empty") }
        guard let card, reader.problems.isEmpty else { throw RateCardInvalid(problems: reader.problems) }
        // Also proves that every amount can be expressed in the units that charges are computed in.
        _ = try card.priceTable(mode: .exact)
        self = card
    }
}

/// Walks the YAML tree and collects problems.
private struct RateCardReader {
    var problems: [RateCardProblem] = []

    mutating func reject(_ path: String, _ message: String, _ node: Node? = nil) {
        self.problems.append(RateCardProblem(.error, path, message, line: node?.mark?.line))
    }

    mutating func card(_ node: Node) -> RateCard? {
        guard
            let top = self.mapping(
                node, "(top)", known: ["card", "version", "effective_from", "markup", "models", "tools"])
        else { return nil }
        let name = self.text(top["card"], "card", node)
        let version = self.text(top["version"], "version", node)
        let effective = self.instant(top["effective_from"], "effective_from", node)
        let markup = self.decimal(top["markup"], "markup", quoted: true, node)
        if let markup, markup.isNegative { self.reject("markup", "must not be negative", top["markup"]) }
        var models: [String: RateCard.Model] = [:]
        for (model, row) in self.entries(top["models"], "models", required: true, node) {
            if let row = self.model(row, "models.\(model)") { models[model] = row }
        }
        var tools: [String: ExactDecimal] = [:]
        for (tool, row) in self.entries(top["tools"], "tools", required: false, node) {
            let path = "tools.\(tool)"
            guard let fields = self.mapping(row, path, known: ["cost_per_1k_calls"]) else { continue }
            tools[tool] = self.decimal(
                fields["cost_per_1k_calls"], path + ".cost_per_1k_calls", quoted: true, row)
        }
        guard let name, let version, let effective, let markup else { return nil }
        return RateCard(
            card: name, version: version, effectiveFromMilliseconds: effective, markup: markup, models: models,
            tools: tools)
    }

    private mutating func model(_ node: Node, _ path: String) -> RateCard.Model? {
        let known: Set<String> = [
            "encoding", "endpoints", "context", "max_output", "cost", "price", "tiers", "long_context",
            "on_disconnect",
        ]
        guard let fields = self.mapping(node, path, known: known) else { return nil }
        let encoding = self.text(fields["encoding"], path + ".encoding", node)
        let endpoints = self.endpoints(fields["endpoints"], path + ".endpoints", node)
        let context = self.whole(fields["context"], path + ".context", node)
        if context == 0 { self.reject(path + ".context", "must be positive", fields["context"]) }
        let outputMax = self.whole(fields["max_output"], path + ".max_output", node)
        let standard = self.tier(fields, path, node)
        if standard.cost.input == nil || standard.cost.output == nil {
            self.reject(path + ".cost", "must name input and output", node)
        }
        let tiers = self.tiers(fields["tiers"], path + ".tiers", node)
        let long = fields["long_context"].flatMap { self.longContext($0, path + ".long_context") }
        guard let encoding, let context, let outputMax else { return nil }
        return RateCard.Model(
            encoding: encoding, endpoints: endpoints, context: context, outputMax: outputMax, standard: standard,
            tiers: tiers, longContext: long, onDisconnect: self.policy(fields["on_disconnect"], path))
    }

    private mutating func longContext(_ node: Node, _ path: String) -> RateCard.LongContext? {
        guard let fields = self.mapping(node, path, known: ["threshold", "cost", "price", "tiers"]),
            let threshold = self.whole(fields["threshold"], path + ".threshold", node)
        else { return nil }
        let standard = self.tier(fields, path, node)
        if standard.cost.input == nil || standard.cost.output == nil {
            self.reject(path + ".cost", "must name input and output", node)
        }
        return RateCard.LongContext(
            threshold: threshold, standard: standard, tiers: self.tiers(fields["tiers"], path + ".tiers", node))
    }

    private mutating func tiers(_ node: Node?, _ path: String, _ parent: Node) -> [ServiceTier: RateCard.Tier] {
        var tiers: [ServiceTier: RateCard.Tier] = [:]
        for (name, row) in self.entries(node, path, required: false, parent) {
            guard let tier = ServiceTier(rawValue: name), tier != .default else {
                self.reject("\(path).\(name)", "is not one of flex, priority, batch", row)
                continue
            }
            guard let fields = self.mapping(row, "\(path).\(name)", known: ["cost", "price"]) else { continue }
            let read = self.tier(fields, "\(path).\(name)", row)
            if read.cost.input == nil || read.cost.output == nil {
                self.reject("\(path).\(name).cost", "must name input and output", row)
            }
            tiers[tier] = read
        }
        return tiers
    }

    private mutating func tier(_ fields: [String: Node], _ path: String, _ node: Node) -> RateCard.Tier {
        var tier = RateCard.Tier()
        if let cost = fields["cost"] { tier.cost = self.amounts(cost, path + ".cost") }
        if let price = fields["price"] { tier.price = self.amounts(price, path + ".price") }
        return tier
    }

    private mutating func amounts(_ node: Node, _ path: String) -> RateCard.Amounts {
        var amounts = RateCard.Amounts()
        guard let fields = self.mapping(node, path, known: ["input", "cached_input", "cache_write", "output"])
        else { return amounts }
        func amount(_ key: String) -> ExactDecimal? {
            guard let node = fields[key] else { return nil }
            let value = self.decimal(node, "\(path).\(key)", quoted: true, node)
            if let value, value.isNegative { self.reject("\(path).\(key)", "must not be negative", node) }
            return value
        }
        amounts.input = amount("input")
        amounts.cachedInput = amount("cached_input")
        amounts.cacheWrite = amount("cache_write")
        amounts.output = amount("output")
        return amounts
    }

    private mutating func policy(_ node: Node?, _ path: String) -> DisconnectPolicy? {
        guard let node else { return nil }
        let policy = node.scalar.flatMap { DisconnectPolicy(rawValue: $0.string) }
        if policy == nil { self.reject(path + ".on_disconnect", "must be cancel or drain", node) }
        return policy
    }

    private mutating func endpoints(_ node: Node?, _ path: String, _ parent: Node) -> [Endpoint] {
        guard let sequence = node?.sequence, !sequence.isEmpty else {
            self.reject(path, "must be a list with at least one endpoint", node ?? parent)
            return []
        }
        return sequence.compactMap { item in
            guard let endpoint = item.scalar.flatMap({ Endpoint(rawValue: $0.string) }) else {
                let known = Endpoint.allCases.map(\.rawValue).joined(separator: ", ")
                self.reject(path, "knows only \(known)", item)
                return nil
            }
            return endpoint
        }
    }

    // MARK: Scalars and mappings

    private mutating func mapping(_ node: Node, _ path: String, known: Set<String>) -> [String: Node]? {
        guard let mapping = node.mapping else {
            self.reject(path, "must be a mapping", node)
            return nil
        }
        var fields: [String: Node] = [:]
        for (key, value) in mapping {
            let name = key.scalar?.string ?? "?"
            if !known.contains(name) {
                self.reject(path, "has the unknown key '\(name)'", key)
            } else if fields.updateValue(value, forKey: name) != nil {
                self.reject(path, "names '\(name)' twice", key)
            }
        }
        return fields
    }

    private mutating func entries(
        _ node: Node?, _ path: String, required: Bool, _ parent: Node
    ) -> [(String, Node)] {
        guard let node else {
            if required { self.reject(path, "is missing", parent) }
            return []
        }
        guard let mapping = node.mapping, !(required && mapping.isEmpty) else {
            self.reject(path, "must be a mapping" + (required ? " with at least one entry" : ""), node)
            return []
        }
        var seen: Set<String> = []
        return mapping.compactMap { key, value in
            let name = key.scalar?.string ?? ""
            if name.isEmpty || !seen.insert(name).inserted {
                self.reject(path, "names '\(name)' twice, or not at all", key)
                return nil
            }
            return (name, value)
        }
    }

    private mutating func text(_ node: Node?, _ path: String, _ parent: Node) -> String? {
        guard let text = node?.scalar?.string, !text.isEmpty else {
            self.reject(path, "is missing", node ?? parent)
            return nil
        }
        return text
    }

    private mutating func whole(_ node: Node?, _ path: String, _ parent: Node) -> Int64? {
        guard let text = node?.scalar?.string else {
            self.reject(path, "is missing", node ?? parent)
            return nil
        }
        guard let value = Int64(text), value >= 0, value <= 1_000_000_000 else {
            self.reject(path, "must be a whole number of tokens", node)
            return nil
        }
        return value
    }

    private mutating func decimal(
        _ node: Node?, _ path: String, quoted: Bool, _ parent: Node
    ) -> ExactDecimal? {
        guard let scalar = node?.scalar else {
            self.reject(path, "is missing", node ?? parent)
            return nil
        }
        guard !quoted || scalar.style == .doubleQuoted || scalar.style == .singleQuoted else {
            self.reject(path, "must be a quoted decimal, such as \"0.15\"", node)
            return nil
        }
        do throws(ExactDecimal.ParseFailure) {
            return try ExactDecimal(parsing: scalar.string)
        } catch {
            self.reject(path, "'\(scalar.string)' is not a decimal", node)
            return nil
        }
    }

    private mutating func instant(_ node: Node?, _ path: String, _ parent: Node) -> Int64? {
        guard let text = node?.scalar?.string else {
            self.reject(path, "is missing", node ?? parent)
            return nil
        }
        guard let instant = UTCInstant.milliseconds(parsing: text) else {
            self.reject(path, "must be an instant in UTC, such as 2026-11-12T00:00:00Z", node)
            return nil
        }
        return instant
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ`, checked digit by digit.
enum UTCInstant {
    static func milliseconds(parsing text: String) -> Int64? {
        let bytes = Array(text.utf8)
        let pattern = Array("dddd-dd-ddTdd:dd:ddZ".utf8)
        guard bytes.count == pattern.count else { return nil }
        for (byte, wanted) in zip(bytes, pattern) {
            let isDigit = (0x30...0x39).contains(byte)
            guard wanted == UInt8(ascii: "d") ? isDigit : byte == wanted else { return nil }
        }
        func number(_ range: Range<Int>) -> Int64 { range.reduce(0) { $0 * 10 + Int64(bytes[$1] - 0x30) } }
        let (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
        let (hour, minute, second) = (number(11..<13), number(14..<16), number(17..<19))
        guard year >= 1970, (1...12).contains(month), day >= 1, hour < 24, minute < 60, second < 60 else { return nil }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard day <= lengths[Int(month) - 1] else { return nil }
        // Howard Hinnant's days_from_civil.
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted % 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000
    }
}
