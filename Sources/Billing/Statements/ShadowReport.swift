import Metering

/// One exchange that was served and not charged.
public struct WaivedExchange: Sendable, Hashable {
    public var account: AccountID
    /// The account's external name.
    public var user: String
    public var day: UTCDay
    public var model: String
    /// What it would have been charged.
    public var shadow: Millicredits
    public var cost: PicoUSD
    /// Above the floor, when it began; what was waived before is still in it.
    public var available: Millicredits

    public init(
        account: AccountID, user: String, day: UTCDay, model: String, shadow: Millicredits, cost: PicoUSD,
        available: Millicredits
    ) {
        self.account = account
        self.user = user
        self.day = day
        self.model = model
        self.shadow = shadow
        self.cost = cost
        self.available = available
    }
}

/// What charging would have brought: waived exchanges beside what their users' balances could have paid.
///
/// Each account pays from what it had when the exchange began, less what it paid here before. An exchange that does not
/// fit would have got a 402, and takes nothing. Admission holds more than is charged in the end, so it would have
/// refused at least as many.
public struct ShadowReport: Sendable {
    /// Exact sums over some exchanges.
    public struct Sums: Sendable, Hashable {
        public var requests: Int64 = 0
        /// Millicredits.
        public var shadow: Int128 = 0
        /// Millicredits that balances could have paid.
        public var payable: Int128 = 0
        /// Exchanges that no balance covered.
        public var refused: Int64 = 0
        /// Pico-USD, of the operator.
        public var cost: Int128 = 0

        public init() {}
    }

    public private(set) var total = Sums()
    public private(set) var byDay: [UTCDay: Sums] = [:]
    public private(set) var byModel: [String: Sums] = [:]
    public private(set) var byAccount: [AccountID: Sums] = [:]
    /// Names of the accounts.
    public private(set) var users: [AccountID: String] = [:]
    private var paid: [AccountID: Int128] = [:]

    public init() {}

    /// - Parameter exchange: of its account the next one in time; accounts may come in any order.
    public mutating func add(_ exchange: WaivedExchange) {
        let before = self.paid[exchange.account] ?? 0
        let isPayable = Int128(exchange.available.value) - before >= Int128(exchange.shadow.value)
        if isPayable { self.paid[exchange.account] = before + Int128(exchange.shadow.value) }
        self.users[exchange.account] = exchange.user
        Self.count(exchange, isPayable, in: &self.total)
        Self.count(exchange, isPayable, in: &self.byDay[exchange.day, default: Sums()])
        Self.count(exchange, isPayable, in: &self.byModel[exchange.model, default: Sums()])
        Self.count(exchange, isPayable, in: &self.byAccount[exchange.account, default: Sums()])
    }

    private static func count(_ exchange: WaivedExchange, _ isPayable: Bool, in sums: inout Sums) {
        sums.requests += 1
        sums.shadow += Int128(exchange.shadow.value)
        sums.cost += Int128(exchange.cost.value)
        if isPayable { sums.payable += Int128(exchange.shadow.value) } else { sums.refused += 1 }
    }
}
