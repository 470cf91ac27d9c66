import Metering

/// What happened to the credits of one account in one month (UTC), in a form that adds up: opening + Σ of all
/// sections = closing, to the millicredit, or there is no statement.
public struct Statement: Sendable, Hashable {
    public let account: AccountID
    /// The account's external name.
    public let userID: String
    public let month: UTCMonth
    public let opening: Millicredits
    public let closing: Millicredits
    /// Whether the month is over, so that nothing can be added; otherwise `closing` is the balance of now.
    public let isFinal: Bool
    public let purchases: [Purchased]
    public let usage: [Used]
    /// Rows of the other sections; a section without rows is not there.
    public let movements: [MovementSection: [Movement]]

    /// Credits that were bought.
    public struct Purchased: Sendable, Hashable {
        public var day: UTCDay
        /// Name of the package.
        public var package: String
        public var paidCents: Int64
        /// Positive; bonus credits included.
        public var credits: Millicredits
        /// Of the purchase, as support is asked for it.
        public var reference: String
        /// Stripe's receipt.
        public var receiptURL: String?

        public init(
            day: UTCDay, package: String, paidCents: Int64, credits: Millicredits, reference: String,
            receiptURL: String?
        ) {
            self.day = day
            self.package = package
            self.paidCents = paidCents
            self.credits = credits
            self.reference = reference
            self.receiptURL = receiptURL
        }
    }

    /// All exchanges of a day with one model, as they were deducted.
    public struct Used: Sendable, Hashable {
        public var day: UTCDay
        public var model: String
        public var calls: Int64
        /// Cached ones included.
        public var inputTokens: Int64
        public var cachedInputTokens: Int64
        public var outputTokens: Int64
        /// Not negative; it lowers the balance.
        public var charged: Millicredits

        public init(
            day: UTCDay, model: String, calls: Int64, inputTokens: Int64, cachedInputTokens: Int64,
            outputTokens: Int64, charged: Millicredits
        ) {
            self.day = day
            self.model = model
            self.calls = calls
            self.inputTokens = inputTokens
            self.cachedInputTokens = cachedInputTokens
            self.outputTokens = outputTokens
            self.charged = charged
        }
    }

    /// A single line of the ledger.
    public struct Movement: Sendable, Hashable {
        public var day: UTCDay
        public var text: String
        /// The purchase that it belongs to, or its own reference.
        public var reference: String
        /// Signed, as it changed the balance.
        public var amount: Millicredits
        /// Cash that went back to the customer; nil where none moved.
        public var cashCents: Int64?

        public init(
            day: UTCDay, text: String, reference: String, amount: Millicredits, cashCents: Int64? = nil
        ) {
            self.day = day
            self.text = text
            self.reference = reference
            self.amount = amount
            self.cashCents = cashCents
        }
    }

    /// Sections whose rows are single lines, in the order in which they are printed.
    public enum MovementSection: String, Sendable, Hashable, CaseIterable {
        case refunds, disputes
        /// Promotional and trial credits, and adjustments by an administrator.
        case adjustments
        /// Settlements that were corrected later.
        case corrections
    }

    /// - Throws: unless every row belongs to the month and everything adds up.
    public init(
        account: AccountID, userID: String, month: UTCMonth, opening: Millicredits, purchases: [Purchased],
        usage: [Used], movements: [MovementSection: [Movement]], closing: Millicredits,
        isFinal: Bool = true
    ) throws(StatementFailure) {
        self.account = account
        self.userID = userID
        self.month = month
        self.opening = opening
        self.closing = closing
        self.isFinal = isFinal
        self.purchases = purchases.sorted { ($0.day, $0.reference) < ($1.day, $1.reference) }
        self.usage = usage.sorted { ($0.day, $0.model) < ($1.day, $1.model) }
        self.movements = movements.filter { !$0.value.isEmpty }.mapValues { rows in
            rows.sorted {
                ($0.day, $0.reference, $0.amount, $0.text) < ($1.day, $1.reference, $1.amount, $1.text)
            }
        }
        try self.checkRows()
        try self.checkSum()
    }

    /// `2026-03-000042`: what a file or a question names it by.
    public var number: String {
        let digits = String(self.account)
        return "\(self.month)-" + String(repeating: "0", count: max(0, 6 - digits.utf8.count)) + digits
    }

    private func checkRows() throws(StatementFailure) {
        for row in self.purchases {
            guard self.month.contains(row.day) else { throw .dayOutsideMonth(row.day) }
            guard row.credits > .zero, row.paidCents >= 0 else { throw .impossibleRow(row.reference) }
        }
        for row in self.usage {
            guard self.month.contains(row.day) else { throw .dayOutsideMonth(row.day) }
            guard row.charged >= .zero, row.calls >= 0, row.inputTokens >= 0, row.outputTokens >= 0,
                row.cachedInputTokens >= 0, row.cachedInputTokens <= row.inputTokens
            else { throw .impossibleRow("\(row.day) \(row.model)") }
        }
        for row in self.movements.values.joined() {
            guard self.month.contains(row.day) else { throw .dayOutsideMonth(row.day) }
        }
    }

    private func checkSum() throws(StatementFailure) {
        var sum = Int128(self.opening.value)
        sum += self.purchases.reduce(0) { $0 + Int128($1.credits.value) }
        sum -= self.usage.reduce(0) { $0 + Int128($1.charged.value) }
        for rows in self.movements.values { sum += rows.reduce(0) { $0 + Int128($1.amount.value) } }
        guard sum == Int128(self.closing.value) else {
            throw .doesNotAdd(rows: sum, closing: self.closing)
        }
    }
}

/// Why there is no statement.
public enum StatementFailure: Error, Sendable, Hashable {
    /// Opening and all rows come to `rows` millicredits.
    case doesNotAdd(rows: Int128, closing: Millicredits)
    case dayOutsideMonth(UTCDay)
    /// Negative where that has no meaning; names the row.
    case impossibleRow(String)
}
