import Metering

/// What one UTC day came to, for the operator's dashboards. Amounts are micro-USD, of which a millicredit is worth one.
public struct FinanceDay: Sendable, Hashable {
    public var day: UTCDay
    /// Credits that were bought.
    public var purchases: Int128
    /// Credits that were used.
    public var deductions: Int128
    /// As the books have it.
    public var revenue: Int128
    /// Cost of goods sold: what OpenAI charges.
    public var cost: Int128
    /// At the end of the day: credits that are owed, at their nominal value.
    public var liability: Int128
    /// At the end of the day: paid for and not yet used.
    public var deferredRevenue: Int128

    public init(
        day: UTCDay, purchases: Int128 = 0, deductions: Int128 = 0, revenue: Int128 = 0, cost: Int128 = 0,
        liability: Int128 = 0, deferredRevenue: Int128 = 0
    ) {
        self.day = day
        self.purchases = purchases
        self.deductions = deductions
        self.revenue = revenue
        self.cost = cost
        self.liability = liability
        self.deferredRevenue = deferredRevenue
    }

    public var margin: Int128 { self.revenue - self.cost }
}

/// What one model was used for.
public struct ModelTotals: Sendable, Hashable {
    public var model: String
    public var exchanges: Int64
    public var inputTokens: Int64
    public var outputTokens: Int64
    /// Micro-USD.
    public var charged: Int128
    public var cost: Int128

    public init(
        model: String, exchanges: Int64, inputTokens: Int64, outputTokens: Int64, charged: Int128,
        cost: Int128
    ) {
        self.model = model
        self.exchanges = exchanges
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.charged = charged
        self.cost = cost
    }
}

/// Checkouts and events of Stripe of one UTC day.
public struct CheckoutDay: Sendable, Hashable {
    public var day: UTCDay
    /// Orders of packages.
    public var started: Int64
    /// Stripe's page was opened for them.
    public var opened: Int64
    public var paid: Int64
    public var events: Int64
    /// Those that need a person.
    public var deadEvents: Int64

    public init(
        day: UTCDay, started: Int64 = 0, opened: Int64 = 0, paid: Int64 = 0, events: Int64 = 0,
        deadEvents: Int64 = 0
    ) {
        self.day = day
        self.started = started
        self.opened = opened
        self.paid = paid
        self.events = events
        self.deadEvents = deadEvents
    }
}

/// It took longer than a person waits for a page; nothing was changed, and asking again costs the same.
public struct DashboardTooSlow: Error, Sendable, Hashable {
    /// How long it was read.
    public var seconds: Int64

    public init(seconds: Int64) { self.seconds = seconds }
}

/// Sums over days, for the operator's dashboards. They scan: for a person who looks, never for a scrape. What takes too
/// long throws `DashboardTooSlow`.
public protocol DashboardReading: Sendable {
    /// Every one of the last `days` days, today last.
    func financeDays(_ days: Int64) async throws -> [FinanceDay]
    /// Of the last seven days, the dearest first.
    func topModels(limit: Int64) async throws -> [ModelTotals]
    /// Every one of the last `days` days, today last.
    func checkoutDays(_ days: Int64) async throws -> [CheckoutDay]
    /// Exchanges that were served and not charged, of holds of `[from, to)`.
    ///
    /// - Parameters:
    ///   - from: milliseconds since 1970; nil: from the first one.
    ///   - to: milliseconds since 1970; nil: to the last one.
    func shadowReport(from: Int64?, to: Int64?) async throws -> ShadowReport
}
