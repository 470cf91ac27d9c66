import Metering

extension Statement {
    /// One line of the summary.
    public struct Total: Sendable, Hashable {
        public var name: String
        /// In millicredits, signed as it changed the balance. 128 bits: a sum of rows.
        public var amount: Int128
    }

    /// Sections that are always there, then those that have rows; with opening they add up to closing.
    public var totals: [Total] {
        var totals = [
            Total(name: "purchases", amount: self.purchases.reduce(0) { $0 + Int128($1.credits.value) }),
            Total(name: "usage", amount: -self.usage.reduce(0) { $0 + Int128($1.charged.value) }),
        ]
        for section in MovementSection.allCases {
            guard let rows = self.movements[section] else { continue }
            totals.append(Total(name: section.rawValue, amount: Self.sum(rows)))
        }
        return totals
    }

    public static func sum(_ rows: [Movement]) -> Int128 { rows.reduce(0) { $0 + Int128($1.amount.value) } }

    /// Cash paid in the month, US cents.
    public var paidCents: Int128 { self.purchases.reduce(0) { $0 + Int128($1.paidCents) } }

    /// Usage of one model, or of all, over several days. 128 bits: sums of rows.
    public struct UsageTotal: Sendable, Hashable {
        public var model: String
        public var calls: Int128 = 0
        public var inputTokens: Int128 = 0
        public var cachedInputTokens: Int128 = 0
        public var outputTokens: Int128 = 0
        /// Millicredits.
        public var charged: Int128 = 0

        init(model: String) { self.model = model }

        mutating func add(_ row: Used) {
            self.calls += Int128(row.calls)
            self.inputTokens += Int128(row.inputTokens)
            self.cachedInputTokens += Int128(row.cachedInputTokens)
            self.outputTokens += Int128(row.outputTokens)
            self.charged += Int128(row.charged.value)
        }
    }

    /// By model, in the order of their names.
    public var usageByModel: [UsageTotal] {
        var totals: [String: UsageTotal] = [:]
        for row in self.usage { totals[row.model, default: UsageTotal(model: row.model)].add(row) }
        return totals.values.sorted { $0.model < $1.model }
    }

    public var usageTotal: UsageTotal {
        self.usage.reduce(into: UsageTotal(model: "")) { $0.add($1) }
    }
}
