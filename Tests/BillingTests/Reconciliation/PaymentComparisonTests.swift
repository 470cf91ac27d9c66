import Metering
import Testing

@testable import Billing

/// What Stripe says of a day's payments against what the ledger has of them.
@Suite struct PaymentComparisonTests {
    private static func record(
        _ payment: String = "pi_1", granted: Int64 = 9_990_000, paid: Int64 = 999, refunded: Int64 = 0,
        lost: Int64 = 0, withdrawn: Int64 = 0, frozen: Int64 = 0
    ) -> PaymentRecord {
        PaymentRecord(
            purchase: "p", paymentIntent: payment, granted: Millicredits(granted), paidCents: paid,
            refundedCents: refunded, lostCents: lost, withdrawnCents: withdrawn, frozen: Millicredits(frozen),
            isDisputed: frozen > 0, hasMovedBack: false)
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
        Case(
            testDescription: "an open dispute that both have",
            records: [record(withdrawn: 999, frozen: 9_990_000)],
            listed: [listed(reversed: disputed(withdrawn: 999, open: 999))], findings: []),
        Case(
            testDescription: "an open dispute that we have not heard of, told once", records: [record()],
            listed: [listed(reversed: disputed(withdrawn: 999, open: 999))],
            findings: [.init(expected: 999, found: 0, unit: .cents)]),
        Case(
            testDescription: "a dispute that is over, and we have not heard of it",
            records: [record(frozen: 9_990_000)], listed: [listed(reversed: disputed())],
            findings: [.init(expected: 0, found: 9_990_000, unit: .millicredits)]),
        Case(
            testDescription: "a bank that took money and gave it back", records: [record(withdrawn: 999)],
            listed: [listed(reversed: disputed())], findings: [.init(expected: 0, found: 999, unit: .cents)]),
    ]

    private static func disputed(withdrawn: Int64 = 0, open: Int64 = 0) -> ListedPayment.Reversed {
        .init(refundedCents: 0, lostCents: 0, withdrawnCents: withdrawn, disputedCents: open)
    }

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
                .init(id: "dp_1", amountCents: 999, status: .lost, feeCents: 1500, withdrawnCents: -999),
                .init(id: "dp_2", amountCents: 7, status: .underReview, feeCents: 0, withdrawnCents: -7),
                .init(
                    id: "dp_3", amountCents: 50, status: .warningNeedsResponse, feeCents: 0, withdrawnCents: 0
                ),
            ])
        let listed = ListedPayment(snapshot)
        #expect(
            listed.reversed
                == .init(refundedCents: 600, lostCents: 399, withdrawnCents: 1006, disputedCents: 7))
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

    /// One payment that cannot be read is one finding, whatever else is known of it.
    @Test func anUnreadablePaymentIsToldOnce() {
        let found = PaymentComparison.findings(
            records: [Self.record(), Self.record("pi_2", paid: 998)], listed: [Self.listed("pi_2")],
            unreadable: ["pi_1": "unknown_status"])
        #expect(found.map(\.subject) == ["pi_1", "pi_2"])
        #expect(found.first?.detail.contains("unknown_status") == true && found.first?.amounts == nil)
    }

    /// What arrived between the looks is no difference, and what came up between them may be on its way.
    @Test func onlyWhatStandsInBothLooksIsFound() {
        func finding(_ subject: String, _ expected: Int64, _ found: Int64) -> ReconciliationFinding {
            .init(subject, .init(expected: expected, found: found, unit: .millicredits), "x")
        }
        let first = [finding("arrived", 5, 0), finding("stands", 5, 3), finding("moves", 5, 3)]
        let second = [finding("stands", 9, 7), finding("moves", 9, 8), finding("new", 1, 0)]
        #expect(ReconciliationFinding.standing(first, second) == [finding("stands", 9, 7)])
        let other = ReconciliationFinding("stands", .init(expected: 9, found: 7, unit: .cents), "x")
        #expect(ReconciliationFinding.standing(first, [other]).isEmpty)
    }
}
