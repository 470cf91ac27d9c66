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
    }

    public struct Tier: Sendable, Hashable {
        public var cost = Amounts()
        public var price = Amounts()

        public init() {}
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
