import Billing
import Metering
import StripeAPI

/// Gives money back. The wish is stored under its key before Stripe is asked; the credits follow when the payment is
/// read again.
public struct RefundDesk: Refunding {
    private let desk: PaymentDesk
    private let chores: any PaymentChores

    public init(desk: PaymentDesk, chores: any PaymentChores) {
        self.desk = desk
        self.chores = chores
    }

    /// - Parameter note: who asked and why, for the record.
    public func refundCash(
        _ request: String, of purchase: PurchaseID, amount: RefundPlan.Amount, note: ChangeNote
    ) async throws(RefundFailure) -> MadeRefund {
        guard let stripe = self.desk.stripe else { throw .notConfigured }
        let stored: StoredRefund
        do {
            stored = try await self.chores.planRefund(
                request, of: purchase, amount: amount, note: note)
        } catch let refusal as RefundPlan.Refusal {
            throw .cash(refusal)
        } catch let failure as RefundStorage {
            switch failure {
            case .unknownPurchase: throw .unknownPurchase
            case .idempotencyConflict: throw .idempotencyConflict
            }
        } catch {
            throw .ledgerUnavailable
        }
        switch stored.answer {
        case .done(let refund): return MadeRefund(request: request, refund: refund, cents: stored.asked.cents)
        case .refused(let reason): throw .refusedByStripe(reason)
        case .failed: throw .failedLater
        case .asked where stored.isNew: return try await self.send(stored.asked, stripe)
        case .asked: return try await self.askAgain(stored.asked, stripe)
        }
    }

    private func askAgain(
        _ refund: AskedRefund, _ stripe: StripeClient
    ) async throws(RefundFailure) -> MadeRefund {
        let answer: StoredRefund.Answer
        do {
            try await self.finish(refund, stripe)
            answer = try await self.chores.answer(to: refund.request)
        } catch let failure as RefundFailure {
            throw failure
        } catch {
            throw .unknown
        }
        switch answer {
        case .done(let made): return MadeRefund(request: refund.request, refund: made, cents: refund.cents)
        case .refused(let reason): throw .refusedByStripe(reason)
        case .failed: throw .failedLater
        case .asked: throw .unknown
        }
    }

    /// Of a request whose answer was lost: what Stripe made carries its name, so it is looked for first; and it is asked
    /// for again only while Stripe remembers its key, else it could be made twice.
    func finish(_ refund: AskedRefund, _ stripe: StripeClient) async throws {
        _ = try await self.desk.settle(
            PaymentHint(paymentIntent: refund.paymentIntent, session: nil, purchase: refund.purchase),
            event: nil, stripe)
        guard try await self.chores.answer(to: refund.request) == .asked else { return }
        if refund.isTooOld {
            try await self.chores.refundAnswered(refund.request, refund: nil, refusal: "never_answered")
        } else {
            _ = try await self.send(refund, stripe)
        }
    }

    /// Asks Stripe, under the key of the request: asked again, it answers with the same refund.
    func send(_ refund: AskedRefund, _ stripe: StripeClient) async throws(RefundFailure) -> MadeRefund {
        let made: String
        do throws(StripeFailure) {
            made = try await stripe.run(
                CreateRefund(
                    paymentIntent: refund.paymentIntent, amountCents: refund.cents,
                    reason: .requestedByCustomer, metadata: refund.metadata,
                    idempotencyKey: refund.idempotencyKey)
            ).id
        } catch {
            guard !error.mayRetry, !error.mayHaveBeenApplied else { throw .unknown }
            try? await self.chores.refundAnswered(refund.request, refund: nil, refusal: error.label)
            throw .refusedByStripe(error.label)
        }
        do {
            try await self.chores.refundAnswered(refund.request, refund: made, refusal: nil)
            _ = try await self.desk.settle(
                PaymentHint(paymentIntent: refund.paymentIntent, session: nil, purchase: refund.purchase),
                event: nil, stripe)
        } catch {
            // Its events lead to the same, and so does the next look.
            self.desk.logger.warning("a refund was made and not yet posted", metadata: ["error": "\(error)"])
        }
        return MadeRefund(request: refund.request, refund: made, cents: refund.cents)
    }

    /// Credits back for usage that failed its user. No money moves.
    public func refundCredits(
        _ request: String, of purchase: PurchaseID, amount: CreditRefund.Amount, note: ChangeNote
    ) async throws(RefundFailure) -> Millicredits {
        do {
            return try await self.chores.refundCredits(
                request, of: purchase, amount: amount, note: note)
        } catch let refusal as CreditRefund.Refusal {
            throw .credit(refusal)
        } catch let failure as RefundStorage {
            switch failure {
            case .unknownPurchase: throw .unknownPurchase
            case .idempotencyConflict: throw .idempotencyConflict
            }
        } catch {
            throw .ledgerUnavailable
        }
    }
}
