import Billing
import StripeAPI

/// What a replay needs of Stripe and of the desk.
struct ReplayPorts: Sendable {
    /// Of the key.
    var isLive: Bool
    /// Seconds since 1970.
    var now: @Sendable () -> Int64
    var list:
        @Sendable (CreationWindow, _ types: [String], _ onlyUndelivered: Bool) async throws ->
            [StripeEventRecord]
    var event: @Sendable (_ id: String) async throws -> StripeEventRecord
    var apply: @Sendable (StripeEventRecord) async throws -> PaymentOutcome
    var reader: @Sendable () -> any PaymentReading
}

extension ReplayPorts {
    /// nil: no key is set.
    init?(_ desk: PaymentDesk) {
        guard let stripe = desk.stripe else { return nil }
        self.init(
            isLive: stripe.isLive, now: { desk.now() / 1000 },
            list: { window, types, onlyUndelivered in
                try await stripe.run(
                    ListEvents(created: window, types: types, onlyUndelivered: onlyUndelivered)
                ).map { StripeEventRecord($0, isLive: stripe.isLive, source: .replay) }
            },
            event: { id in
                StripeEventRecord(
                    try await stripe.run(RetrieveEvent(id)), isLive: stripe.isLive, source: .replay)
            },
            apply: { try await desk.apply($0, stripe) }, reader: { StripePaymentReader(stripe: stripe) })
    }
}
