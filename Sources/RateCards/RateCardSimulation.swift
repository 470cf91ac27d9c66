import Metering

/// Prices real history under a candidate card, with the function that prices exchanges.
///
/// What the card would refuse earns and costs nothing then. What cannot be priced again, since only its amount is
/// known (a reaper's estimate), counts with that amount on both sides.
public struct RateCardSimulation: Sendable {
    /// Exact sums over some exchanges.
    public struct Sums: Sendable, Hashable {
        public var events: Int64 = 0
        /// Millicredits.
        public var revenueNow: Int128 = 0
        public var revenueThen: Int128 = 0
        /// Pico-USD.
        public var costNow: Int128 = 0
        public var costThen: Int128 = 0

        public init() {}

        /// Revenue minus cost, in pico-USD: 1 millicredit is 1 micro-USD.
        public var marginNow: Int128 { self.revenueNow * 1_000_000 - self.costNow }
        public var marginThen: Int128 { self.revenueThen * 1_000_000 - self.costThen }

        mutating func add(_ now: Charge, _ then: Charge) {
            self.events += 1
            self.revenueNow += Int128(now.amount.value)
            self.revenueThen += Int128(then.amount.value)
            self.costNow += Int128(now.cost.value)
            self.costThen += Int128(then.cost.value)
        }
    }

    /// Why the card would refuse an exchange.
    public enum Refusal: String, Sendable, Hashable, CaseIterable {
        case model = "the model is not on the card"
        case endpoint = "the row does not serve this endpoint"
        case parts = "the row has no price for a part of the usage"
        case amount = "the amount is too large"
    }

    public struct Refused: Sendable, Hashable {
        public var model: String
        public var why: Refusal

        public init(_ model: String, _ why: Refusal) {
            self.model = model
            self.why = why
        }
    }

    /// Everything that went upstream.
    public private(set) var total = Sums()
    public private(set) var byModel: [String: Sums] = [:]
    public private(set) var byAccount: [AccountID: Sums] = [:]
    /// Names of the accounts.
    public private(set) var users: [AccountID: String] = [:]
    /// Those of the events that the card would refuse.
    public private(set) var refused: [Refused: Sums] = [:]
    /// Never went upstream: free on both sides, and in no sum.
    public private(set) var voided: Int64 = 0
    /// Served while charging was off. They cost what they cost and earn nothing on both sides; these sums say what
    /// they would have earned.
    public private(set) var waived = Sums()
    /// Their usage is an estimate, and now their amount is bounded by a hold.
    public private(set) var estimated = Sums()
    /// Only the amount is known.
    public private(set) var notPricedAgain = Sums()
    private let prices: PriceTable

    public init(prices: PriceTable) { self.prices = prices }

    public mutating func add(_ record: UsageRecord) {
        guard record.kind != .void else { return self.voided += 1 }
        let now = Charge(amount: record.charged, cost: record.cost)
        var then = self.price(record)
        switch (record.kind, then) {
        case (.waived, .priced(let charge)):
            self.waived.add(Charge(amount: record.shadow, cost: record.cost), charge)
            then = .priced(Charge(amount: .zero, cost: charge.cost))
        case (.waived, _): self.waived.add(Charge(amount: record.shadow, cost: record.cost), .zero)
        default: break
        }
        switch then {
        case .priced(let charge):
            if record.isEstimated { self.estimated.add(now, charge) }
            self.count(record, now, charge)
        case .refused(let why):
            self.refused[Refused(record.model, why), default: Sums()].add(now, .zero)
            self.count(record, now, .zero)
        case .unknown:
            self.notPricedAgain.add(now, now)
            self.count(record, now, now)
        }
    }

    private mutating func count(_ record: UsageRecord, _ now: Charge, _ then: Charge) {
        self.total.add(now, then)
        self.byModel[record.model, default: Sums()].add(now, then)
        self.byAccount[record.account, default: Sums()].add(now, then)
        self.users[record.account] = record.user
    }

    // MARK: Pricing

    private enum Priced {
        case priced(Charge)
        case refused(Refusal)
        case unknown
    }

    private func price(_ record: UsageRecord) -> Priced {
        guard let row = self.prices.row(for: record.model) else { return .refused(.model) }
        if let endpoint = record.endpoint, !row.endpoints.contains(endpoint) { return .refused(.endpoint) }
        guard let usage = record.usage, usage != .zero || record.charged == .zero else { return .unknown }
        guard Self.prices(usage, row) else { return .refused(.parts) }
        do throws(PricingFailure) {
            return .priced(try row.charge(for: usage, served: record.tier, mode: self.prices.mode))
        } catch {
            return .refused(.amount)
        }
    }

    /// Whether admission would let such usage come about: what has no rate is refused there.
    private static func prices(_ usage: Usage, _ row: ModelPrice) -> Bool {
        let units = row.units.price
        return (usage.audio.isZero || row.prices(.audio))
            && (usage.cacheWriteLong == 0 || row.prices(.longWrites))
            && (usage.inputMilliseconds == 0 || units.millisecond != nil)
            && (usage.characters == 0 || units.character != nil)
            && ToolKind.allCases.allSatisfy { usage.tools[$0] == 0 || units.tools[$0] != nil }
    }
}
