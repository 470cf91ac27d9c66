import Metering
import Yams

/// What a row says about the maps of costs and prices in it.
struct TierRules {
    var endpoints: [Endpoint]
    var uplift: [Region: ExactDecimal]
    /// Seconds and characters have one amount for all tiers, named in the standard one.
    var isStandard = false

    var ofStandard: TierRules {
        var rules = self
        rules.isStandard = true
        return rules
    }

    var parts: [RateCard.Part] { self.isStandard ? RateCard.Part.allCases : RateCard.Part.tokens }

    /// Sets of costs of which each must have one that is named.
    func required(besides named: Set<RateCard.Part>) -> [[RateCard.Part]] {
        var sets: [[RateCard.Part]] = []
        for endpoint in self.endpoints.isEmpty ? [.chat] : self.endpoints {
            switch endpoint {
            case .chat, .responses, .completions: sets += [[.input], [.output]]
            case .embeddings, .moderations: sets.append([.input])
            case .images: sets += [[.input], [.output, .imageOutput]]
            case .audio:
                if named.isDisjoint(with: [.second, .characters]) {
                    sets += [[.input], [.output, .audioOutput]]
                }
            }
        }
        // Costs of tokens come in full or not at all.
        if sets.isEmpty && named.contains(where: { $0.measure == .token }) {
            sets = [[.input], [.output, .audioOutput]]
        }
        var seen: Set<[RateCard.Part]> = []
        return sets.filter { seen.insert($0).inserted }
    }
}

extension RateCardReader {
    /// A tier's cost must be complete; its price replaces only what it names.
    mutating func tier(
        _ fields: [String: Node], _ path: String, _ node: Node, _ rules: TierRules
    ) -> RateCard.Tier {
        var tier = RateCard.Tier()
        guard let cost = fields["cost"] else {
            self.reject(path + ".cost", "is missing", node)
            return tier
        }
        tier.cost = self.amounts(cost, path + ".cost", rules.parts, RateCard.rate(cost:per:))
        if let price = fields["price"] {
            tier.price = self.amounts(price, path + ".price", rules.parts, RateCard.rate(price:per:))
        }
        guard let costs = cost.mapping else { return tier }
        let named = Set(RateCard.Part.allCases.filter { costs[$0.rawValue] != nil })
        for set in rules.required(besides: named) where named.isDisjoint(with: set) {
            let others = set.dropFirst().map { ", and so is \($0.rawValue)" }.joined()
            self.reject("\(path).cost.\(set[0].rawValue)", "is missing\(others)", cost)
        }
        let costsAreRead = tier.cost.all.count == costs.count
        for (part, _) in tier.price.all where costsAreRead && tier.cost(of: part) == nil {
            self.reject("\(path).price.\(part.rawValue)", "has no cost beside it", fields["price"])
        }
        self.checkProducts(of: tier, costs, path, rules.uplift)
        return tier
    }

    /// Costs times uplift, and times markup, must be as exact as the costs themselves.
    private mutating func checkProducts(
        of tier: RateCard.Tier, _ nodes: Node.Mapping, _ path: String, _ uplift: [Region: ExactDecimal]
    ) {
        guard let markup else { return }
        for (part, cost) in tier.cost.all {
            let place = "\(path).cost.\(part.rawValue)"
            let isNamed = tier.namedPrice(of: part) != nil
            do throws(RateCard.InexactAmount) {
                if !isNamed { _ = try RateCard.rate(marking: cost, up: markup, per: part.measure) }
                guard part.measure == .token else { continue }
                for factor in Region.allCases.compactMap({ uplift[$0] }) {
                    try Self.checkRaised(cost, by: factor, isNamed ? nil : markup, part.measure)
                }
            } catch {
                self.reject(place, error.message, nodes[part.rawValue])
            }
        }
    }

    private static func checkRaised(
        _ cost: ExactDecimal, by factor: ExactDecimal, _ markup: ExactDecimal?, _ measure: RateCard.Measure
    ) throws(RateCard.InexactAmount) {
        guard let raised = cost.multiplied(by: factor) else {
            throw RateCard.InexactAmount(message: "times the uplift is beyond \(measure.most)")
        }
        do throws(RateCard.InexactAmount) {
            _ = try RateCard.rate(cost: raised, per: measure)
            if let markup { _ = try RateCard.rate(marking: raised, up: markup, per: measure) }
        } catch {
            throw RateCard.InexactAmount(message: "times the uplift (\(raised)) \(error.message)")
        }
    }

    private mutating func amounts(
        _ node: Node, _ path: String, _ parts: [RateCard.Part],
        _ convert: (ExactDecimal, RateCard.Measure) throws(RateCard.InexactAmount) -> Int128
    ) -> RateCard.Amounts {
        var amounts = RateCard.Amounts()
        guard let fields = self.mapping(node, path, known: Set(parts.map(\.rawValue))) else { return amounts }
        for part in parts {
            guard let field = fields[part.rawValue] else { continue }
            amounts[part] = self.amount(field, "\(path).\(part.rawValue)", field, part.measure, convert)
        }
        return amounts
    }

    private mutating func amount(
        _ field: Node?, _ path: String, _ parent: Node, _ measure: RateCard.Measure,
        _ convert: (ExactDecimal, RateCard.Measure) throws(RateCard.InexactAmount) -> Int128
    ) -> ExactDecimal? {
        guard let value = self.decimal(field, path, parent) else { return nil }
        do throws(RateCard.InexactAmount) {
            _ = try convert(value, measure)
            return value
        } catch {
            self.reject(path, error.message, field)
            return nil
        }
    }

    // MARK: Tools and regions

    /// Fees by tool, of the card or of a row.
    mutating func tools(_ node: Node?, _ path: String, _ parent: Node) -> [ToolKind: RateCard.ToolFee] {
        var tools: [ToolKind: RateCard.ToolFee] = [:]
        for (name, row) in self.entries(node, path, required: false, parent) {
            let path = "\(path).\(name)"
            guard let tool = ToolKind(rawValue: name) else {
                let known = ToolKind.allCases.map(\.rawValue).joined(separator: ", ")
                self.reject(path, "is not a tool that can be charged; those are \(known)", row)
                continue
            }
            let keys: Set = ["cost_per_1k_calls", "price_per_1k_calls"]
            guard let fields = self.mapping(row, path, known: keys) else { continue }
            let costPath = path + ".cost_per_1k_calls"
            let cost = self.amount(
                fields["cost_per_1k_calls"], costPath, row, .call, RateCard.rate(cost:per:))
            let price = fields["price_per_1k_calls"].flatMap { field in
                self.amount(field, path + ".price_per_1k_calls", row, .call, RateCard.rate(price:per:))
            }
            guard let cost else { continue }
            tools[tool] = RateCard.ToolFee(cost: cost, namedPrice: price)
            guard let markup, fields["price_per_1k_calls"] == nil else { continue }
            do throws(RateCard.InexactAmount) {
                _ = try RateCard.rate(marking: cost, up: markup, per: .call)
            } catch {
                self.reject(costPath, error.message, fields["cost_per_1k_calls"])
            }
        }
        return tools
    }

    mutating func uplift(_ node: Node?, _ path: String, _ parent: Node) -> [Region: ExactDecimal] {
        var uplift: [Region: ExactDecimal] = [:]
        for (name, field) in self.entries(node, path, required: false, parent) {
            guard let region = Region(rawValue: name) else {
                let known = Region.allCases.map(\.rawValue).joined(separator: ", ")
                self.reject("\(path).\(name)", "is not one of \(known)", field)
                continue
            }
            guard let factor = self.decimal(field, "\(path).\(name)", field) else { continue }
            if factor.isLess(than: ExactDecimal(coefficient: 1, scale: 0)) {
                self.reject("\(path).\(name)", "must be a factor of at least 1, such as \"1.1\"", field)
            } else {
                uplift[region] = factor
            }
        }
        return uplift
    }
}
