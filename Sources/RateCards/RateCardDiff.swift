import Metering

/// What changes from one card to another, with the warnings of publishing (CONTRACT §7).
public struct RateCardDiff: Sendable {
    public enum Change: Sendable, Hashable {
        case added
        case removed
        /// Prices in credits per 1K tokens, characters or calls, or per second (path `output`); costs in USD
        /// per 1M tokens or characters, per second or per 1K calls (path `cost.output`).
        case changed(path: String, from: String, to: String)
    }

    /// By model, in order of name; what belongs to the whole card comes first, under `(card)`.
    public private(set) var changes: [(model: String, change: Change)] = []
    public private(set) var problems: [RateCardProblem] = []
    /// The margin of every rate of the new card, by model and path.
    public let margins: [RateCardMargin]
    /// The same of the old card.
    public let marginsBefore: [RateCardMargin]
    /// `card@version` of both; nil: there was no card.
    public let from: String?
    public let to: String

    /// - Parameters:
    ///   - old: the active card; nil when there is none.
    ///   - nowMilliseconds: the time of publishing.
    public init(from old: RateCard?, to new: RateCard, nowMilliseconds: Int64) {
        (self.from, self.to) = (old?.identity, new.identity)
        self.margins = RateCardMargin.all(of: new)
        self.marginsBefore = old.map(RateCardMargin.all) ?? []
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
                .warning, margin.place,
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
        if let old, old.identity == new.identity, old != new { self.refuseVersion(of: new) }
    }

    /// For a reason that its reader knows.
    public mutating func refuse(_ path: String, _ message: String) { self.warn(.error, path, message) }

    /// A version is applied once: the card stands under it already, with other content. Said once.
    public mutating func refuseVersion(of card: RateCard) {
        guard !self.problems.contains(where: { $0.path == "version" }) else { return }
        self.warn(.error, "version", "'\(card.version)' is applied already, with other content")
    }

    mutating func warn(_ severity: RateCardProblem.Severity, _ path: String, _ message: String) {
        self.problems.append(RateCardProblem(severity, path, message))
    }

    mutating func setLines(_ line: (RateCardProblem) -> Int?) {
        for index in self.problems.indices { self.problems[index].line = line(self.problems[index]) }
    }

    private mutating func note(_ model: String, _ path: String, _ from: String?, _ to: String?) {
        guard from != to else { return }
        self.changes.append((model, .changed(path: path, from: from ?? "-", to: to ?? "-")))
    }

    private mutating func compareCards(_ old: RateCard, _ new: RateCard) {
        self.note(
            "(card)", "effective_from", UTCInstant.text(milliseconds: max(0, old.effectiveFromMilliseconds)),
            UTCInstant.text(milliseconds: max(0, new.effectiveFromMilliseconds)))
        self.note("(card)", "markup", old.markup.description, new.markup.description)
        self.comparePrices(
            "(card)", "", RateCard.toolPrices(old.tools, old.markup),
            RateCard.toolPrices(new.tools, new.markup))
        self.compareCosts("(card)", RateCard.toolCosts(old.tools), RateCard.toolCosts(new.tools))
        for tool in ToolKind.allCases where old.tools[tool] != nil && new.tools[tool] == nil {
            self.warn(.warning, "tools.\(tool.rawValue)", "vanishes: requests for it will be refused")
        }
    }

    private mutating func comparePrices(
        _ name: String, _ place: String, _ old: [String: ExactDecimal], _ new: [String: ExactDecimal]
    ) {
        for path in Set(old.keys).union(new.keys).sorted() {
            self.note(name, path, old[path]?.description, new[path]?.description)
            if let from = old[path], let to = new[path], Self.isJump(from, to) {
                self.warn(.warning, place + path, "moves by more than 5×, from \(from) to \(to)")
            }
        }
    }

    private mutating func compareCosts(
        _ name: String, _ old: [String: ExactDecimal], _ new: [String: ExactDecimal]
    ) {
        for path in Set(old.keys).union(new.keys).sorted() {
            self.note(name, "cost.\(path)", old[path]?.description, new[path]?.description)
        }
    }

    private mutating func compare(
        _ name: String, _ before: RateCard.Model, _ after: RateCard.Model, _ oldMarkup: ExactDecimal,
        _ newMarkup: ExactDecimal
    ) {
        self.comparePrices(
            name, "models.\(name).", before.prices(markup: oldMarkup), after.prices(markup: newMarkup))
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
        self.compareCosts(name, before.costs, after.costs)
        self.note(name, "encoding", before.encoding, after.encoding)
        self.note(name, "endpoints", Self.list(before.endpoints), Self.list(after.endpoints))
        self.note(name, "context", before.context.map { "\($0)" }, after.context.map { "\($0)" })
        self.note(name, "max_output", before.outputMax.map { "\($0)" }, after.outputMax.map { "\($0)" })
        self.note(
            name, "long_context.threshold", before.longContext.map { String($0.threshold) },
            after.longContext.map { String($0.threshold) })
        self.note(name, "on_disconnect", before.onDisconnect?.rawValue, after.onDisconnect?.rawValue)
        self.note(name, "holds", before.holds?.rawValue, after.holds?.rawValue)
        self.note(
            name, "hidden_reasoning", before.hidesReasoning.map { "\($0)" },
            after.hidesReasoning.map { "\($0)" })
        for region in Region.allCases {
            self.note(
                name, "regional_uplift.\(region.rawValue)", before.regionalUplift[region]?.description,
                after.regionalUplift[region]?.description)
        }
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

extension RateCard {
    /// Prices in credits per 1K calls, by path.
    fileprivate static func toolPrices(
        _ tools: [ToolKind: ToolFee], _ markup: ExactDecimal
    ) -> [String: ExactDecimal] {
        var prices: [String: ExactDecimal] = [:]
        for (tool, fee) in tools { prices["tools.\(tool.rawValue)"] = fee.price(markup: markup) }
        return prices
    }

    /// Costs in USD per 1K calls, by path.
    fileprivate static func toolCosts(_ tools: [ToolKind: ToolFee]) -> [String: ExactDecimal] {
        var costs: [String: ExactDecimal] = [:]
        for (tool, fee) in tools { costs["tools.\(tool.rawValue)"] = fee.cost }
        return costs
    }
}

extension RateCard.Model {
    /// Prices by path.
    func prices(markup: ExactDecimal) -> [String: ExactDecimal] {
        let parts = self.amounts { tier, part in tier.price(of: part, markup: markup) }
        return parts.merging(RateCard.toolPrices(self.tools, markup)) { $1 }
    }

    /// Costs by path.
    var costs: [String: ExactDecimal] {
        let parts = self.amounts { tier, part in tier.cost(of: part) }
        return parts.merging(RateCard.toolCosts(self.tools)) { $1 }
    }

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
