import Metering

/// Credits back for usage that failed its user: a positive `adjustment` line that refers to the purchase. No money
/// moves, so it never takes part in the purchase's target state.
public struct CreditRefund: Sendable, Hashable {
    public let request: String
    public let account: AccountID
    public let purchase: PurchaseID
    public let amount: Millicredits
    public let reason: String

    public enum Amount: Sendable, Hashable {
        case millicredits(Millicredits)
        /// All that may still be given.
        case rest
    }

    public enum Refusal: Error, Sendable, Hashable {
        case invalidRequestID
        case noReason
        case notPaid
        /// The account is suspended; credits would be frozen or clawed back with the rest.
        case disputed
        case nothingLeft
        case amountNotPositive
        case moreThanLeft(Millicredits)
    }

    /// - Parameter creditedBefore: Σ of earlier credit refunds of this purchase, read under the same lock.
    public init(
        request: String, purchase: Purchase, posted: PaymentPosted, creditedBefore: Millicredits,
        amount: Amount, reason: String
    ) throws(Refusal) {
        precondition(creditedBefore >= .zero, "credit refunds are never negative")
        guard RefundRequest.isID(request) else { throw .invalidRequestID }
        guard Reason.isValid(reason) else { throw .noReason }
        guard posted.isGranted else { throw .notPaid }
        guard !posted.state.isDisputed else { throw .disputed }
        // What went back as money does not go back as credits too.
        let left = posted.state.granted.value - posted.state.clawed.value - creditedBefore.value
        guard left > 0 else { throw .nothingLeft }
        let wanted =
            switch amount {
            case .millicredits(let wanted): wanted.value
            case .rest: left
            }
        guard wanted > 0 else { throw .amountNotPositive }
        guard wanted <= left else { throw .moreThanLeft(Millicredits(left)) }
        self.request = request
        self.account = purchase.account
        self.purchase = purchase.id
        self.amount = Millicredits(wanted)
        self.reason = reason
    }

    /// `source_ref` of its ledger line.
    public var key: String { "credit-refund:\(self.request)" }
}
