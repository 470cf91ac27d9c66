import Testing

@testable import Billing

/// Which payment an event is about.
@Suite struct StripeEventKindTests {
    private func kind(
        _ type: String, _ fields: [StripeEventKind.Field: String]
    ) -> StripeEventKind {
        StripeEventKind(type: type) { fields[$0] }
    }

    private static let purchase = Purchase.testID

    @Test func aSessionNamesItselfItsPaymentAndItsPurchase() {
        let fields: [StripeEventKind.Field: String] = [
            .object: "checkout.session", .id: "cs_test_a1", .paymentIntent: "pi_1",
            .clientReferenceID: "\(Self.purchase)",
        ]
        #expect(
            self.kind("checkout.session.completed", fields)
                == .payment(
                    PaymentHint(paymentIntent: "pi_1", session: "cs_test_a1", purchase: Self.purchase)))
    }

    /// Nobody tried to pay, so there is no payment intent.
    @Test func anExpiredSessionIsNamedWithoutAPayment() {
        #expect(
            self.kind("checkout.session.expired", [.object: "checkout.session", .id: "cs_1"])
                == .payment(PaymentHint(paymentIntent: nil, session: "cs_1", purchase: nil)))
    }

    @Test(arguments: [
        ("charge.succeeded", "charge"), ("charge.failed", "charge"), ("charge.refunded", "charge"),
        ("charge.updated", "charge"), ("charge.refund.updated", "refund"), ("refund.created", "refund"),
        ("refund.updated", "refund"), ("refund.failed", "refund"), ("charge.dispute.created", "dispute"),
        ("charge.dispute.updated", "dispute"), ("charge.dispute.closed", "dispute"),
        ("charge.dispute.funds_withdrawn", "dispute"), ("charge.dispute.funds_reinstated", "dispute"),
    ])
    func whatHappensToAPaymentNamesIt(_ type: String, _ object: String) {
        let hint = PaymentHint(paymentIntent: "pi_1", session: nil, purchase: nil)
        let fields: [StripeEventKind.Field: String] = [
            .object: object, .id: "x_1", .paymentIntent: "pi_1",
        ]
        #expect(self.kind(type, fields) == .payment(hint))
        #expect(self.kind(type, [.object: object, .id: "x_1"]) == .unusable(.namesNoPayment))
    }

    @Test(arguments: ["processing", "succeeded", "payment_failed", "canceled"])
    func aPaymentIntentIsItself(_ end: String) {
        let fields: [StripeEventKind.Field: String] = [
            .object: "payment_intent", .id: "pi_2", .paymentIntent: "pi_other",
            .purchaseMetadata: "\(Self.purchase)",
        ]
        #expect(
            self.kind("payment_intent.\(end)", fields)
                == .payment(PaymentHint(paymentIntent: "pi_2", session: nil, purchase: Self.purchase)))
    }

    @Test func asynchronousSessionsAreFollowedToTheirEnd() {
        for end in ["async_payment_succeeded", "async_payment_failed"] {
            let kind = self.kind("checkout.session.\(end)", [.object: "checkout.session", .id: "cs_1"])
            #expect(kind == .payment(PaymentHint(paymentIntent: nil, session: "cs_1", purchase: nil)))
        }
    }

    /// Whoever may write a refund's metadata must not choose the purchase.
    @Test func aRefundsOwnMetadataNamesNothing() {
        let fields: [StripeEventKind.Field: String] = [
            .object: "refund", .id: "re_1", .paymentIntent: "pi_1", .purchaseMetadata: "\(Self.purchase)",
        ]
        #expect(
            self.kind("refund.created", fields)
                == .payment(PaymentHint(paymentIntent: "pi_1", session: nil, purchase: nil)))
    }

    @Test(arguments: ["customer.created", "payment_intent.created", "invoice.paid", "", "charge.succeeded "])
    func everythingElseIsIgnored(_ type: String) {
        #expect(self.kind(type, [.object: "charge", .paymentIntent: "pi_1"]) == .ignored)
    }

    @Test func whatIsNotWhatItShouldBeIsADeadLetter() {
        #expect(
            self.kind("charge.refunded", [.object: "refund", .paymentIntent: "pi_1"])
                == .unusable(.unexpectedObject))
        #expect(self.kind("charge.refunded", [:]) == .unusable(.unexpectedObject))
    }

    /// The id becomes part of a path at Stripe.
    @Test(arguments: ["pi_", "pi_1/../../v1/refunds", "pi_1?expand[]=x", "ch_1", "pi_1\n", "pi_é", " pi_1"])
    func anIDThatCouldMeanMoreIsRefused(_ id: String) {
        #expect(
            self.kind("charge.refunded", [.object: "charge", .paymentIntent: id]) == .unusable(.malformedID))
    }

    @Test func theListsForStripeAreWholeAndShortEnough() {
        let types = StripeEventKind.paymentTypes
        #expect(types == types.sorted() && Set(types).count == types.count && types.count == 21)
        #expect(StripeEventKind.paymentTypesForListing.flatMap { $0 } == types)
        #expect(StripeEventKind.paymentTypesForListing.allSatisfy { 1...20 ~= $0.count })
    }
}
