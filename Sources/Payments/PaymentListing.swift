import Billing
import StripeAPI

/// Stripe's side of the comparison of a day.
protocol PaymentListing: Sendable {
    /// Of the key that asks.
    var isLive: Bool { get }
    /// Payments that were made in the time, as the list tells them: without what went back.
    /// What another ledger made names no purchase.
    func payments(
        created window: CreationWindow, of ledger: LedgerID
    ) async throws(StripeFailure) -> [ListedPayment]
    /// Payments of which refunds or disputes were made in the time: `pi_…`.
    func reversedPayments(created window: CreationWindow) async throws(StripeFailure) -> Set<String>
    /// One payment with all that went back.
    func payment(_ paymentIntent: String) async throws(StripeFailure) -> ListedPayment
}

struct StripePaymentListing: PaymentListing {
    /// A day may have thousands of pages.
    private static let listingTime: Duration = .seconds(600)

    let stripe: StripeClient

    var isLive: Bool { self.stripe.isLive }

    func payments(
        created window: CreationWindow, of ledger: LedgerID
    ) async throws(StripeFailure) -> [ListedPayment] {
        try await self.stripe.run(ListPaymentIntents(created: window), within: Self.listingTime)
            .map { ListedPayment($0, of: ledger) }
    }

    func reversedPayments(created window: CreationWindow) async throws(StripeFailure) -> Set<String> {
        let refunds = try await self.stripe.run(ListRefunds(created: window), within: Self.listingTime)
        let disputes = try await self.stripe.run(ListDisputes(created: window), within: Self.listingTime)
        return Set(refunds.compactMap(\.paymentIntent) + disputes.compactMap(\.paymentIntent))
    }

    func payment(_ paymentIntent: String) async throws(StripeFailure) -> ListedPayment {
        ListedPayment(try await self.stripe.run(ReadPayment(paymentIntent)))
    }
}

extension ListedPayment {
    init(_ intent: PaymentIntent, of ledger: LedgerID) {
        let isOfAnother = PaymentOwner(intent.metadata, of: ledger) { _ in false } == .notOurs
        let hasSucceeded = intent.status == PaymentSnapshot.Status.succeeded.rawValue
        self.init(
            paymentIntent: intent.id, purchase: isOfAnother ? nil : intent.metadata[Purchase.purchaseKey],
            hasSucceeded: hasSucceeded, receivedCents: hasSucceeded ? intent.amountReceivedCents : 0)
    }
}
