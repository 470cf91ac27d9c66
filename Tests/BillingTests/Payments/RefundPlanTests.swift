import Metering
import Testing

@testable import Billing

/// Never more money back than was paid, never twice.
@Suite struct RefundPlanTests {
    private static let purchase = Purchase.starter(status: .paid, paymentIntent: "pi_1")

    private func plan(
        _ amount: RefundPlan.Amount, after snapshot: PaymentSnapshot = .paid(), inFlight: Int64 = 0,
        request: String = "r-1", reason: String = "asked for it"
    ) throws(RefundPlan.Refusal) -> RefundPlan {
        try RefundPlan(
            request: request, purchase: Self.purchase, posted: PaymentPosted.nothing.following(snapshot),
            inFlightCents: inFlight, amount: amount, reason: reason)
    }

    @Test func aPartIsThatPartAndTheRestIsWhatIsLeft() throws {
        let part = try self.plan(.cents(100))
        #expect(part.cents == 100 && part.paymentIntent == "pi_1")
        #expect(part.metadata["tollgate_refund"] == "r-1" && part.idempotencyKey == "tollgate:refund:r-1")
        #expect(try self.plan(.rest).cents == 999)
        #expect(try self.plan(.rest, after: .paid().refunding(400)).cents == 599)
        #expect(try self.plan(.rest, after: .paid().disputing(400, .lost)).cents == 599)
        #expect(try self.plan(.rest, after: .paid().refunding(400, .failed)).cents == 999)
    }

    @Test func moreThanIsLeftIsRefused() {
        #expect(throws: RefundPlan.Refusal.moreThanLeft(cents: 999)) { try self.plan(.cents(1000)) }
        #expect(throws: RefundPlan.Refusal.moreThanLeft(cents: 599)) {
            try self.plan(.cents(600), after: .paid().refunding(400))
        }
        #expect(throws: RefundPlan.Refusal.nothingLeft) {
            try self.plan(.rest, after: .paid().refunding(999))
        }
    }

    /// Two administrators at once: the second sees what the first is about to give back.
    @Test func whatIsOnItsWayIsNotLeft() throws {
        #expect(try self.plan(.rest, after: .paid().refunding(99), inFlight: 400).cents == 500)
        #expect(throws: RefundPlan.Refusal.moreThanLeft(cents: 599)) {
            try self.plan(.cents(600), inFlight: 400)
        }
        #expect(throws: RefundPlan.Refusal.nothingLeft) { try self.plan(.cents(1), inFlight: 999) }
    }

    @Test func nothingUnpaidDisputedOrZeroIsRefunded() {
        #expect(throws: RefundPlan.Refusal.notPaid) { try self.plan(.rest, after: .unpaid(.processing)) }
        #expect(throws: RefundPlan.Refusal.disputed) {
            try self.plan(.rest, after: .paid().disputing(1, .underReview))
        }
        #expect(throws: RefundPlan.Refusal.amountNotPositive) { try self.plan(.cents(0)) }
        #expect(throws: RefundPlan.Refusal.amountNotPositive) { try self.plan(.cents(-5)) }
    }

    @Test func aRequestHasAnIDAndAReason() {
        for id in ["", "a b", "ü", String(repeating: "x", count: 201)] {
            #expect(throws: RefundPlan.Refusal.invalidRequestID) { try self.plan(.rest, request: id) }
        }
        for reason in ["", "  ", "a\u{0}b", "a\nb", String(repeating: "x", count: 1001)] {
            #expect(throws: RefundPlan.Refusal.noReason) { try self.plan(.rest, reason: reason) }
        }
    }
}

/// Credits for usage that failed its user.
@Suite struct CreditRefundTests {
    private func refund(
        _ amount: CreditRefund.Amount, after snapshot: PaymentSnapshot = .paid(), before: Int64 = 0,
        request: String = "r-1", reason: String = "an outage"
    ) throws(CreditRefund.Refusal) -> CreditRefund {
        try CreditRefund(
            request: request, purchase: .starter(), posted: PaymentPosted.nothing.following(snapshot),
            creditedBefore: Millicredits(before), amount: amount, reason: reason)
    }

    @Test func itIsLinkedToItsPurchase() throws {
        let refund = try self.refund(.millicredits(Millicredits(1_500)))
        #expect(refund.amount.value == 1_500 && refund.purchase == Purchase.testID && refund.account == 7)
        #expect(refund.key == "credit-refund:r-1")
    }

    @Test func allTogetherAreNeverMoreThanThePurchase() throws {
        #expect(try self.refund(.rest).amount.value == 9_990_000)
        #expect(try self.refund(.rest, before: 9_989_999).amount.value == 1)
        #expect(throws: CreditRefund.Refusal.nothingLeft) { try self.refund(.rest, before: 9_990_000) }
        #expect(throws: CreditRefund.Refusal.moreThanLeft(Millicredits(10))) {
            try self.refund(.millicredits(Millicredits(11)), before: 9_989_990)
        }
    }

    @Test func whatWentBackAsMoneyDoesNotGoBackAsCredits() throws {
        #expect(try self.refund(.rest, after: .paid().refunding(400)).amount.value == 5_990_000)
        #expect(throws: CreditRefund.Refusal.nothingLeft) {
            try self.refund(.rest, after: .paid().disputing(999, .lost))
        }
    }

    @Test func nothingUnpaidDisputedOrZeroIsCredited() {
        #expect(throws: CreditRefund.Refusal.notPaid) { try self.refund(.rest, after: .unpaid(.processing)) }
        #expect(throws: CreditRefund.Refusal.disputed) {
            try self.refund(.rest, after: .paid().disputing(1, .needsResponse))
        }
        for amount in [0, -1] as [Int64] {
            #expect(throws: CreditRefund.Refusal.amountNotPositive) {
                try self.refund(.millicredits(Millicredits(amount)))
            }
        }
        #expect(throws: CreditRefund.Refusal.invalidRequestID) { try self.refund(.rest, request: "") }
        #expect(throws: CreditRefund.Refusal.noReason) { try self.refund(.rest, reason: " ") }
    }
}
