import Metering
import Testing

@testable import Billing

/// Target − posted.
@Suite struct PaymentDecisionTests {
    private func decide(
        _ snapshot: PaymentSnapshot, after posted: PaymentPosted = .nothing
    ) -> PaymentDecision {
        PaymentDecision(.starter(), snapshot, posted: posted)
    }

    @Test func aPaymentIsPostedMoneyFirst() {
        let postings = self.decide(.paid()).postings
        #expect(
            postings == [
                PaymentPosting(key: "stripe:payment:pi_1:1", effect: .cash(.received, cents: 999)),
                PaymentPosting(key: "stripe:payment:pi_1:2", effect: .cash(.fee, cents: 59)),
                PaymentPosting(
                    key: "stripe:payment:pi_1", effect: .grant(Millicredits(9_990_000), paidCents: 999)),
            ])
    }

    @Test func appliedTwiceTheSecondHasNothingToPost() {
        let snapshot = PaymentSnapshot.paid().refunding(100).disputing(400, .needsResponse)
        let posted = PaymentPosted.nothing.following(snapshot)
        #expect(posted.isGranted)
        #expect(self.decide(snapshot, after: posted) == .upToDate)
    }

    @Test func aPaymentOnItsWayPostsNothing() {
        #expect(self.decide(.unpaid(.processing)) == .upToDate)
    }

    /// However the world answers later: what was paid stays granted until money goes back.
    @Test(arguments: [PaymentSnapshot.Status.processing, .requiresPaymentMethod, .canceled])
    func aPaymentThatOnceSucceededStaysGranted(_ status: PaymentSnapshot.Status) {
        let posted = PaymentPosted.nothing.following(.paid())
        #expect(self.decide(.unpaid(status), after: posted) == .grantStands)
    }

    @Test func aGrantIsNotMeasuredAgainstAnotherAmountLater() {
        let posted = PaymentPosted.nothing.following(.paid())
        #expect(self.decide(.paid(1000), after: posted) == .doubt(.amountChanged))
    }

    @Test func aDoubtPostsNothing() {
        var snapshot = PaymentSnapshot.paid()
        snapshot.currency = "eur"
        #expect(self.decide(snapshot) == .doubt(.wrongCurrency))
    }

    @Test func eachPartialRefundPostsOnlyTheDifference() {
        var posted = PaymentPosted.nothing.following(.paid())
        var snapshot = PaymentSnapshot.paid()
        var keys: Set<String> = []
        for cents in [100, 100, 799] as [Int64] {
            snapshot = snapshot.refunding(cents)
            let decision = self.decide(snapshot, after: posted)
            #expect(decision.lines == [-cents * 10_000])
            #expect(decision.effects.first == .cash(.refunded, cents: cents))
            #expect(keys.isDisjoint(with: decision.postings.map(\.key)))
            keys.formUnion(decision.postings.map(\.key))
            posted = posted.following(snapshot)
        }
        #expect(posted.state.clawed == posted.state.granted)
    }

    @Test func aClawBackCarriesTheTotalsOfItsLot() {
        let posted = PaymentPosted.nothing.following(.paid().refunding(100))
        let decision = self.decide(.paid().refunding(100).refunding(50), after: posted)
        let reversal = PaymentPosting.Reversal(
            cause: .refund, amount: Millicredits(-500_000), lot: "stripe:payment:pi_1",
            clawed: Millicredits(1_500_000), reversedCents: 150)
        #expect(decision.effects.last == .reversal(reversal))
    }

    @Test func aRefundThatFailsLaterGivesTheCreditsBack() {
        let posted = PaymentPosted.nothing.following(.paid().refunding(999, .pending))
        let decision = self.decide(.paid().refunding(999, .failed), after: posted)
        #expect(decision.lines == [9_990_000])
        #expect(decision.effects.first == .cash(.refundReturned, cents: 999))
    }

    @Test func aDisputeFreezesThenTakesWhenItIsLost() {
        let paid = PaymentPosted.nothing.following(.paid())
        let open = self.decide(.paid().disputing(999, .needsResponse), after: paid)
        #expect(
            open.effects == [
                .cash(.disputeWithdrawn, cents: 999), .cash(.disputeFee, cents: 1500),
                .gate(frozen: Millicredits(9_990_000), disputes: ["du_0": .open]),
            ])
        let posted = paid.following(.paid().disputing(999, .needsResponse))
        let lost = self.decide(.paid().disputing(999, .lost), after: posted)
        #expect(lost.lines == [-9_990_000])
        #expect(lost.effects.first == .cash(.disputeLost, cents: 999))
        #expect(lost.effects.last == .gate(frozen: .zero, disputes: ["du_0": .lost]))
    }

    @Test func aDisputeThatIsWonOpensTheAccountAndMovesNoCredits() {
        let posted = PaymentPosted.nothing.following(.paid().disputing(999, .underReview))
        let won = self.decide(.paid().disputing(999, .won), after: posted)
        #expect(
            won.effects == [
                .cash(.disputeReturned, cents: 999), .gate(frozen: .zero, disputes: [:]),
            ])
    }

    /// Everything was clawed back already, so nothing is left to freeze; the account is suspended all the same.
    @Test func aDisputeOfARefundedPaymentSuspends() {
        let posted = PaymentPosted.nothing.following(.paid().refunding(999))
        let decision = self.decide(.paid().refunding(999).disputing(999, .needsResponse), after: posted)
        #expect(decision.effects.last == .gate(frozen: .zero, disputes: ["du_0": .open]))
    }

    /// The payment is disputed as before, and nothing more is frozen: still the account must hear of it, since a person
    /// may have lifted the first one.
    @Test func aSecondDisputeIsToldToTheAccount() {
        let posted = PaymentPosted.nothing.following(.paid().disputing(999, .lost))
        let before = posted.following(.paid().disputing(999, .lost).disputing(999, .underReview))
        let again = PaymentSnapshot.paid().disputing(999, .lost).disputing(999, .lost)
        let decision = self.decide(again, after: before)
        #expect(decision.effects.last == .gate(frozen: .zero, disputes: ["du_0": .lost, "du_1": .lost]))
        let open = PaymentPosted.nothing.following(.paid().disputing(999, .underReview))
        let second = self.decide(
            .paid().disputing(999, .underReview).disputing(999, .needsResponse, fee: 0), after: open)
        #expect(
            second.effects.last
                == .gate(frozen: Millicredits(9_990_000), disputes: ["du_0": .open, "du_1": .open]))
    }

    /// A bank that overturns its own decision.
    @Test func aLossThatIsOverturnedIsGivenBack() {
        let posted = PaymentPosted.nothing.following(.paid().disputing(999, .lost))
        let decision = self.decide(.paid().disputing(999, .won), after: posted)
        #expect(decision.lines == [9_990_000])
        #expect(
            decision.effects.prefix(2) == [
                .cash(.disputeReturned, cents: 999), .cash(.disputeLossReturned, cents: 999),
            ])
        #expect(decision.effects.last == .gate(frozen: .zero, disputes: [:]))
    }

    /// The refund takes over part of what the dispute had taken: in between, too, the lot never loses more than it had.
    @Test func whatMovesFromADisputeToARefundIsGivenBackFirst() {
        let posted = PaymentPosted.nothing.following(.paid().disputing(999, .lost))
        let decision = self.decide(.paid().disputing(999, .lost).refunding(500), after: posted)
        #expect(decision.lines == [5_000_000, -5_000_000])
        let clawed = decision.effects.compactMap { effect -> Int64? in
            if case .reversal(let reversal) = effect { reversal.clawed.value } else { nil }
        }
        #expect(clawed == [4_990_000, 9_990_000])
        #expect(decision.effects.contains(.cash(.lostBeyondPaid, cents: 500)))
    }

    @Test func theFeeIsPostedWhenStripeKnowsItAndNotTakenBackWhenItIsSilent() {
        let posted = PaymentPosted.nothing.following(.paid(fee: nil))
        #expect(self.decide(.paid(fee: 59), after: posted).effects == [.cash(.fee, cents: 59)])
        let known = posted.following(.paid(fee: 59))
        #expect(self.decide(.paid(fee: nil), after: known) == .upToDate)
        #expect(self.decide(.paid(fee: 40), after: known).effects == [.cash(.feeReturned, cents: 19)])
        // Told nothing in between, it is still what it was.
        let refunded = known.following(.paid(fee: nil).refunding(1))
        #expect(self.decide(.paid(fee: 59).refunding(1), after: refunded) == .upToDate)
    }
}
