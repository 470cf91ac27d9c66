import Metering

/// What changes from one card to another, with the warnings of publishing (CONTRACT §7).
public struct RateCardDiff: Sendable {
    public enum Change: Sendable, Hashable {
        case added
        case removed
        /// Prices in credits per 1K tokens (path `output`), costs in USD per 1M (path `cost.output`).
        case changed(path: String, from: String, to: String)
    }

    /// By model, in order of name; what belongs to the whole card comes first, under `(card)`.
    public private(set) var changes: [(model: String, change: Change)] = []
    public private(set) var problems: [RateCardProblem] = []
    /// The margin of every rate of the new card, by model and path.
    public let margins: [RateCardMargin]

    /// - Parameters:
    ///   - old: the active card; nil when there is none.
    ///   - nowMilliseconds: the time of publishing.
    public init(from old: RateCard?, to new: RateCard, nowMilliseconds: Int64) {
        self.margins = new.models.sorted { $0.key < $1.key }.flatMap { name, model in
            RateCardMargin.all(of: model, named: name, markup: new.markup)
        }
        if let old { self.compareCards(old, new) }
        for name in Set((old?.models ?? [:]).keys).union(new.models.keys).sorted() {
            switch (old?.models[name], new.models[name]) {
            case (nil, .some): self.changes.append((name, .added))
            case (.some, nil):
                self.changes.append((name, .removed))
                self.warn(.warning, "models.\(name)", "vanishes: requests for it will be refused")
            case (.some(let before), .some(let after)):
                self.compare(name, before, after, old?.markup ?? new.markup, new.markup)
            case (nil, nil): break
            }
        }
        for margin in self.margins where margin.isNegative {
            self.warn(
                .warning, "models.\(margin.model).\(margin.path)",
                "is sold below cost: price \(margin.price), cost \(margin.cost)")
        }
        for (name, model) in new.models.sorted(by: { $0.key < $1.key }) {
            self.check(model, "models.\(name)")
        }
        if new.effectiveFromMilliseconds < nowMilliseconds {
            self.warn(
                .notice, "effective_from",
                "is in the past: the card takes effect when it is applied, and nothing is priced again")
        }
        if let old, old.identity == new.identity, old != new {
            self.warn(.error, "version", "'\(new.version)' is applied already, with other content")
        }
    }

    private mutating func warn(_ severity: RateCardProblem.Severity, _ path: String, _ message: String) {
        self.problems.append(RateCardProblem(severity, path, message))
    }

    private mutating func note(_ model: String, _ path: String, _ from: String?, _ to: String?) {
        guard from != to else { return }
        self.changes.append((model, .changed(path: path, from: from ?? "-", to: to ?? "-")))
    }

    private mutating func compareCards(_ old: RateCard, _ new: RateCard) {
        self.note("(card)", "markup", old.markup.description, new.markup.description)
        for tool in Set(old.tools.keys).union(new.tools.keys).sorted() {
            self.note("(card)", "tools.\(tool)", old.tools[tool]?.description, new.tools[tool]?.description)
        }
    }

    private mutating func compare(
        _ name: String, _ before: RateCard.Model, _ after: RateCard.Model, _ oldMarkup: ExactDecimal,
        _ newMarkup: ExactDecimal
    ) {
        let (old, new) = (before.prices(markup: oldMarkup), after.prices(markup: newMarkup))
        for path in Set(old.keys).union(new.keys).sorted() {
            self.note(name, path, old[path]?.description, new[path]?.description)
            if let from = old[path], let to = new[path], Self.isJump(from, to) {
                self.warn(.warning, "models.\(name).\(path)", "moves by more than 5×, from \(from) to \(to)")
            }
        }
        for tier in ServiceTier.allCases where before.tiers[tier] != nil && after.tiers[tier] == nil {
            self.warn(
                .warning, "models.\(name).tiers.\(tier.rawValue)", "vanishes: requests for it will be refused"
            )
        }
        for endpoint in before.endpoints where !after.endpoints.contains(endpoint) {
            self.warn(
                .warning, "models.\(name).endpoints",
                "\(endpoint.rawValue) vanishes: requests will be refused")
        }
        let (oldCosts, newCosts) = (before.costs, after.costs)
        for path in Set(oldCosts.keys).union(newCosts.keys).sorted() {
            self.note(name, "cost.\(path)", oldCosts[path]?.description, newCosts[path]?.description)
        }
        self.note(name, "encoding", before.encoding, after.encoding)
        self.note(name, "endpoints", Self.list(before.endpoints), Self.list(after.endpoints))
        self.note(name, "context", String(before.context), String(after.context))
        self.note(name, "max_output", String(before.outputMax), String(after.outputMax))
        self.note(
            name, "long_context.threshold", before.longContext.map { String($0.threshold) },
            after.longContext.map { String($0.threshold) })
        self.note(name, "on_disconnect", before.onDisconnect?.rawValue, after.onDisconnect?.rawValue)
    }

    private static func list(_ endpoints: [Endpoint]) -> String {
        endpoints.map(\.rawValue).joined(separator: " ")
    }

    private static func isJump(_ from: ExactDecimal, _ to: ExactDecimal) -> Bool {
        let five = ExactDecimal(coefficient: 5, scale: 0)
        guard let fromTimesFive = from.multiplied(by: five), let toTimesFive = to.multiplied(by: five) else {
            return true
        }
        return fromTimesFive.isLess(than: to) || toTimesFive.isLess(than: from)
    }

    /// What is legal but hardly meant.
    private mutating func check(_ model: RateCard.Model, _ path: String) {
        if !["o200k_base", "o200k_harmony", "cl100k_base", "p50k_base"].contains(model.encoding) {
            self.warn(
                .warning, path + ".encoding", "'\(model.encoding)' is unknown: bytes will bound its tokens")
        }
        guard let long = model.longContext else { return }
        if long.threshold >= model.context {
            self.warn(
                .warning, path + ".long_context.threshold",
                "is never reached: the context is \(model.context)")
        }
        for (tier, short) in [(ServiceTier.default, model.standard)] + RateCard.Model.sorted(model.tiers) {
            let rates = long.tiers[tier] ?? long.standard
            for part in RateCard.Part.allCases {
                guard let longCost = rates.cost(of: part), let cost = short.cost(of: part) else { continue }
                guard longCost.isLess(than: cost) else { continue }
                self.warn(
                    .warning, path + ".long_context",
                    "\(tier.rawValue) \(part.rawValue) is cheaper than for short input")
            }
        }
    }

    /// For a terminal: one line per change, then the problems.
    public var text: String { RateCardReport.renderDiff(self) }
}

extension ExactDecimal {
    /// Exact comparison, also where the scales differ.
    func isLess(than other: ExactDecimal) -> Bool {
        let scale = max(self.scale, other.scale)
        let (left, right) = (
            self.scaledToInteger(powerOfTen: scale), other.scaledToInteger(powerOfTen: scale)
        )
        if let left, let right { return left < right }
        // One of them is too large for the common scale: whole parts of such numbers differ.
        let (leftWhole, rightWhole) = (self.wholePart, other.wholePart)
        return leftWhole < rightWhole
    }

    private var wholePart: Int128 {
        (0..<self.scale).reduce(self.coefficient) { value, _ in value / 10 }
    }
}

extension RateCard.Model {
    /// Prices in credits per 1K tokens, by path.
    func prices(markup: ExactDecimal) -> [String: ExactDecimal] {
        self.amounts { tier, part in tier.price(of: part, markup: markup) }
    }

    /// Costs in USD per 1M tokens, by path.
    var costs: [String: ExactDecimal] { self.amounts { tier, part in tier.cost(of: part) } }

    private func amounts(
        _ amount: (RateCard.Tier, RateCard.Part) -> ExactDecimal?
    ) -> [String: ExactDecimal] {
        var result: [String: ExactDecimal] = [:]
        for (path, tier) in self.pricedTiers {
            for part in RateCard.Part.allCases { result[path + part.rawValue] = amount(tier, part) }
        }
        return result
    }
}
