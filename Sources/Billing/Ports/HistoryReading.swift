import Metering

/// Types of lines of the credit ledger, as the table and the API name them.
public enum LedgerLineType: String, Sendable, Hashable, CaseIterable {
    case purchase, deduction, refund, adjustment, promotional, trial
}

/// Which lines of one account's ledger; newest first.
public struct LedgerQuery: Sendable, Hashable {
    public var account: AccountID
    /// nil: every type.
    public var type: LedgerLineType?
    /// Milliseconds since 1970, inclusive.
    public var from: Int64?
    /// Milliseconds since 1970, exclusive.
    public var to: Int64?
    /// Only lines of lower versions: versions are never given twice and only grow, so pages neither skip nor repeat a
    /// line while new ones arrive.
    public var before: Int64?
    public var limit: Int64

    public init(
        account: AccountID, type: LedgerLineType? = nil, from: Int64? = nil, to: Int64? = nil,
        before: Int64? = nil, limit: Int64
    ) {
        self.account = account
        self.type = type
        self.from = from
        self.to = to
        self.before = before
        self.limit = limit
    }
}

/// A line of the ledger, with what is known of the purchase that it belongs to.
public struct LedgerEntry: Sendable, Hashable {
    public var line: LedgerLine
    public var purchase: PurchaseID?
    /// Stripe's receipt of this purchase.
    public var receiptURL: String?

    public init(line: LedgerLine, purchase: PurchaseID? = nil, receiptURL: String? = nil) {
        self.line = line
        self.purchase = purchase
        self.receiptURL = receiptURL
    }
}

/// A statement and the day on which it was read, by the ledger's clock.
public struct IssuedStatement: Sendable, Hashable {
    public var statement: Statement
    public var issued: UTCDay

    public init(statement: Statement, issued: UTCDay) {
        self.statement = statement
        self.issued = issued
    }
}

/// What was, for those whose account it is.
public protocol HistoryReading: Sendable {
    /// At most `limit` lines.
    func ledger(_ query: LedgerQuery) async throws -> [LedgerEntry]

    /// nil: there is no such account, the month has not begun, or it was over before the account was there.
    ///
    /// - Throws: `StatementFailure` when the ledger does not add up; otherwise the ledger cannot be read.
    func statement(of account: AccountID, month: UTCMonth) async throws -> IssuedStatement?
}

/// Turns statements into documents. It takes a while, and happens elsewhere than on the caller's thread.
public protocol StatementPrinting: Sendable {
    func pdf(_ statement: IssuedStatement) async throws(StatementPrintingFailure) -> [UInt8]
}

public enum StatementPrintingFailure: Error, Sendable, Hashable {
    /// As many as may wait are waiting; the same again later.
    case busy
    /// Says what is wrong with the letterhead or the drawing.
    case failed(String)
}
