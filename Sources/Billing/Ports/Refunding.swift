import Metering

/// Why a refund was not made.
public enum RefundFailure: Error, Sendable, Hashable {
    case notConfigured
    case unknownPurchase
    case cash(RefundPlan.Refusal)
    case credit(CreditRefund.Refusal)
    /// The key was used for another refund.
    case idempotencyConflict
    /// Stripe said no, for good; a bounded word.
    case refusedByStripe(String)
    /// Stripe made it, and it came back: its credits were returned. Ask with a new key.
    case failedLater
    /// It is stored; whether Stripe did it is not known yet. It is asked again by itself.
    case unknown
    case ledgerUnavailable
}

/// A refund that was made; the credits are taken back already, unless Stripe could not be read.
public struct MadeRefund: Sendable, Hashable {
    public var request: String
    /// `re_…`
    public var refund: String
    public var cents: Int64

    public init(request: String, refund: String, cents: Int64) {
        self.request = request
        self.refund = refund
        self.cents = cents
    }
}

/// Gives money or credits back, each request once, whatever became of its first answer.
public protocol Refunding: Sendable {
    /// Money back to the card; the credits of it are taken back.
    ///
    /// - Parameters:
    ///   - request: idempotency key, chosen by whoever asks.
    ///   - note: who asked and why, for the record.
    func refundCash(
        _ request: String, of purchase: PurchaseID, amount: RefundPlan.Amount, note: ChangeNote
    ) async throws(RefundFailure) -> MadeRefund
    /// Credits back for usage that failed its user. Returns how many.
    func refundCredits(
        _ request: String, of purchase: PurchaseID, amount: CreditRefund.Amount, note: ChangeNote
    ) async throws(RefundFailure) -> Millicredits
}
