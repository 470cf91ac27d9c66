import Billing
import StripeAPI

/// One day's payments against Stripe's own listing. Stripe is read first, so that what arrives meanwhile is there.
public struct PaymentReconciliation: Sendable {
    private static let dayLength: Int64 = 86_400
    /// A day may have thousands of pages.
    private static let listingTime: Duration = .seconds(600)

    private let stripe: StripeClient
    private let ledger: any ReconciledPayments

    public init(stripe: StripeClient, ledger: any ReconciledPayments) {
        (self.stripe, self.ledger) = (stripe, ledger)
    }

    /// - Throws: what the ledger throws; Stripe's failures are a result.
    public func run(_ day: UTCDay) async throws -> ReconciliationResult {
        do {
            return ReconciliationResult(.payments, try await self.findings(day))
        } catch let failure as StripeFailure {
            return ReconciliationResult(
                .payments, without: .unavailable, because: "Stripe could not be asked: \(failure.label)")
        }
    }

    private func findings(_ day: UTCDay) async throws -> [ReconciliationFinding] {
        let start = Int64(day.daysSinceEpoch) * Self.dayLength
        // A payment is made up to a day before it succeeds, as long as a page is open.
        let intents = try await self.stripe.run(
            ListPaymentIntents(
                created: CreationWindow(from: start - Self.dayLength, to: start + Self.dayLength)),
            within: Self.listingTime)
        let refunds = try await self.stripe.run(
            ListRefunds(created: CreationWindow(from: start, to: start + Self.dayLength)),
            within: Self.listingTime)
        var listed: [String: ListedPayment] = [:]
        for intent in intents { listed[intent.id] = ListedPayment(intent) }
        let refunded = Set(refunds.compactMap(\.paymentIntent))
        let records = try await self.ledger.paymentRecords(
            of: day, named: Array(refunded.union(listed.keys)), livemode: self.stripe.isLive)
        for record in records
        where record.hasMovedBack || refunded.contains(record.paymentIntent)
            || listed[record.paymentIntent] == nil
        {
            try Task.checkCancellation()
            listed[record.paymentIntent] = try await self.read(record.paymentIntent)
        }
        let sorted = listed.values.sorted { $0.paymentIntent < $1.paymentIntent }
        return PaymentComparison.findings(records: records, listed: sorted)
    }

    /// nil: Stripe knows no such payment.
    private func read(_ paymentIntent: String) async throws(StripeFailure) -> ListedPayment? {
        do throws(StripeFailure) {
            return ListedPayment(try await self.stripe.run(ReadPayment(paymentIntent)))
        } catch {
            if case .notFound = error.kind { return nil }
            throw error
        }
    }
}

extension ListedPayment {
    fileprivate init(_ intent: PaymentIntent) {
        let hasSucceeded = intent.status == PaymentSnapshot.Status.succeeded.rawValue
        self.init(
            paymentIntent: intent.id, purchase: intent.metadata[Purchase.purchaseKey],
            hasSucceeded: hasSucceeded, receivedCents: hasSucceeded ? intent.amountReceivedCents : 0)
    }
}
