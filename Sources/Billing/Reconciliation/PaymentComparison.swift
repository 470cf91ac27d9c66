import Metering

/// What the ledger has of one payment.
public struct PaymentRecord: Sendable, Hashable {
    public var purchase: String
    /// `pi_…`
    public var paymentIntent: String
    public var granted: Millicredits
    public var paidCents: Int64
    public var refundedCents: Int64
    public var lostCents: Int64
    /// With the banks of its disputes.
    public var withdrawnCents: Int64
    /// Kept back while a bank decides.
    public var frozen: Millicredits
    /// A bank decides.
    public var isDisputed: Bool
    /// Money of it went back, or came back again, on the day.
    public var hasMovedBack: Bool

    public init(
        purchase: String, paymentIntent: String, granted: Millicredits, paidCents: Int64,
        refundedCents: Int64, lostCents: Int64, withdrawnCents: Int64, frozen: Millicredits, isDisputed: Bool,
        hasMovedBack: Bool
    ) {
        self.purchase = purchase
        self.paymentIntent = paymentIntent
        self.granted = granted
        self.paidCents = paidCents
        self.refundedCents = refundedCents
        self.lostCents = lostCents
        self.withdrawnCents = withdrawnCents
        self.frozen = frozen
        self.isDisputed = isDisputed
        self.hasMovedBack = hasMovedBack
    }
}

/// The ledger's side of the comparison with Stripe.
public protocol ReconciledPayments: Sendable {
    func ledgerID() async throws -> LedgerID
    /// Those that the newest comparison found, of whatever day it was: `pi_…`.
    func standingPayments() async throws -> Set<String>
    /// Payments that were granted, or of which money moved back, on the day; those that a bank decides about; those of
    /// the 30 days before that are not finished; and those that are named.
    func paymentRecords(
        of day: UTCDay, named paymentIntents: [String], livemode: Bool
    ) async throws -> [PaymentRecord]
}

/// What Stripe says of one payment.
public struct ListedPayment: Sendable, Hashable {
    public struct Reversed: Sendable, Hashable {
        public var refundedCents: Int64
        public var lostCents: Int64
        /// With the banks of its disputes; what came back is subtracted.
        public var withdrawnCents: Int64
        /// In disputes that are open.
        public var disputedCents: Int64

        public init(
            refundedCents: Int64, lostCents: Int64, withdrawnCents: Int64 = 0, disputedCents: Int64 = 0
        ) {
            (self.refundedCents, self.lostCents) = (refundedCents, lostCents)
            (self.withdrawnCents, self.disputedCents) = (withdrawnCents, disputedCents)
        }
    }

    /// `pi_…`
    public var paymentIntent: String
    /// As its metadata name it; nil: it is not for one of our purchases.
    public var purchase: String?
    public var hasSucceeded: Bool
    public var receivedCents: Int64
    /// nil: refunds and disputes were not read.
    public var reversed: Reversed?

    public init(
        paymentIntent: String, purchase: String?, hasSucceeded: Bool, receivedCents: Int64,
        reversed: Reversed? = nil
    ) {
        self.paymentIntent = paymentIntent
        self.purchase = purchase
        self.hasSucceeded = hasSucceeded
        self.receivedCents = receivedCents
        self.reversed = reversed
    }

    /// - Parameter snapshot: everything of it, so that what went back is counted as it is when it is posted.
    public init(_ snapshot: PaymentSnapshot) {
        let hasSucceeded = snapshot.status == .succeeded
        let received = hasSucceeded ? snapshot.amountReceivedCents : 0
        var reversed = Reversed(refundedCents: 0, lostCents: 0)
        if snapshot.amountsArePossible {
            reversed.refundedCents = min(received, snapshot.refunds.reduce(0) { $0 + $1.takenCents })
            reversed.lostCents = min(
                received - reversed.refundedCents, snapshot.disputes.reduce(0) { $0 + $1.lostCents })
            reversed.withdrawnCents = snapshot.disputes.reduce(0) { $0 - $1.withdrawnCents }
            reversed.disputedCents = min(
                received, snapshot.disputes.filter(\.isOpen).reduce(0) { $0 + $1.amountCents })
        }
        self.init(
            paymentIntent: snapshot.paymentIntent, purchase: snapshot.metadata[Purchase.purchaseKey],
            hasSucceeded: hasSucceeded, receivedCents: received, reversed: reversed)
    }
}

/// Every succeeded payment of ours is granted once, for the same money; nothing is granted without one.
public enum PaymentComparison {
    /// - Parameters:
    ///   - records: of the ledger; each of them was looked for at Stripe.
    ///   - listed: of Stripe, each payment once.
    ///   - unreadable: payments that Stripe has and that could not be read, and why; a label.
    public static func findings(
        records: [PaymentRecord], listed: [ListedPayment], unreadable: [String: String] = [:]
    ) -> [ReconciliationFinding] {
        let known = Dictionary(
            records.map { ($0.paymentIntent, $0) }, uniquingKeysWith: { first, _ in first })
        let listedIDs = Set(listed.map(\.paymentIntent)).union(unreadable.keys)
        var findings = unreadable.sorted { $0.key < $1.key }.map { payment, why in
            ReconciliationFinding(
                payment, nil, "unreadable at Stripe: \(why), purchase \(known[payment]?.purchase ?? "none")")
        }
        for payment in listed where unreadable[payment.paymentIntent] == nil {
            findings += Self.compare(payment, known[payment.paymentIntent])
        }
        for record in records
        where record.granted > .zero && !listedIDs.contains(record.paymentIntent) {
            findings.append(Self.unpaid(record, "Stripe knows no such payment"))
        }
        return findings
    }

    private static func compare(
        _ payment: ListedPayment, _ record: PaymentRecord?
    ) -> [ReconciliationFinding] {
        guard payment.hasSucceeded else {
            guard let record, record.granted > .zero else { return [] }
            return [Self.unpaid(record, "the payment has not succeeded")]
        }
        guard let record, record.granted > .zero else {
            // Without our name on it and without a purchase it is somebody else's.
            guard payment.purchase != nil || record != nil else { return [] }
            if let reversed = payment.reversed,
                reversed.refundedCents + reversed.lostCents >= payment.receivedCents
            {
                // A person gave back what could not be granted.
                return []
            }
            return [
                Self.finding(
                    payment.paymentIntent, expected: payment.receivedCents, found: 0,
                    "paid and not granted, purchase \(payment.purchase ?? record?.purchase ?? "none")")
            ]
        }
        var findings = Self.difference("amount paid", payment.receivedCents, record.paidCents, record)
        if let reversed = payment.reversed {
            findings += Self.difference(
                "amount refunded", reversed.refundedCents, record.refundedCents, record)
            findings += Self.disputes(reversed, record)
        }
        return findings
    }

    /// One difference at most: what is lost, or open, is withdrawn as well.
    private static func disputes(
        _ reversed: ListedPayment.Reversed, _ record: PaymentRecord
    ) -> [ReconciliationFinding] {
        let lost = Self.difference(
            "amount lost in disputes", reversed.lostCents, record.lostCents, record)
        guard lost.isEmpty else { return lost }
        guard (reversed.disputedCents > 0) == record.isDisputed else {
            guard record.isDisputed else {
                return Self.difference("amount in open disputes", reversed.disputedCents, 0, record)
            }
            return [
                ReconciliationFinding(
                    record.paymentIntent,
                    .init(expected: 0, found: record.frozen.value, unit: .millicredits),
                    "frozen without an open dispute, purchase \(record.purchase)")
            ]
        }
        return Self.difference(
            "amount withdrawn by banks", reversed.withdrawnCents, record.withdrawnCents, record)
    }

    private static func difference(
        _ what: String, _ expected: Int64, _ found: Int64, _ record: PaymentRecord
    ) -> [ReconciliationFinding] {
        guard expected != found else { return [] }
        return [
            Self.finding(
                record.paymentIntent, expected: expected, found: found, "\(what), purchase \(record.purchase)"
            )
        ]
    }

    private static func unpaid(_ record: PaymentRecord, _ why: String) -> ReconciliationFinding {
        ReconciliationFinding(
            record.paymentIntent, .init(expected: 0, found: record.granted.value, unit: .millicredits),
            "granted without a payment: \(why), purchase \(record.purchase)")
    }

    private static func finding(
        _ payment: String, expected: Int64, found: Int64, _ detail: String
    ) -> ReconciliationFinding {
        ReconciliationFinding(payment, .init(expected: expected, found: found, unit: .cents), detail)
    }
}
