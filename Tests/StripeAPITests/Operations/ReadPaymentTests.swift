import Billing
import Testing

@testable import StripeAPI

@Suite struct ReadPaymentTests {
    private func read(
        intent: String = Replies.intent(), refunds: [String] = [], disputes: [String] = []
    ) throws(StripeFailure) -> PaymentSnapshot? {
        try ReadPayment("pi_1").rehearse([
            Replies.reply(intent), Replies.page(refunds), Replies.page(disputes),
        ])
    }

    private func failure(
        intent: String = Replies.intent(), refunds: [String] = [], disputes: [String] = []
    ) -> StripeFailure.Kind? {
        do throws(StripeFailure) {
            _ = try self.read(intent: intent, refunds: refunds, disputes: disputes)
            return nil
        } catch {
            return error.kind
        }
    }

    /// A recharge is stopped by one of these and only paused by the others.
    @Test(
        arguments: [
            (#"{"code":"card_declined","decline_code":"insufficient_funds"}"#, "insufficient_funds"),
            (
                #"{"code":"card_declined","decline_code":"authentication_required"}"#,
                "authentication_required"
            ),
            (
                #"{"code":"authentication_required","decline_code":"generic_decline"}"#,
                "authentication_required"
            ),
            (
                #"{"code":"payment_method_provider_decline","decline_code":null}"#,
                "payment_method_provider_decline"
            ),
            (#"{"message":"no"}"#, "unknown"), (#"{"code":"a b"}"#, "other"), ("null", nil),
        ] as [(String, String?)])
    func theLastErrorIsAWord(_ error: String, _ code: String?) throws {
        let intent = Replies.intent(status: "requires_payment_method", charge: "null", lastError: error)
        #expect(try self.read(intent: intent)?.failureCode == code)
    }

    /// Every fact of a payment that was paid, partly refunded twice, disputed and won.
    @Test func aPaymentIsReadWhole() throws {
        var rehearsal = Rehearsal<ReadPayment>()
        let snapshot = try rehearsal.run(
            ReadPayment("pi_1"),
            [
                Replies.reply(Replies.intent()),
                Replies.page([Replies.refund("re_3", status: "failed")], more: true),
                Replies.page([Replies.refund("re_2", amount: 200), Replies.refund("re_1", status: "pending")]
                ),
                Replies.page([
                    Replies.dispute(
                        status: "won",
                        transactions: [
                            Replies.transaction("txn_2", type: "adjustment", amount: -699, fee: 1500),
                            Replies.transaction("txn_3", type: "adjustment", amount: 699, fee: -1500),
                        ])
                ]),
            ])
        #expect(
            snapshot
                == PaymentSnapshot(
                    paymentIntent: "pi_1", status: .succeeded, livemode: false, currency: "usd",
                    amountCents: 999,
                    amountReceivedCents: 999, metadata: ["tollgate_purchase": "p1"], customer: "cus_1",
                    charge: .init(id: "ch_1", receiptURL: "https://pay.stripe.com/receipts/1", feeCents: 59),
                    refunds: [
                        .init(
                            id: "re_1", amountCents: 100, status: .pending,
                            metadata: ["tollgate_refund": "re_1"]),
                        .init(
                            id: "re_2", amountCents: 200, status: .succeeded,
                            metadata: ["tollgate_refund": "re_2"]),
                        .init(
                            id: "re_3", amountCents: 100, status: .failed,
                            metadata: ["tollgate_refund": "re_3"]),
                    ],
                    disputes: [
                        .init(id: "du_1", amountCents: 999, status: .won, feeCents: 0, withdrawnCents: 0)
                    ]))
        #expect(
            rehearsal.asked.map { "\($0.path.joined(separator: "/"))?\($0.form.encoded)" } == [
                "payment_intents/pi_1?expand[0]=latest_charge.balance_transaction",
                "refunds?payment_intent=pi_1&limit=100",
                "refunds?payment_intent=pi_1&limit=100&starting_after=re_3",
                "disputes?payment_intent=pi_1&limit=100",
            ])
        #expect(rehearsal.asked.allSatisfy { $0.method == .get })
    }

    @Test func moneyAtTheBankAndItsFeeAreKept() throws {
        let withdrawal = Replies.transaction("txn_2", type: "adjustment", amount: -999, fee: 1500)
        let snapshot = try self.read(disputes: [Replies.dispute(transactions: [withdrawal])])
        #expect(
            snapshot?.disputes == [
                .init(
                    id: "du_1", amountCents: 999, status: .needsResponse, feeCents: 1500, withdrawnCents: -999
                )
            ])
    }

    /// A declined card leaves a charge too; it has taken nothing and has no receipt.
    @Test func aChargeThatFailedIsNoCharge() throws {
        let failed = Replies.charge(paid: false, transaction: nil)
        let snapshot = try self.read(
            intent: Replies.intent(status: "requires_payment_method", charge: failed))
        #expect(snapshot?.status == .requiresPaymentMethod)
        #expect(snapshot?.charge == nil)
        #expect(try self.read(intent: Replies.intent(status: "processing", charge: "null"))?.charge == nil)
    }

    /// Bank debits are settled days later.
    @Test func aFeeThatIsNotKnownYetIsNil() throws {
        let snapshot = try self.read(intent: Replies.intent(charge: Replies.charge(transaction: nil)))
        #expect(snapshot?.charge?.id == "ch_1")
        #expect(snapshot?.charge?.feeCents == nil)
    }

    @Test(arguments: [
        "requires_payment_method", "requires_confirmation", "requires_action", "processing",
        "requires_capture",
        "canceled", "succeeded",
    ])
    func everyStatusOfAnIntentIsKnown(_ status: String) throws {
        #expect(try self.read(intent: Replies.intent(status: status))?.status.rawValue == status)
    }

    @Test(
        arguments: [
            ("warning_needs_response", .warningNeedsResponse), ("warning_under_review", .warningUnderReview),
            ("warning_closed", .warningClosed), ("needs_response", .needsResponse),
            ("under_review", .underReview),
            ("won", .won), ("lost", .lost), ("prevented", .prevented),
            // Lost, and perhaps not for ever: nothing is given back before it says `won`.
            ("appeal_needs_response", .lost), ("appeal_under_review", .lost),
        ] as [(String, PaymentSnapshot.DisputeFacts.Status)])
    func everyStatusOfADisputeIsKnown(_ text: String, _ status: PaymentSnapshot.DisputeFacts.Status) throws {
        #expect(try self.read(disputes: [Replies.dispute(status: text)])?.disputes.map(\.status) == [status])
    }

    @Test(
        arguments: [
            ("pending", .pending), ("requires_action", .requiresAction), ("succeeded", .succeeded),
            ("failed", .failed),
            ("canceled", .canceled), (nil, .pending),
        ] as [(String?, PaymentSnapshot.RefundFacts.Status)])
    func everyStatusOfARefundIsKnown(_ text: String?, _ status: PaymentSnapshot.RefundFacts.Status) throws {
        #expect(
            try self.read(refunds: [Replies.refund("re_1", status: text)])?.refunds.map(\.status) == [status])
    }

    /// What a later version of the API says goes to a person instead of being guessed.
    @Test func anUnknownStatusIsAnErrorWithItsName() {
        #expect(
            self.failure(intent: Replies.intent(status: "levitating"))
                == .unknownStatus(object: .paymentIntent, status: "levitating"))
        #expect(
            self.failure(refunds: [Replies.refund("re_1", status: "half done, ask again")])
                == .unknownStatus(object: .refund, status: "other"))
        #expect(
            self.failure(disputes: [Replies.dispute(status: "settled")])
                == .unknownStatus(object: .dispute, status: "settled"))
    }

    /// Cents of one currency are not cents of another.
    @Test func amountsInAnotherCurrencyAreNotCounted() {
        #expect(
            self.failure(intent: Replies.intent(charge: Replies.charge(currency: "eur")))
                == .foreignCurrency(object: .charge))
        #expect(
            self.failure(refunds: [Replies.refund("re_1", currency: "eur")])
                == .foreignCurrency(object: .refund))
        #expect(
            self.failure(disputes: [Replies.dispute(currency: "eur")]) == .foreignCurrency(object: .dispute))
    }

    /// Credits do not wait for fees that this account's books cannot count.
    @Test func anAccountThatSettlesInAnotherCurrencyHasItsFeesUntold() throws {
        let euros = Replies.transaction(currency: "eur")
        let charged = try #require(
            try self.read(intent: Replies.intent(charge: Replies.charge(transaction: euros))))
        #expect(charged.charge != nil && charged.charge?.feeCents == nil)
        let disputed = try #require(
            try self.read(disputes: [Replies.dispute(transactions: [euros])]))
        #expect(disputed.disputes.map(\.feeCents) == [0] && disputed.disputes.map(\.withdrawnCents) == [0])
    }

    @Test func amountsThatCannotBeAreUnreadable() {
        let huge = Replies.transaction(amount: .max, fee: 0)
        #expect(self.failure(disputes: [Replies.dispute(transactions: [huge, huge])]) == .unreadableReply)
        #expect(self.failure(refunds: [Replies.refund("re_1", amount: -1)]) == .unreadableReply)
        #expect(self.failure(disputes: [Replies.dispute(amount: -1)]) == .unreadableReply)
        #expect(self.failure(intent: Replies.intent().replacing(":999,", with: ":9.99,")) == .unreadableReply)
    }

    @Test func theOtherModeIsRefusedInEveryPart() {
        #expect(self.failure(intent: Replies.intent(livemode: true)) == .wrongLivemode)
        #expect(self.failure(disputes: [Replies.dispute(livemode: true)]) == .wrongLivemode)
    }
}
