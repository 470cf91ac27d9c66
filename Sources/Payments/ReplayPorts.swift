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
    /// A day may have thousands of pages.
    private static let listingTime: Duration = .seconds(600)

    /// nil: no key is set.
    init?(_ desk: PaymentDesk) {
        guard let stripe = desk.stripe else { return nil }
        self.init(
            isLive: stripe.isLive, now: { desk.now() / 1000 },
            list: { window, types, onlyUndelivered in
                try await stripe.run(
                    ListEvents(created: window, types: types, onlyUndelivered: onlyUndelivered),
                    within: Self.listingTime
                ).map { StripeEventRecord($0, isLive: stripe.isLive, source: .replay) }
            },
            event: { id in
                StripeEventRecord(
                    try await stripe.run(RetrieveEvent(id)), isLive: stripe.isLive, source: .replay)
            },
            apply: { try await desk.apply($0, stripe) }, reader: { StripePaymentReader(stripe: stripe) })
    }

    /// A window that cannot be listed in its time is listed by halves.
    func all(
        _ window: CreationWindow, _ types: [String], _ onlyUndelivered: Bool, now: Int64
    ) async throws -> [StripeEventRecord] {
        do {
            return try await self.list(window, types, onlyUndelivered)
        } catch let failure as StripeFailure where failure.isOfTime {
            guard let (first, second) = window.halves(now: now) else { throw failure }
            return try await self.all(first, types, onlyUndelivered, now: now)
                + self.all(second, types, onlyUndelivered, now: now)
        }
    }
}

extension CreationWindow {
    /// nil: it is as small as it gets.
    fileprivate func halves(now: Int64) -> (CreationWindow, CreationWindow)? {
        let seconds = (self.to ?? now) - self.from
        guard seconds > EventPoll.windowSecondsMin else { return nil }
        let middle = self.from + seconds / 2
        return (CreationWindow(from: self.from, to: middle), CreationWindow(from: middle, to: self.to))
    }
}
