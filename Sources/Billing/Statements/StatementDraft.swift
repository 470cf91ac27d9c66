import Metering

/// One line of the ledger that is no settlement, with what other tables know of it.
public struct StatementLine: Sendable, Hashable {
    public var day: UTCDay
    public var type: LedgerLineType
    /// Signed.
    public var amount: Millicredits
    /// Of a purchase: its id; otherwise the key of the grant.
    public var reference: String
    public var paidCents: Int64
    public var purchase: Bought?
    public var reversal: Reversed?

    /// The purchase that the line belongs to.
    public struct Bought: Sendable, Hashable {
        public var package: String
        public var receiptURL: String?

        public init(package: String, receiptURL: String?) {
            self.package = package
            self.receiptURL = receiptURL
        }
    }

    /// Credits follow money that went back.
    public struct Reversed: Sendable, Hashable {
        public var cause: PaymentPosting.Reversal.Cause
        /// That this line stands for; negative: money that came back to us.
        public var cents: Int64

        public init(cause: PaymentPosting.Reversal.Cause, cents: Int64) {
            self.cause = cause
            self.cents = cents
        }
    }

    public init(
        day: UTCDay, type: LedgerLineType, amount: Millicredits, reference: String, paidCents: Int64 = 0,
        purchase: Bought? = nil, reversal: Reversed? = nil
    ) {
        self.day = day
        self.type = type
        self.amount = amount
        self.reference = reference
        self.paidCents = paidCents
        self.purchase = purchase
        self.reversal = reversal
    }
}

/// A statement while its rows are read; every row finds its section here.
public struct StatementDraft: Sendable, Hashable {
    public let account: AccountID
    public let userID: String
    public let month: UTCMonth
    public let opening: Millicredits
    public let closing: Millicredits
    public let isFinal: Bool
    public var usage: [Statement.Used] = []
    private var purchases: [Statement.Purchased] = []
    private var movements: [Statement.MovementSection: [Statement.Movement]] = [:]

    public init(
        account: AccountID, userID: String, month: UTCMonth, opening: Millicredits, closing: Millicredits,
        isFinal: Bool
    ) {
        self.account = account
        self.userID = userID
        self.month = month
        self.opening = opening
        self.closing = closing
        self.isFinal = isFinal
    }

    /// Nothing happened, and there was nothing that it could have happened to.
    public var isBlank: Bool {
        self.opening == .zero && self.closing == .zero && self.usage.isEmpty && self.purchases.isEmpty
            && self.movements.isEmpty
    }

    /// - Throws: unless it adds up.
    public func statement() throws(StatementFailure) -> Statement {
        try Statement(
            account: self.account, userID: self.userID, month: self.month, opening: self.opening,
            purchases: self.purchases, usage: self.usage, movements: self.movements, closing: self.closing,
            isFinal: self.isFinal)
    }

    public mutating func add(_ line: StatementLine) {
        if line.type == .purchase, line.amount > .zero {
            self.purchases.append(
                .init(
                    day: line.day, package: line.purchase?.package ?? "Credits", paidCents: line.paidCents,
                    credits: line.amount, reference: line.reference, receiptURL: line.purchase?.receiptURL))
            return
        }
        let (section, text) = Self.place(line)
        self.movements[section, default: []].append(
            .init(
                day: line.day, text: text, reference: line.reference, amount: line.amount,
                cashCents: line.reversal?.cents))
    }

    /// An outcome that replaced another one.
    ///
    /// - Parameter charged: how much more the exchange cost than was deducted before; negative: less.
    public mutating func add(correctionOf hold: HoldID, model: String, charged: Millicredits, day: UTCDay) {
        self.movements[.corrections, default: []].append(
            .init(
                day: day, text: model, reference: hold.description, amount: Millicredits(-charged.value)))
    }

    /// Never the reason that a person gave: it was written for colleagues.
    private static func place(_ line: StatementLine) -> (Statement.MovementSection, String) {
        let isTaken = line.amount < .zero
        switch line.reversal?.cause {
        case .refund: return (.refunds, isTaken ? "Refund" : "Refund failed, credits returned")
        case .dispute: return (.disputes, isTaken ? "Dispute lost" : "Dispute overturned, credits returned")
        case nil: break
        }
        switch line.type {
        case .refund: return (.refunds, "Refund")
        case .adjustment where line.purchase != nil: return (.refunds, "Credit refund")
        case .adjustment: return (.adjustments, "Adjustment")
        case .promotional: return (.adjustments, "Promotional credits")
        case .trial: return (.adjustments, "Trial credits")
        case .purchase: return (.adjustments, "Purchase taken back")
        case .deduction: return (.adjustments, "Deduction")
        }
    }
}
