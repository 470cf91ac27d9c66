import Metering

/// When the spend of a day is out of the ordinary.
public struct AnomalyRule: Sendable, Hashable {
    /// Days that the mean is taken of, at most.
    public static let days: Int64 = 7
    /// Less than this in a day (5,000 credits, 5 USD) is never flagged: a small account that doubles is no anomaly.
    public static let leastSpent = Millicredits(5_000_000)

    /// `BILLING_ANOMALY_MULTIPLIER`
    public var multiplier: Int64

    public init(multiplier: Int64) { self.multiplier = multiplier }

    /// What was charged to one account.
    public struct Spend: Sendable, Hashable {
        public var today: Millicredits
        /// Of the seven days before.
        public var before: Millicredits
        /// Whole days since the account was made.
        public var age: Int64

        public init(today: Millicredits, before: Millicredits, age: Int64) {
            self.today = today
            self.before = before
            self.age = age
        }

        /// Days of which there is a mean: those that the account has been there, at least one.
        var days: Int64 { min(AnomalyRule.days, max(1, self.age)) }

        /// Millicredits per day, rounded down.
        public var mean: Millicredits { Millicredits(max(0, self.before.value) / self.days) }
    }

    /// Compares without dividing, so nothing is lost to rounding.
    public func isAnomalous(_ spend: Spend) -> Bool {
        guard spend.today >= Self.leastSpent else { return false }
        // A first day, or the first one that is charged, has nothing to be compared with but what is never flagged.
        let (before, days) = spend.before > .zero ? (spend.before, spend.days) : (Self.leastSpent, 1)
        return Int128(spend.today.value) * Int128(days) > Int128(self.multiplier) * Int128(before.value)
    }
}
