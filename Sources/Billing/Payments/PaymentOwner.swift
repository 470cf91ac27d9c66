/// Whose payment it is, by the metadata that it was made with. Only whoever has a secret key of the account at Stripe can
/// write them; other products, and other ledgers, may have one too.
public enum PaymentOwner: Sendable, Hashable {
    /// For a purchase of this ledger.
    case ours(PurchaseID)
    /// Of another product, or of another ledger. Nobody here has to know.
    case notOurs
    /// Made by this ledger, or by a release that did not say by which, for a purchase that is not here: the ledger was set
    /// back to a time before it.
    case lost(PurchaseID)

    /// - Parameter isKnown: whether the ledger has this purchase.
    public init(
        _ metadata: [String: String], of ledger: LedgerID, isKnown: (PurchaseID) throws -> Bool
    ) rethrows {
        guard let purchase = metadata[Purchase.purchaseKey].flatMap({ PurchaseID(text: $0) }) else {
            self = .notOurs
            return
        }
        guard try !isKnown(purchase) else {
            self = .ours(purchase)
            return
        }
        let isOfAnother = metadata[Purchase.ledgerKey].map { $0 != ledger.description } ?? false
        self = isOfAnother ? .notOurs : .lost(purchase)
    }
}
