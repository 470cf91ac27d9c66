import Metering
import Testing

@testable import Billing

/// Where a payment ought to be, from what Stripe says of it.
@Suite struct PaymentTargetTests {
    private func target(
        _ snapshot: PaymentSnapshot, _ purchase: Purchase = .starter()
    ) throws -> PaymentTarget {
        try PaymentTarget(purchase, snapshot)
    }

    @Test func aPaidPurchaseGrantsItsCreditsAndNotWhatItsMetadataSays() throws {
        var snapshot = PaymentSnapshot.paid()
        snapshot.metadata["credits"] = "999999999"
        let target = try self.target(snapshot)
        #expect(target.granted.value == 9_990_000 && target.paidCents == 999)
        #expect(target.clawed == .zero && target.frozen == .zero && !target.isDisputed)
        #expect(target.cash.feeCents == 59)
    }

    /// A bank debit completes the session long before its money is there, and may fail at last.
    @Test(arguments: [
        PaymentSnapshot.Status.processing, .requiresPaymentMethod, .requiresAction, .requiresCapture,
        .requiresConfirmation, .canceled,
    ])
    func nothingIsGrantedBeforeThePaymentSucceeded(_ status: PaymentSnapshot.Status) throws {
        #expect(try self.target(.unpaid(status)) == PaymentTarget())
    }

    @Test(
        arguments: [
            (1, 10_000), (333, 3_330_000), (500, 5_000_000), (998, 9_980_000), (999, 9_990_000),
        ] as [(Int64, Int64)])
    func aRefundTakesItsShareOfTheCredits(_ cents: Int64, _ clawed: Int64) throws {
        let target = try self.target(.paid().refunding(cents))
        #expect(target.clawedByRefunds.value == clawed && target.reversedCents == cents)
        #expect(target.clawedByDisputes == .zero)
    }

    /// Three thirds of 100 credits for 1.00 USD: rounded up each time they would be more than the whole.
    @Test func partialRefundsAreRoundedTogetherNotOneByOne() throws {
        let purchase = Purchase.starter(price: 3, credits: 100)
        var snapshot = PaymentSnapshot.paid(3)
        var clawed: [Int64] = []
        for _ in 0..<3 {
            snapshot = snapshot.refunding(1)
            clawed.append(try self.target(snapshot, purchase).clawed.value)
        }
        #expect(clawed == [34, 67, 100])
    }

    @Test(arguments: [PaymentSnapshot.RefundFacts.Status.failed, .canceled])
    func aRefundThatFailedTakesNothing(_ status: PaymentSnapshot.RefundFacts.Status) throws {
        #expect(try self.target(.paid().refunding(500, status)).clawed == .zero)
    }

    @Test(arguments: [PaymentSnapshot.RefundFacts.Status.pending, .requiresAction])
    func aRefundOnItsWayTakesItsCreditsAlready(_ status: PaymentSnapshot.RefundFacts.Status) throws {
        #expect(try self.target(.paid().refunding(500, status)).clawed.value == 5_000_000)
    }

    @Test(arguments: [PaymentSnapshot.DisputeFacts.Status.needsResponse, .underReview])
    func anOpenDisputeFreezesAndSuspendsButTakesNothing(
        _ status: PaymentSnapshot.DisputeFacts.Status
    ) throws {
        let target = try self.target(.paid().disputing(500, status))
        #expect(target.frozen.value == 5_000_000 && target.isDisputed)
        #expect(target.disputes == ["du_0": .open])
        #expect(target.clawed == .zero && target.cash.withdrawnCents == 500)
    }

    @Test(arguments: [
        PaymentSnapshot.DisputeFacts.Status.warningNeedsResponse, .warningUnderReview, .warningClosed, .won,
        .prevented,
    ])
    func anInquiryOrADisputeThatWasWonChangesNothing(
        _ status: PaymentSnapshot.DisputeFacts.Status
    ) throws {
        let target = try self.target(.paid().disputing(999, status, fee: 0))
        #expect(try target == self.target(.paid()))
    }

    @Test func aLostDisputeTakesItsShare() throws {
        let target = try self.target(.paid().disputing(999, .lost))
        #expect(target.clawedByDisputes.value == 9_990_000 && target.lostCents == 999)
        #expect(target.frozen == .zero && !target.isDisputed && target.disputes == ["du_0": .lost])
        #expect(target.cash.disputeFeeCents == 1500 && target.cash.lostBeyondPaidCents == 0)
    }

    /// Visa's rapid resolution takes the money without a dispute: only the balance transactions show it.
    @Test func aPreventedDisputeCountsAsLostIfTheMoneyIsGone() throws {
        var snapshot = PaymentSnapshot.paid().disputing(999, .prevented, fee: 0)
        snapshot.disputes[0].withdrawnCents = -999
        let target = try self.target(snapshot)
        #expect(target.clawedByDisputes.value == 9_990_000)
        // The customer agreed with the bank before there was a dispute: nobody is suspended for it.
        #expect(target.disputes.isEmpty)
    }

    /// Refunded, and then disputed all the same: the credits go once, the second loss is ours.
    @Test func refundsCountFirstAndDisputesGetTheRest() throws {
        let target = try self.target(.paid().refunding(600).disputing(999, .lost))
        #expect(target.refundedCents == 600 && target.lostCents == 399)
        #expect(target.clawedByRefunds.value == 6_000_000 && target.clawedByDisputes.value == 3_990_000)
        #expect(target.cash.lostBeyondPaidCents == 600)
    }

    /// What no bank withdrew is no loss, and no gain either.
    @Test func aLossIsCountedWhenTheMoneyIsGone() throws {
        var snapshot = PaymentSnapshot.paid().disputing(999, .lost, fee: 0)
        snapshot.disputes[0].withdrawnCents = 0
        let cash = try self.target(snapshot).cash
        #expect(cash.lostBeyondPaidCents == 0 && cash.withdrawnCents == 0)
    }

    /// Raised further, the floor would take other purchases' credits.
    @Test func noMoreIsFrozenThanIsLeft() throws {
        let target = try self.target(.paid().refunding(600).disputing(999, .needsResponse))
        #expect(target.frozen.value == 3_990_000 && target.clawed.value == 6_000_000)
    }

    @Test func twoDisputesOfOnePaymentFreezeItOnce() throws {
        let both = PaymentSnapshot.paid().disputing(999, .underReview).disputing(999, .needsResponse)
        #expect(try self.target(both).frozen.value == 9_990_000)
    }

    @Test func largeNumbersDoNotOverflow() throws {
        let purchase = Purchase.starter(price: 99_999_999, credits: Millicredits.magnitudeMax)
        let target = try self.target(.paid(99_999_999).refunding(99_999_998), purchase)
        let exact = (Int128(Millicredits.magnitudeMax) * 99_999_998 + 99_999_998) / 99_999_999
        #expect(target.clawed.value == Int64(exact))
        let disputed = PaymentSnapshot.paid(99_999_999).disputing(100_000_000_000, .underReview)
        #expect(try self.target(disputed, purchase).frozen.value == Millicredits.magnitudeMax)
    }
}

/// What makes a person look, and nothing else happens.
@Suite struct PaymentDoubtTests {
    private func doubt(
        _ purchase: Purchase = .starter(), isGranted: Bool = false, _ change: (inout PaymentSnapshot) -> Void
    ) -> PaymentDoubt? {
        var snapshot = PaymentSnapshot.paid()
        change(&snapshot)
        do throws(PaymentDoubt) {
            _ = try PaymentTarget(purchase, snapshot, isGranted: isGranted)
            return nil
        } catch { return error }
    }

    @Test func testMoneyBuysNothingLive() {
        #expect(self.doubt { $0.livemode = true } == .wrongLivemode)
        #expect(self.doubt(.starter(livemode: true)) { _ in } == .wrongLivemode)
    }

    @Test func anotherCurrencyOrLessThanThePriceBuysNothing() {
        #expect(self.doubt { $0.currency = "jpy" } == .wrongCurrency)
        #expect(self.doubt { $0.amountReceivedCents = 998 } == .wrongAmount)
        #expect(self.doubt { $0.amountReceivedCents = 0 } == .wrongAmount)
        #expect(self.doubt { $0.amountReceivedCents = 1000 } == nil)
        // A cent would be worth less than a millicredit, and could be refunded without taking any.
        #expect(self.doubt { $0.amountReceivedCents = 9_990_001 } == .wrongAmount)
    }

    @Test func aPaymentGrantsOnlyThePurchaseThatItNames() {
        let other = PurchaseID(HoldID(high: 1, low: 2)).description
        #expect(self.doubt { $0.metadata[Purchase.purchaseKey] = other } == .namesAnotherPurchase)
        #expect(self.doubt { $0.metadata[Purchase.accountKey] = "8" } == .namesAnotherAccount)
        #expect(self.doubt { $0.metadata = [:] } == .namesNoPurchase)
        // Its session named the payment intent when it was made.
        #expect(self.doubt(.starter(paymentIntent: "pi_1")) { $0.metadata = [:] } == nil)
    }

    /// Two payments of one purchase: the second is the customer's money, and a person gives it back.
    @Test func aSecondPaymentOfAPurchaseIsNotGranted() {
        #expect(self.doubt(.starter(paymentIntent: "pi_2")) { _ in } == .anotherPayment)
    }

    /// Else a refund of a payment whose metadata somebody edited in Stripe's dashboard would never be posted.
    @Test func metadataIsNotAskedAgainAfterTheGrant() {
        let other: (inout PaymentSnapshot) -> Void = { $0.metadata[Purchase.purchaseKey] = "x" }
        #expect(self.doubt(.starter(paymentIntent: "pi_1"), other) == .namesAnotherPurchase)
        #expect(self.doubt(.starter(paymentIntent: "pi_1"), isGranted: true, other) == nil)
    }

    @Test(arguments: [Int64.min, -1, 100_000_000_001, Int64.max])
    func amountsThatNobodyPaysNeverReachAnAddition(_ cents: Int64) {
        #expect(self.doubt { $0.amountReceivedCents = cents } == .impossibleAmount)
        #expect(self.doubt { $0 = $0.refunding(cents).refunding(cents) } == .impossibleAmount)
        let both: (inout PaymentSnapshot) -> Void = { snapshot in
            for _ in 0..<2 {
                snapshot.disputes.append(
                    .init(
                        id: "du", amountCents: cents, status: .needsResponse, feeCents: 0, withdrawnCents: 0))
            }
        }
        #expect(self.doubt(.starter(), both) == .impossibleAmount)
    }

    @Test func nothingButASmallFeeEitherWayIsAFee() {
        #expect(self.doubt { $0 = $0.disputing(999, .lost, fee: .min) } == .impossibleAmount)
        #expect(
            self.doubt {
                $0.disputes = $0.disputing(9, .lost).disputes; $0.disputes[0].withdrawnCents = .min
            }
                == .impossibleAmount)
        #expect(self.doubt { $0.charge?.feeCents = .max } == .impossibleAmount)
    }
}
