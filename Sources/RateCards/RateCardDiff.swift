import Metering

/// What changes from one card to another, with the warnings of publishing (CONTRACT §7).
public struct RateCardDiff: Sendable {
    public enum Change: Sendable, Hashable {
        case added
        case removed
        case changed(path: String, from: String, to: String)
    }

    /// By model, in order of name.
    public private(set) var changes: [(model: String, change: Change)] = []
    public private(set) var problems: [RateCardProblem] = []

    /// - Parameters:
    ///   - old: the active card; nil when there is none.
    ///   - nowMilliseconds: the time of publishing.
    public init(from old: RateCard?, to new: RateCard, nowMilliseconds: Int64) {
        for name in Set((old?.models ?? [:]).keys).union(new.models.keys).sorted() {
            switch (old?.models[name], new.models[name]) {
            case (nil, .some): self.changes.append((name, .added))
            case (.some, nil):
                self.changes.append((name, .removed))
                self.warn(.warning, "models.\(name)", "vanishes: requests for it will be refused")
            case (.some(let before), .some(let after)): self.compare(name, before, after, old, new)
            case (nil, nil): break
            }
        }
        for (name, model) in new.models.sorted(by: { $0.key < $1.key }) { self.checkMargin(name, model, new) }
        if new.effectiveFromMilliseconds < nowMilliseconds {
            self.warn(
                .notice, "effective_from", "is in the past: the card takes effect when it is applied, and nothing is priced again")
        }
        if let old, old.identity == new.identity, old != new {
            self.warn(.error, "version", "'\(new.version)' is applied already, with other content")
        }
    }

    private mutating func warn(_ severity: RateCardProblem.Severity, _ path: String, _ message: String) {
        self.problems.append(RateCardProblem(severity, path, message))
    }

    private mutating func compare(
        _ name: String, _ before: RateCard.Model, _ after: RateCard.Model, _ old: RateCard?, _ new: RateCard
    ) {
        let oldAmounts = old.map { before.namedPrices(markup: $0.markup) } ?? [:]
        let newAmounts = after.namedPrices(markup: new.markup)
        for path in Set(oldAmounts.keys).union(newAmounts.keys).sorted() {
            let (from, to) = (oldAmounts[path], newAmounts[path])
            guard from != to else { continue }
            self.changes.append(
                (name, .changed(path: path, from: from?.description ?? "-", to: to?.description ?? "-")))
            if let from, let to, Self.isJump(from, to) {
                self.warn(.warning, "models.\(name).\(path)", "moves by more than 5×, from \(from) to \(to)")
            }
        }
        for (path, from, to) in [
            ("context", before.context, after.context), ("max_output", before.outputMax, after.outputMax),
        ] where from != to {
            self.changes.append((name, .changed(path: path, from: String(from), to: String(to))))
        }
    }

    private static func isJump(_ from: ExactDecimal, _ to: ExactDecimal) -> Bool {
        let five = ExactDecimal(coefficient: 5, scale: 0)
        guard let five5From = from.multiplied(by: five), let five5To = to.multiplied(by: five) else { return true }
        return five5From.isLess(than: to) || five5To.isLess(than: from)
    }

    private mutating func checkMargin(_ name: String, _ model: RateCard.Model, _ card: RateCard) {
        let prices = model.namedPrices(markup: card.markup)
        let costs = model.namedCosts
        for (path, cost) in costs.sorted(by: { $0.key < $1.key }) {
            guard let price = prices[path], price.isLess(than: cost) else { continue }
            self.warn(.warning, "models.\(name).\(path)", "is sold below cost: price \(price), cost \(cost)")
        }
    }

    /// For a terminal: one line per change, then the problems.
    public var text: String {
        var lines = self.changes.map { model, change in
            switch change {
            case .added: "+ \(model)"
            case .removed: "- \(model)"
            case .changed(let path, let from, let to): "~ \(model) \(path): \(from) → \(to)"
            }
        }
        if lines.isEmpty { lines.append("no change") }
        return (lines + self.problems.map(\.description)).joined(separator: "\n")
    }
}

extension ExactDecimal {
    /// Exact comparison, also where the scales differ.
    func isLess(than other: ExactDecimal) -> Bool {
        let scale = max(self.scale, other.scale)
        guard let left = self.scaledToInteger(powerOfTen: scale), let right = other.scaledToInteger(powerOfTen: scale)
        else { return self.coefficient < 0 && other.coefficient >= 0 }
        return left < right
    }
}

extension RateCard.Model {
    /// Prices in credits per 1K tokens (= USD × markup per 1M tokens), by path.
    fileprivate func namedPrices(markup: ExactDecimal) -> [String: ExactDecimal] {
        self.paths { tier in
            let named = tier.price
            func price(_ own: ExactDecimal?, _ fallback: ExactDecimal?, _ cost: ExactDecimal?) -> ExactDecimal? {
                own ?? fallback ?? cost?.multiplied(by: markup)
            }
            return [
                ("input", price(named.input, nil, tier.cost.input)),
                ("cached_input", price(named.cachedInput, named.input, tier.cost.cachedInput ?? tier.cost.input)),
                ("cache_write", price(named.cacheWrite, named.input, tier.cost.cacheWrite ?? tier.cost.input)),
                ("output", price(named.output, nil, tier.cost.output)),
            ]
        }
    }

    fileprivate var namedCosts: [String: ExactDecimal] {
        self.paths { tier in
            [
                ("input", tier.cost.input), ("cached_input", tier.cost.cachedInput ?? tier.cost.input),
                ("cache_write", tier.cost.cacheWrite ?? tier.cost.input), ("output", tier.cost.output),
            ]
        }
    }

    private func paths(_ amounts: (RateCard.Tier) -> [(String, ExactDecimal?)]) -> [String: ExactDecimal] {
        var result: [String: ExactDecimal] = [:]
        func add(_ prefix: String, _ tier: RateCard.Tier) {
            for (key, amount) in amounts(tier) { result[prefix + key] = amount }
        }
        add("", self.standard)
        for (tier, row) in self.tiers { add("tiers.\(tier.rawValue).", row) }
        if let long = self.longContext {
            add("long_context.", long.standard)
            for (tier, row) in long.tiers { add("long_context.tiers.\(tier.rawValue).", row) }
        }
        return result
    }
}
