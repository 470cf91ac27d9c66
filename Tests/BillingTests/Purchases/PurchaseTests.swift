import Metering
import Testing

@testable import Billing

@Suite struct PurchaseTests {
    private func make(price: Int64, credits: Int64) throws(Purchase.Failure) -> Purchase {
        try Purchase(
            id: Purchase.testID, account: 7, kind: .checkout,
            of: CreditPackage(
                code: "starter", version: 3, name: "Starter", priceUSDCents: price, credits: credits,
                bonusCredits: 0),
            customer: nil, livemode: true, createdAt: 5)
    }

    @Test func priceAndCreditsAreThePackages() throws {
        let purchase = try self.make(price: 4999, credits: 52_490)
        #expect(purchase.priceUSDCents == 4999 && purchase.credits.value == 52_490_000)
        #expect(purchase.packageCode == "starter" && purchase.packageVersion == 3)
        #expect(purchase.status == .created && purchase.livemode)
    }

    @Test(
        arguments: [
            (0, 10, Purchase.Failure.priceOutOfRange), (-1, 10, .priceOutOfRange),
            (100_000_000, 1 << 40, .priceOutOfRange),
            (100, 0, .tooFewCredits), (1001, 1, .tooFewCredits), (100, Int64.max / 2, .creditsOutOfRange),
        ] as [(Int64, Int64, Purchase.Failure)])
    func anOfferThatCannotBeReversedExactlyIsNone(
        _ price: Int64, _ credits: Int64, _ failure: Purchase.Failure
    ) {
        #expect(throws: failure) { try self.make(price: price, credits: credits) }
    }

    @Test func anIDIsReadAsItIsWritten() throws {
        #expect(PurchaseID(text: "\(Purchase.testID)") == Purchase.testID)
        #expect(PurchaseID(text: "1; drop table") == nil)
    }

    // MARK: Status

    private func after(
        _ snapshot: PaymentSnapshot, _ purchase: Purchase, posted: PaymentPosted = .nothing
    ) -> Purchase {
        var purchase = purchase
        purchase.observed(snapshot, PaymentDecision(purchase, snapshot, posted: posted))
        return purchase
    }

    @Test func aPurchaseIsPaidWhenItsCreditsAreGranted() {
        for status in Purchase.Status.allCases {
            let purchase = self.after(.paid(), .starter(status: status))
            #expect(purchase.status == .paid, "from \(status)")
            if status != .paid { #expect(purchase.paymentIntent == "pi_1") }
        }
    }

    /// A late event, a refund, a doubt: none of them makes it unpaid.
    @Test func paidIsFinal() {
        let purchase = Purchase.starter(status: .paid, paymentIntent: "pi_1")
        let posted = PaymentPosted.nothing.following(.paid())
        #expect(self.after(.unpaid(.canceled), purchase, posted: posted).status == .paid)
        #expect(self.after(.paid().refunding(999), purchase, posted: posted).status == .paid)
        #expect(self.after(.paid(1000), purchase, posted: posted).status == .paid)
        var other = purchase
        other.sessionExpired()
        other.sessionOpened("cs_2")
        other.refused()
        #expect(other == purchase)
    }

    @Test(arguments: [
        (Purchase.Status.open, PaymentSnapshot.Status.processing, Purchase.Status.processing),
        (.open, .requiresPaymentMethod, .open), (.created, .requiresAction, .open),
        (.processing, .requiresPaymentMethod, .failed), (.processing, .canceled, .failed),
        (.expired, .processing, .processing), (.failed, .processing, .processing),
        (.expired, .requiresPaymentMethod, .expired),
    ])
    func aCheckoutFollowsItsPayment(
        _ from: Purchase.Status, _ payment: PaymentSnapshot.Status, _ to: Purchase.Status
    ) {
        #expect(self.after(.unpaid(payment), .starter(status: from)).status == to)
    }

    /// Nobody is there to try another card.
    @Test(arguments: [PaymentSnapshot.Status.requiresPaymentMethod, .requiresAction])
    func aRechargeThatIsDeclinedHasFailed(_ payment: PaymentSnapshot.Status) {
        let purchase = Purchase.starter(kind: .recharge, status: .created)
        #expect(self.after(.unpaid(payment), purchase).status == .failed)
    }

    @Test func aDoubtGoesToAPersonAndBindsNoPayment() {
        var snapshot = PaymentSnapshot.paid()
        snapshot.currency = "eur"
        let purchase = self.after(snapshot, .starter())
        #expect(purchase.status == .quarantined && purchase.paymentIntent == nil)
        #expect(self.after(.paid(), purchase).status == .paid)
    }

    /// As after a restored row: the grant was posted, so the purchase is paid.
    @Test func aGrantThatWasPostedMakesThePurchasePaid() {
        let posted = PaymentPosted.nothing.following(.paid())
        #expect(self.after(.paid(), .starter(), posted: posted).status == .paid)
        #expect(self.after(.unpaid(.processing), .starter(), posted: posted).status == .paid)
    }

    @Test func aSessionExpiresOnlyWhileNobodyPays() {
        for status in Purchase.Status.allCases {
            var purchase = Purchase.starter(status: status)
            purchase.sessionExpired()
            #expect(purchase.status == (status == .created || status == .open ? .expired : status))
        }
    }

    @Test func anAnswerThatComesTwiceNamesTheFirstSession() {
        var purchase = Purchase.starter(status: .created)
        purchase.sessionOpened("cs_2")
        #expect(purchase.session == "cs_1" && purchase.status == .open)
    }
}
