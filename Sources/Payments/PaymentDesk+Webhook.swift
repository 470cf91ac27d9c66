import Billing
import StripeAPI

extension PaymentDesk: WebhookDesk {
    public func receive(_ body: [UInt8], signature: String?) async -> WebhookAnswer {
        guard let stripe = self.stripe, !self.settings.signingSecrets.isEmpty else {
            self.counters.answered(.notConfigured)
            return .notConfigured
        }
        let answer = await self.verify(body, signature, stripe)
        self.counters.answered(answer)
        switch answer {
        case .refused(let refusal): self.counters.failed(refusal.rawValue)
        case .tryAgain: self.counters.failed(PaymentCounters.tryAgain)
        case .accepted, .notConfigured: break
        }
        return answer
    }

    private func verify(_ body: [UInt8], _ signature: String?, _ stripe: StripeClient) async -> WebhookAnswer
    {
        guard let signature else { return .refused(.noSignature) }
        let verdict = body.withUnsafeBytes {
            StripeSignature.verify(
                header: signature, body: $0, secrets: self.settings.signingSecrets, now: self.now() / 1000)
        }
        switch verdict {
        case .malformedHeader: return .refused(.malformedSignature)
        case .noMatch: return .refused(.wrongSignature)
        case .valid: return await self.take(body, stripe)
        case .badlyTimed: return await self.fetch(body, stripe)
        }
    }

    private func take(_ body: [UInt8], _ stripe: StripeClient) async -> WebhookAnswer {
        do throws(StripeFailure) {
            return await self.follow(try StripeEvent.parse(body, isLive: stripe.isLive), stripe)
        } catch {
            guard error.kind == .wrongLivemode else { return .refused(.unreadable) }
            return await self.keepOfOtherMode(body, stripe)
        }
    }

    /// Signed, but long ago: a late delivery, a wrong clock, or somebody who repeats what they once saw. Only its id is
    /// taken from it.
    private func fetch(_ body: [UInt8], _ stripe: StripeClient) async -> WebhookAnswer {
        guard let delivered = try? StripeEvent.parse(body, isLive: stripe.isLive) else {
            return .refused(.badlyTimed)
        }
        do throws(StripeFailure) {
            return await self.follow(try await stripe.run(RetrieveEvent(delivered.id)), stripe)
        } catch {
            return error.mayRetry ? .tryAgain : .refused(.badlyTimed)
        }
    }

    /// Test money and live money never meet; a person must know that a secret is used in the wrong place.
    private func keepOfOtherMode(_ body: [UInt8], _ stripe: StripeClient) async -> WebhookAnswer {
        guard let event = try? StripeEvent.parse(body, isLive: !stripe.isLive) else {
            return .refused(.unreadable)
        }
        let reason = PaymentDoubt.wrongLivemode.rawValue
        do {
            _ = try await self.ledger.keep(
                StripeEventRecord(event, isLive: !stripe.isLive, source: .webhook), deadBecause: reason)
            self.counters.failed(reason)
            return .accepted
        } catch {
            return .tryAgain
        }
    }

    private func follow(_ event: StripeEvent, _ stripe: StripeClient) async -> WebhookAnswer {
        do {
            _ = try await self.apply(
                StripeEventRecord(event, isLive: stripe.isLive, source: .webhook), stripe)
            return .accepted
        } catch {
            self.logger.warning(
                "an event of Stripe was not applied and will come again",
                metadata: ["event": "\(event.id)", "error": "\(error)"])
            return .tryAgain
        }
    }

    /// - Throws: when it is not known to be committed.
    @discardableResult
    func apply(_ event: StripeEventRecord, _ stripe: StripeClient) async throws -> PaymentOutcome {
        self.counters.arrived(event.type)
        let outcome = try await self.outcome(of: event, stripe)
        // What needs a person was not applied; when it is at last, it is late by then.
        if outcome != .repeated, !outcome.isDead {
            self.counters.applied(secondsLate: self.now() / 1000 - event.createdAt)
        }
        return outcome
    }

    private func outcome(
        of event: StripeEventRecord, _ stripe: StripeClient
    ) async throws -> PaymentOutcome {
        switch event.kind {
        case .payment(let hint):
            return try await self.settle(hint, event: event, stripe)
        case .ignored:
            return try await self.ledger.keep(event, deadBecause: nil) ? .ignored : .repeated
        case .unusable(let defect):
            self.counters.failed(defect.rawValue)
            return try await self.ledger.keep(event, deadBecause: defect.rawValue)
                ? .dead(reason: defect.rawValue) : .repeated
        }
    }
}

extension StripeEventRecord {
    init(_ event: StripeEvent, isLive: Bool, source: Source) {
        let subject = event.subject
        let kind = StripeEventKind(type: event.type) { field in
            switch field {
            case .object: subject.object
            case .id: subject.id
            case .paymentIntent: subject.paymentIntent
            case .clientReferenceID: subject.clientReferenceID
            case .purchaseMetadata: subject.metadata[Purchase.purchaseKey]
            }
        }
        // Every payment of ours has a payment intent: what says that it has none is of another product.
        let isOfAnother = kind == .unusable(.namesNoPayment) && subject.isWithoutPaymentIntent
        self.init(
            id: event.id, type: event.type, livemode: event.livemode ?? isLive, createdAt: event.createdAt,
            source: source, kind: isOfAnother ? .ignored : kind,
            metadata: subject.carriesPaymentMetadata ? subject.metadata : nil)
    }
}
