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
    /// USD per 1,000 calls, by tool. Kept; not charged yet.
    public var tools: [String: ExactDecimal]

    /// `card@version`
    public var identity: String { "\(self.card)@\(self.version)" }

    /// Amounts by part: USD per 1M tokens for costs, credits per 1K tokens for prices. nil: not named.
    public struct Amounts: Sendable, Hashable {
        public var input: ExactDecimal?
        public var cachedInput: ExactDecimal?
        public var cacheWrite: ExactDecimal?
        public var output: ExactDecimal?

        public init() {}

        public subscript(part: Part) -> ExactDecimal? {
            get {
                switch part {
                case .input: self.input
                case .cachedInput: self.cachedInput
                case .cacheWrite: self.cacheWrite
                case .output: self.output
                }
            }
            set {
                switch part {
                case .input: self.input = newValue
                case .cachedInput: self.cachedInput = newValue
                case .cacheWrite: self.cacheWrite = newValue
                case .output: self.output = newValue
                }
            }
        }
    }

    /// The ways in which a token is billed; the raw value is its key in the file.
    public enum Part: String, Sendable, Hashable, CaseIterable {
        case input
        case cachedInput = "cached_input"
        case cacheWrite = "cache_write"
        case output

        var isKindOfInput: Bool { self == .cachedInput || self == .cacheWrite }
    }

    /// What one tier costs and what it is sold for, as named in the file.
    public struct Tier: Sendable, Hashable {
        public var cost = Amounts()
        public var price = Amounts()

        public init() {}

        /// USD per 1M tokens; an unnamed cached or cache-write cost is the input cost.
        public func cost(of part: Part) -> ExactDecimal? {
            self.cost[part] ?? (part.isKindOfInput ? self.cost.input : nil)
        }

        /// Credits per 1K tokens, when the file names it; an unnamed cached or cache-write price is then the
        /// named input price.
        public func namedPrice(of part: Part) -> ExactDecimal? {
            self.price[part] ?? (part.isKindOfInput ? self.price.input : nil)
        }

        /// Credits per 1K tokens: as named, else cost × markup (1 USD per 1M = 1 credit per 1K). nil: no
        /// cost.
        public func price(of part: Part, markup: ExactDecimal) -> ExactDecimal? {
            self.namedPrice(of: part) ?? self.cost(of: part)?.multiplied(by: markup)
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
        public var context: Int64
        public var outputMax: Int64
        public var standard: Tier
        public var tiers: [ServiceTier: Tier]
        public var longContext: LongContext?
        public var onDisconnect: DisconnectPolicy?

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
