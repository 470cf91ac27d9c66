import Metering
import Testing

@testable import Billing

/// What Stripe says of a day's payments against what the ledger has of them.
@Suite struct PaymentComparisonTests {
    private static func record(
        _ payment: String = "pi_1", granted: Int64 = 9_990_000, paid: Int64 = 999, refunded: Int64 = 0,
        lost: Int64 = 0
    ) -> PaymentRecord {
        PaymentRecord(
            purchase: "p", paymentIntent: payment, granted: Millicredits(granted), paidCents: paid,
            refundedCents: refunded, lostCents: lost, hasMovedBack: false)
    }

    private static func listed(
        _ payment: String = "pi_1", purchase: String? = "p", succeeded: Bool = true, received: Int64 = 999,
        reversed: ListedPayment.Reversed? = nil
    ) -> ListedPayment {
        ListedPayment(
            paymentIntent: payment, purchase: purchase, hasSucceeded: succeeded, receivedCents: received,
            reversed: reversed)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var records: [PaymentRecord]
        var listed: [ListedPayment]
        /// Expected and found of each finding.
        var findings: [ReconciliationFinding.Amounts]
    }

    static let cases = [
        Case(testDescription: "equal", records: [record()], listed: [listed()], findings: []),
        Case(
            testDescription: "equal after refund and lost dispute",
            records: [record(refunded: 100, lost: 50)],
            listed: [listed(reversed: .init(refundedCents: 100, lostCents: 50))], findings: []),
        Case(
            testDescription: "somebody else's payment", records: [], listed: [listed(purchase: nil)],
            findings: []),
        Case(
            testDescription: "ours, not succeeded, not granted", records: [record(granted: 0, paid: 0)],
            listed: [listed(succeeded: false, received: 0)], findings: []),
        Case(
            testDescription: "paid, no purchase", records: [], listed: [listed()],
            findings: [.init(expected: 999, found: 0, unit: .cents)]),
        Case(
            testDescription: "paid, not granted, and the metadata were removed",
            records: [record(granted: 0, paid: 0)], listed: [listed(purchase: nil)],
            findings: [.init(expected: 999, found: 0, unit: .cents)]),
        Case(
            testDescription: "granted, not succeeded", records: [record()],
            listed: [listed(succeeded: false, received: 0)],
            findings: [.init(expected: 0, found: 9_990_000, unit: .millicredits)]),
        Case(
            testDescription: "granted, unknown to Stripe", records: [record("pi_2")], listed: [],
            findings: [.init(expected: 0, found: 9_990_000, unit: .millicredits)]),
        Case(
            testDescription: "another amount", records: [record(paid: 998)], listed: [listed()],
            findings: [.init(expected: 999, found: 998, unit: .cents)]),
        Case(
            testDescription: "a refund and a loss that are not ours", records: [record()],
            listed: [listed(reversed: .init(refundedCents: 100, lostCents: 50))],
            findings: [
                .init(expected: 100, found: 0, unit: .cents), .init(expected: 50, found: 0, unit: .cents),
            ]),
    ]

    @Test(arguments: cases) func eachDifferenceIsFound(_ example: Case) {
        let found = PaymentComparison.findings(records: example.records, listed: example.listed)
        #expect(found.map(\.amounts) == example.findings)
    }

    /// Counted as it is when it is posted: a failed refund took nothing, and a dispute gets what refunds left.
    @Test func aReadPaymentCountsWhatReallyWentBack() {
        let snapshot = PaymentSnapshot(
            paymentIntent: "pi_1", status: .succeeded, livemode: false, currency: "usd", amountCents: 999,
            amountReceivedCents: 999, metadata: [Purchase.purchaseKey: "p"], customer: nil, charge: nil,
            refunds: [
                .init(id: "re_1", amountCents: 600, status: .succeeded, metadata: [:]),
                .init(id: "re_2", amountCents: 300, status: .failed, metadata: [:]),
            ],
            disputes: [
                .init(id: "dp_1", amountCents: 999, status: .lost, feeCents: 1500, withdrawnCents: -999)
            ])
        let listed = ListedPayment(snapshot)
        #expect(listed.reversed == .init(refundedCents: 600, lostCents: 399))
        #expect(listed.purchase == "p")
    }

    /// A millicredit is worth a micro-dollar, a cent ten thousand.
    @Test func differencesAreAddedInMillicredits() {
        let result = ReconciliationResult(
            .payments,
            [
                .init("a", .init(expected: 3, found: 5, unit: .cents), ""),
                .init("b", .init(expected: 5, found: 3, unit: .millicredits), ""), .init("c", nil, ""),
            ])
        #expect(result.mismatch == 20_002)
        #expect(result.outcome == .mismatch)
        let gone = ReconciliationResult(.payments, without: .unavailable, because: "x")
        let report = ReconciliationReport(day: UTCDay(daysSinceEpoch: 0)!, results: [gone])
        #expect(report.isClean && !report.isComplete && report.mismatch == 0)
        #expect(!ReconciliationReport(day: report.day, results: [result]).isClean)
    }
}
