import Billing
import StripeAPI

/// One day's payments against Stripe's own listing. In each look Stripe is read first, so that what arrives meanwhile is
/// there; what differs is looked at twice.
public struct PaymentReconciliation: Sendable {
    private static let dayLength: Int64 = 86_400
    /// An event is applied within a moment of its arrival.
    private static let betweenLooks: Duration = .seconds(3)

    private let listing: any PaymentListing
    private let ledger: any ReconciledPayments
    private let pause: @Sendable () async throws -> Void

    public init(stripe: StripeClient, ledger: any ReconciledPayments) {
        self.init(listing: StripePaymentListing(stripe: stripe), ledger: ledger) {
            try await Task.sleep(for: Self.betweenLooks)
        }
    }

    init(
        listing: any PaymentListing, ledger: any ReconciledPayments,
        pause: @escaping @Sendable () async throws -> Void
    ) {
        (self.listing, self.ledger, self.pause) = (listing, ledger, pause)
    }

    /// - Throws: what the ledger throws; Stripe's failures are a result.
    public func run(_ day: UTCDay) async throws -> ReconciliationResult {
        do {
            let first = try await self.look(day)
            guard !first.isEmpty else { return ReconciliationResult(.payments, []) }
            try await self.pause()
            let second = try await self.lookAgain(day, at: Set(first.map(\.subject)))
            return ReconciliationResult(.payments, ReconciliationFinding.standing(first, second))
        } catch let failure as StripeFailure {
            return ReconciliationResult(
                .payments, without: .unavailable, because: "Stripe could not be asked: \(failure.label)")
        }
    }

    /// A payment that succeeds days after it was made, such as a bank's debit, is in no listing of the day; the ledger
    /// names it, and it is read by itself. What was found before is compared once more, whatever its day: so the newest
    /// comparison has all that stands, once. Payments that name none of our purchases and that the ledger does not know are
    /// somebody else's: they are neither read nor found.
    private func look(_ day: UTCDay) async throws -> [ReconciliationFinding] {
        let window = Self.window(day)
        // A payment is made up to a day before it succeeds, as long as a page is open.
        let ledger = try await self.ledger.ledgerID()
        let payments = try await self.listing.payments(
            created: CreationWindow(from: window.from - Self.dayLength, to: window.to), of: ledger)
        let reversed = try await self.listing.reversedPayments(created: window)
        var listed = Dictionary(payments.map { ($0.paymentIntent, $0) }) { first, _ in first }
        let standing = try await self.ledger.standingPayments()
        let records = try await self.ledger.paymentRecords(
            of: day, named: Array(reversed.union(listed.keys).union(standing)), livemode: self.listing.isLive)
        let moved = records.filter { record in
            record.hasMovedBack || record.isDisputed || reversed.contains(record.paymentIntent)
                || listed[record.paymentIntent] == nil
        }
        var unreadable: [String: String] = [:]
        for payment in standing.union(moved.map(\.paymentIntent)).sorted() {
            try await self.read(payment, window, &listed, &unreadable)
        }
        return Self.findings(records, listed, unreadable)
    }

    private func lookAgain(_ day: UTCDay, at suspects: Set<String>) async throws -> [ReconciliationFinding] {
        var listed: [String: ListedPayment] = [:]
        var unreadable: [String: String] = [:]
        for suspect in suspects.sorted() {
            try await self.read(suspect, Self.window(day), &listed, &unreadable)
        }
        let records = try await self.ledger.paymentRecords(
            of: day, named: Array(suspects), livemode: self.listing.isLive
        ).filter { suspects.contains($0.paymentIntent) }
        return Self.findings(records, listed, unreadable)
    }

    /// Reads it whole, or notes why that cannot be done. One that Stripe does not know is in neither.
    private func read(
        _ paymentIntent: String, _ window: CreationWindow, _ listed: inout [String: ListedPayment],
        _ unreadable: inout [String: String]
    ) async throws {
        try Task.checkCancellation()
        listed[paymentIntent] = nil
        do throws(StripeFailure) {
            listed[paymentIntent] = try await self.listing.payment(paymentIntent)
        } catch {
            switch error.readingFault {
            case .unknown: return
            case .stripe: throw error
            // Whoever still lists a day is there, and it is this payment that fails.
            case .stripeOrPayment: _ = try await self.listing.reversedPayments(created: window)
            case .payment: break
            }
            unreadable[paymentIntent] = error.label
        }
    }

    private static func window(_ day: UTCDay) -> CreationWindow {
        let start = Int64(day.daysSinceEpoch) * Self.dayLength
        return CreationWindow(from: start, to: start + Self.dayLength)
    }

    private static func findings(
        _ records: [PaymentRecord], _ listed: [String: ListedPayment], _ unreadable: [String: String]
    ) -> [ReconciliationFinding] {
        PaymentComparison.findings(
            records: records, listed: listed.values.sorted { $0.paymentIntent < $1.paymentIntent },
            unreadable: unreadable)
    }
}

extension StripeFailure {
    fileprivate enum ReadingFault { case unknown, payment, stripeOrPayment, stripe }

    /// Whose fault it is that a payment could not be read.
    fileprivate var readingFault: ReadingFault {
        switch self.kind {
        case .notFound: .unknown
        case .apiError, .locked, .unreachable(.replyTooLarge): .stripeOrPayment
        case .unreachable, .unauthorised, .rateLimited, .outOfTime: .stripe
        case .cardDeclined, .authenticationRequired, .idempotencyMismatch, .invalidRequest, .wrongLivemode,
            .unreadableReply, .unknownStatus, .foreignCurrency, .malformedRequest:
            .payment
        }
    }
}
