import Billing

/// Everything Stripe says of one payment: the intent with its charge and fee, all refunds, all disputes.
/// Three calls or more, so not one moment; what changes between them is followed by an event of its own.
public struct ReadPayment: StripeOperation {
    public var paymentIntent: String

    private enum State: Sendable {
        case start
        case intent
        case refunds(PaymentIntent, PageReader<Refund>)
        case disputes(PaymentIntent, [Refund], PageReader<Dispute>)
    }

    private var state = State.start

    public init(_ paymentIntent: String) { self.paymentIntent = paymentIntent }

    /// - Throws: also `.unknownStatus` and `.foreignCurrency`: a dead letter for a person.
    public mutating func step(after reply: StripeReply?) throws(StripeFailure) -> OperationStep<
        PaymentSnapshot
    > {
        switch self.state {
        case .start:
            self.state = .intent
            return .ask(RetrievePaymentIntent(self.paymentIntent).request)
        case .intent:
            guard let reply else { throw StripeFailure(.unreadableReply) }
            let intent = try reply.decode(PaymentIntent.self)
            return try self.readRefunds(of: intent, self.pages(["refunds"]), after: nil)
        case .refunds(let intent, let pages):
            return try self.readRefunds(of: intent, pages, after: reply)
        case .disputes(let intent, let refunds, let pages):
            return try self.readDisputes(of: intent, refunds, pages, after: reply)
        }
    }

    private func pages<Item>(_ path: [String]) -> PageReader<Item> {
        PageReader(path, ["payment_intent": .text(self.paymentIntent)])
    }

    private mutating func readRefunds(
        of intent: PaymentIntent, _ pages: PageReader<Refund>, after reply: StripeReply?
    ) throws(StripeFailure) -> OperationStep<PaymentSnapshot> {
        var pages = pages
        switch try pages.step(after: reply) {
        case .ask(let request):
            self.state = .refunds(intent, pages)
            return .ask(request)
        case .done(let refunds):
            return try self.readDisputes(of: intent, refunds, self.pages(["disputes"]), after: nil)
        }
    }

    private mutating func readDisputes(
        of intent: PaymentIntent, _ refunds: [Refund], _ pages: PageReader<Dispute>, after reply: StripeReply?
    ) throws(StripeFailure) -> OperationStep<PaymentSnapshot> {
        var pages = pages
        switch try pages.step(after: reply) {
        case .ask(let request):
            self.state = .disputes(intent, refunds, pages)
            return .ask(request)
        case .done(let disputes):
            return .done(try PaymentSnapshot(intent, refunds: refunds, disputes: disputes))
        }
    }
}
