import Billing
import Testing

@testable import Payments

/// What is known of an event once Stripe has forgotten it.
@Suite struct PaymentReplayTests {
    private func stored(_ outcome: EventOutcome, _ reason: String?, _ kind: StripeEventKind) -> StoredEvent {
        StoredEvent(
            record: StripeEventRecord(
                id: "evt_1", type: "charge.refunded", livemode: false, createdAt: 7, source: .webhook,
                kind: kind),
            outcome: outcome, reason: reason, attempts: 1, cursor: .init(receivedAt: 0, id: "evt_1"))
    }

    private static let hint = PaymentHint(paymentIntent: "pi_1", session: nil, purchase: nil)

    @Test func aStoredNameIsEnoughToReadThePaymentAgain() {
        let replayed = self.stored(.dead, "not_found", .payment(Self.hint)).replayed
        #expect(replayed.kind == .payment(Self.hint) && replayed.source == .replay)
    }

    /// Else a replay would call it ignored, and nobody would look at it any more.
    @Test func aDeadEventWithoutANameStaysDead() {
        #expect(self.stored(.dead, "malformed_id", .ignored).replayed.kind == .unusable(.malformedID))
        #expect(self.stored(.dead, "something", .ignored).replayed.kind == .unusable(.namesNoPayment))
        #expect(self.stored(.ignored, nil, .ignored).replayed.kind == .ignored)
    }

    @Test func whatNeedsAPersonIsOpen() {
        let record = self.stored(.dead, "x", .payment(Self.hint)).record
        let open: [ReplayedEvent.Result] = [
            .settled(.dead(reason: "x")), .rehearsed(Rehearsal(outcome: .dead(reason: "x"))),
            .unread("locked"),
        ]
        let closed: [ReplayedEvent.Result] = [
            .settled(.upToDate), .settled(.repeated), .settled(.ignored),
            .rehearsed(Rehearsal(outcome: .upToDate)),
        ]
        #expect(open.allSatisfy { ReplayedEvent(event: record, result: $0).isOpen })
        #expect(!closed.contains { ReplayedEvent(event: record, result: $0).isOpen })
    }
}
