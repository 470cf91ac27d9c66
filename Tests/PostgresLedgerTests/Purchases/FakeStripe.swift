import Billing
import Metering
import Synchronization
import Testing

@testable import PostgresLedger

/// Stripe as far as a payment can be read: what tests do to it is what it says from then on.
final class FakeStripe: PaymentReading {
    struct Gone: Error {}

    private struct State {
        var payments: [String: PaymentSnapshot] = [:]
        var sessions: [String: SessionSnapshot] = [:]
        var failures = 0
        var readings = 0
    }

    private let state = Mutex(State())
    /// Called in the first reading, on its thread, which may wait here.
    private let inFirstReading: (@Sendable () -> Void)?

    init(inFirstReading: (@Sendable () -> Void)? = nil) { self.inFirstReading = inFirstReading }

    var readings: Int { self.state.withLock { $0.readings } }

    func failNext(_ count: Int) { self.state.withLock { $0.failures = count } }

    func put(_ payment: PaymentSnapshot) {
        self.state.withLock { $0.payments[payment.paymentIntent] = payment }
    }

    func put(_ session: SessionSnapshot) { self.state.withLock { $0.sessions[session.id] = session } }

    func change(_ id: String, _ body: (inout PaymentSnapshot) -> Void) {
        self.state.withLock { state in
            guard var payment = state.payments[id] else { return }
            body(&payment)
            state.payments[id] = payment
        }
    }

    func payment(_ paymentIntent: String) throws -> PaymentSnapshot {
        let isFirst = self.state.withLock { state in
            state.readings += 1
            return state.readings == 1
        }
        if isFirst { self.inFirstReading?() }
        return try self.state.withLock { state in
            if state.failures > 0 {
                state.failures -= 1
                throw Gone()
            }
            guard let payment = state.payments[paymentIntent] else { throw Gone() }
            return payment
        }
    }

    func session(_ id: String) throws -> SessionSnapshot {
        try self.state.withLock { state in
            guard let session = state.sessions[id] else { throw Gone() }
            return session
        }
    }
}

extension Purchase {
    /// All that sessions and payments carried before they had a `PurchaseLabel`.
    var namesOfBefore: [String: String] {
        [Self.purchaseKey: self.id.description, Self.accountKey: String(self.account)]
    }
}

extension PaymentSnapshot {
    static func made(
        for purchase: Purchase, _ id: String, status: Status = .succeeded, cents: Int64? = nil
    ) -> PaymentSnapshot {
        let price = cents ?? purchase.priceUSDCents
        return PaymentSnapshot(
            paymentIntent: id, status: status, livemode: purchase.livemode, currency: "usd",
            amountCents: price,
            amountReceivedCents: status == .succeeded ? price : 0, metadata: purchase.namesOfBefore,
            customer: "cus_1",
            charge: status == .succeeded
                ? ChargeFacts(id: "ch_\(id)", receiptURL: "https://r/\(id)", feeCents: 59) : nil,
            refunds: [], disputes: [])
    }
}

extension TestDatabase {
    /// A purchase of the starter package, stored.
    func starter(_ account: AccountID, createdAt: Int64 = PostgresLedgerClock.now) async throws -> Purchase {
        let package = CreditPackage(
            code: "starter", version: 1, name: "Starter", priceUSDCents: 999, credits: 9990, bonusCredits: 0)
        let purchase = try Purchase(
            id: PurchaseID(PostgresLedgerClock.freshID()), account: account, kind: .checkout, of: package,
            customer: nil, livemode: false, createdAt: createdAt)
        let urls = try ReturnURLs(
            success: "https://shop.test/ok", cancel: "https://shop.test/no",
            allowed: [try #require(WebOrigin("https://shop.test"))])
        guard try await self.ledger.open(purchase, urls: urls, paymentMethod: nil) else { throw TooMany() }
        return purchase
    }

    func event(
        _ id: String, _ purchase: Purchase?, payment: String, source: StripeEventRecord.Source = .webhook
    )
        -> StripeEventRecord
    {
        StripeEventRecord(
            id: id, type: "payment_intent.succeeded", livemode: false, createdAt: 1_790_000_000,
            source: source,
            kind: .payment(PaymentHint(paymentIntent: payment, session: nil, purchase: purchase?.id)))
    }

    @discardableResult
    func settle(_ event: StripeEventRecord, _ stripe: FakeStripe) async throws -> PaymentOutcome {
        guard case .payment(let hint) = event.kind else {
            preconditionFailure("the event is about a payment")
        }
        return try await self.ledger.settle(hint, event: event, reader: stripe)
    }
}

struct TooMany: Error {}

enum PostgresLedgerClock {
    static var now: Int64 { PostgresLedger.wallMilliseconds() }
    static func freshID() -> HoldID { PostgresLedger.freshID() }
}
