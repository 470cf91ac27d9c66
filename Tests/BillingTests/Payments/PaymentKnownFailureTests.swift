import Metering
import Testing

@testable import Billing

/// What went wrong elsewhere (facts/known_failures.md, part E and "Ledgers, holds and payments"), each as a history of
/// what Stripe said and the sum that the account must end with.
@Suite struct PaymentKnownFailureTests {
    /// Balance and state after Stripe was read at each of these moments.
    private func history(_ moments: [PaymentSnapshot]) -> (balance: Int64, posted: PaymentPosted) {
        var posted = PaymentPosted.nothing
        var balance: Int64 = 0
        for moment in moments {
            balance += PaymentDecision(.starter(), moment, posted: posted).lines.reduce(0, +)
            posted = posted.following(moment)
        }
        return (balance, posted)
    }

    /// 56: pollinations#10621, opencode#28402, llmgateway#1713: three events of one payment credit three times.
    @Test func threeEventsOfOnePaymentGrantOnce() {
        let (balance, _) = self.history([.paid(fee: nil), .paid(), .paid()])
        #expect(balance == 9_990_000)
    }

    /// 57: lunora#627: the session is complete, the bank debit is not.
    @Test func aCompleteSessionIsNotAPaidOne() {
        let early = self.history([.unpaid(.processing)])
        #expect(early.balance == 0 && !early.posted.isGranted)
        #expect(self.history([.unpaid(.processing), .paid()]).balance == 9_990_000)
        #expect(self.history([.unpaid(.processing), .unpaid(.requiresPaymentMethod)]).balance == 0)
    }

    /// 58: new-api `topup_stripe.go`, elizaOS#10920: refunds and disputes are never posted.
    @Test func moneyThatGoesBackTakesItsCredits() {
        #expect(self.history([.paid(), .paid().refunding(999)]).balance == 0)
        #expect(self.history([.paid(), .paid().disputing(999, .lost)]).balance == 0)
    }

    /// elizaOS#10997: claw-back when the dispute opens, and no reinstatement.
    @Test func aDisputeThatIsWonCostsNoCredits() {
        let open = PaymentSnapshot.paid().disputing(999, .needsResponse)
        let (during, posted) = self.history([.paid(), open])
        #expect(during == 9_990_000 && posted.state.frozen.value == 9_990_000)
        let (after, won) = self.history([.paid(), open, .paid().disputing(999, .won)])
        #expect(after == 9_990_000 && won.state.frozen == .zero)
    }

    /// elizaOS#11155: a reinstatement is not netted, so a later refund takes too little.
    @Test func aRefundAfterADisputeThatWasWonTakesAllOfIt() {
        let won = PaymentSnapshot.paid().disputing(999, .won)
        #expect(
            self.history([.paid(), .paid().disputing(999, .underReview), won, won.refunding(999)]).balance
                == 0)
        // Also when the dispute had been lost before a bank changed its mind.
        #expect(self.history([.paid(), .paid().disputing(999, .lost), won, won.refunding(999)]).balance == 0)
    }

    /// Latere pay v0.3.1: the charge id was the key, so a second partial refund looked like a replay of the first.
    @Test func asManyPartialRefundsAsThereAreTakeTheirPart() {
        let first = PaymentSnapshot.paid().refunding(333)
        let (balance, posted) = self.history([
            .paid(), first, first.refunding(333), first.refunding(333).refunding(333),
        ])
        #expect(balance == 0 && posted.state.reversedCents == 999)
    }

    /// Helicone#4728: a refund may not be more than what is unspent. Here it is not asked what was spent: the lines are
    /// the same, and an account that used its credits is in debt until its next purchase.
    @Test func whatWasSpentIsClawedBackAllTheSame() {
        let used: Int64 = 9_000_000
        let (balance, _) = self.history([.paid(), .paid().refunding(999)])
        #expect(balance - used == -9_000_000)
    }

    /// Events in the wrong order: the refund is heard of before the payment.
    @Test func aPaymentFirstHeardOfWhenRefundedEndsAlike() {
        let late = PaymentSnapshot.paid().refunding(400)
        #expect(self.history([late]).balance == 5_990_000)
        #expect(self.history([late]).posted.state == self.history([.paid(), late]).posted.state)
    }
}
