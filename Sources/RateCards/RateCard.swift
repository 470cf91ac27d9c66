import Metering

/// A rate card as people write it (CONTRACT §7): dated, immutable once applied. Amounts are exact decimals.
public struct RateCard: Sendable, Hashable {
    public var card: String
    public var version: String
    /// Milliseconds since 1970.
    public var effectiveFromMilliseconds: Int64
    /// price = cost × markup, unless a price is named.
    public var markup: ExactDecimal
    public var models: [String: Model]
    /// Fees of hosted tools, for every row that serves chat or responses.
    public var tools: [ToolKind: ToolFee]

    /// `card@version`
    public var identity: String { "\(self.card)@\(self.version)" }

    /// What calls of a hosted tool cost and are sold for.
    public struct ToolFee: Sendable, Hashable {
        /// USD per 1,000 calls.
        public var cost: ExactDecimal
        /// Credits per 1,000 calls, when named.
        public var namedPrice: ExactDecimal?

        public init(cost: ExactDecimal, namedPrice: ExactDecimal? = nil) {
            self.cost = cost
            self.namedPrice = namedPrice
        }

        /// Credits per 1,000 calls: as named, else cost × markup. nil on overflow.
        func price(markup: ExactDecimal) -> ExactDecimal? {
            self.namedPrice ?? Measure.call.credits(of: self.cost)?.multiplied(by: markup)
        }
    }

    public struct LongContext: Sendable, Hashable {
        public var threshold: Int64
        public var standard: Tier
        public var tiers: [ServiceTier: Tier]
    }

    public struct Model: Sendable, Hashable {
        public var encoding: String
        public var endpoints: [Endpoint]
        /// nil only where no token has a cost.
        public var context: Int64?
        /// nil only where no token has a cost.
        public var outputMax: Int64?
        public var standard: Tier
        public var tiers: [ServiceTier: Tier]
        public var longContext: LongContext?
        public var onDisconnect: DisconnectPolicy?
        public var holds: HoldPolicy?
        /// Output tokens are billed that a stream does not show; nil: as the name of the model tells.
        public var hidesReasoning: Bool?
        /// Fees that replace those of the card, tool by tool.
        public var tools: [ToolKind: ToolFee]
        /// By what costs of tokens are multiplied in a region of data residency; not named: by 1.
        public var regionalUplift: [Region: ExactDecimal]

        /// Whether a model of this name thinks in tokens that are billed and not shown. Source: the names of OpenAI's
        /// models; `-chat` ones of the later families do not.
        static func hidesReasoning(named model: String) -> Bool {
            let base = model.hasPrefix("ft:") ? String(model.dropFirst(3)) : model
            let isO = ["o1", "o3", "o4"].contains { base.hasPrefix($0) }
            let isNew = ["gpt-5", "gpt-6"].contains { base.hasPrefix($0) }
            return isO || base.contains("daybreak") || (isNew && !base.contains("-chat"))
        }

        /// Every tier with the path of its keys below the row: `` is the standard one,
        /// `long_context.tiers.flex.`.
        var pricedTiers: [(path: String, tier: Tier)] {
            var all = [("", self.standard)]
            all += Self.sorted(self.tiers).map { ("tiers.\($0.rawValue).", $1) }
            guard let long = self.longContext else { return all }
            all.append(("long_context.", long.standard))
            return all + Self.sorted(long.tiers).map { ("long_context.tiers.\($0.rawValue).", $1) }
        }

        static func sorted(_ tiers: [ServiceTier: Tier]) -> [(ServiceTier, Tier)] {
            ServiceTier.allCases.compactMap { name in tiers[name].map { (name, $0) } }
        }

        /// Whether requests to this row can call hosted tools.
        var callsTools: Bool { self.endpoints.contains { $0 == .chat || $0 == .responses } }

        static func sorted(_ tools: [ToolKind: ToolFee]) -> [(ToolKind, ToolFee)] {
            tools.sorted { $0.key.rawValue < $1.key.rawValue }.map { ($0.key, $0.value) }
        }
    }
}

/// A region of data residency, for which OpenAI charges an uplift. The raw value is its key in the file.
public enum Region: String, Sendable, Hashable, CaseIterable {
    case eu, us

    /// The region that a host of OpenAI's API serves; nil: none, so no uplift.
    public init?(upstreamHost host: String) {
        let host = host.lowercased()
        guard let region = Self.allCases.first(where: { host == "\($0.rawValue).api.openai.com" }) else {
            return nil
        }
        self = region
    }
}

/// One thing wrong, or doubtful, with a card; `path` names the field, such as `models.gpt-4o.cost.input`.
public struct RateCardProblem: Sendable, Hashable, CustomStringConvertible {
    public enum Severity: String, Sendable, Hashable { case error, warning, notice }
    public var severity: Severity
    public var path: String
    public var message: String
    /// Line in the file, counted from 1; nil when the problem is not at one place.
    public var line: Int?

    public init(_ severity: Severity, _ path: String, _ message: String, line: Int? = nil) {
        self.severity = severity
        self.path = path
        self.message = message
        self.line = line
    }

    public var description: String {
        let place = self.line.map { "line \($0): " } ?? ""
        return "\(self.severity.rawValue): \(place)\(self.path): \(self.message)"
    }
}

/// Every problem of a card that cannot be used.
public struct RateCardInvalid: Error, CustomStringConvertible {
    public var problems: [RateCardProblem]
    public var description: String {
        "the rate card is not valid:\n" + self.problems.map { "  \($0)" }.joined(separator: "\n")
    }
}
