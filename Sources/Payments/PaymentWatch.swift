import Billing
import Logging
import Metering
import StripeAPI

/// What nobody tells us: events that Stripe could not deliver, pages whose answer was lost, payments that take days,
/// refunds whose outcome is unknown. At start and every five minutes, by one instance at a time.
public struct PaymentWatch: Sendable {
    /// Longer than a pass; a dead instance is replaced after it.
    private static let leaseSeconds: Int64 = 240
    private static let batch: Int64 = 200
    /// For purchases, and again for refunds: together less than the lease.
    private static let patience = Duration.seconds(60)
    /// Stripe keeps events for 30 days.
    private static let eventSecondsMax: Int64 = 29 * 86_400
    private static let firstLookSeconds: Int64 = 3 * 86_400
    /// An event is listed as undelivered while its first delivery is still under way.
    private static let overlapSeconds: Int64 = 3600

    private let desk: PaymentDesk
    private let chores: any PaymentChores
    private let holder: String
    private let interval: Duration
    private let logger: Logger

    /// - Parameter holder: name of this instance; unique among those that run.
    public init(
        desk: PaymentDesk, chores: any PaymentChores, holder: String, interval: Duration = .seconds(300),
        logger: Logger
    ) {
        self.desk = desk
        self.chores = chores
        self.holder = holder
        self.interval = interval
        self.logger = logger
    }

    /// Until it is cancelled.
    public func run() async {
        while !Task.isCancelled {
            await self.look()
            try? await Task.sleep(for: self.interval)
        }
    }

    /// One pass. What fails is tried again in the next one.
    func look() async {
        guard let stripe = self.desk.stripe else { return }
        let job = Self.job(isLive: stripe.isLive)
        do {
            guard
                let lease = try await self.chores.takeJob(
                    job, for: self.holder, seconds: Self.leaseSeconds)
            else { return }
            await self.attempt("events") { try await self.pollEvents(since: lease.progress, job, stripe) }
            await self.attempt("purchases") { try await self.finishPurchases(stripe) }
            await self.attempt("refunds") { try await self.finishRefunds(stripe) }
            await self.attempt("old events") { _ = try await self.chores.forgetEvents() }
            try await self.chores.endJob(job, by: self.holder)
        } catch {
            self.logger.warning("payments were not looked at", metadata: ["error": "\(error)"])
        }
    }

    /// What goes wrong in one place keeps nothing else from being looked at.
    private func attempt(_ what: String, _ body: () async throws -> Void) async {
        do {
            try await body()
        } catch {
            self.logger.warning(
                "payments were not looked at", metadata: ["what": "\(what)", "error": "\(error)"])
        }
    }

    /// Test and live payments never meet, not even in a lease.
    static func job(isLive: Bool) -> String { isLive ? "payments:live" : "payments:test" }

    // MARK: Events

    private func pollEvents(since progress: String?, _ job: String, _ stripe: StripeClient) async throws {
        let now = self.desk.now() / 1000
        let from = max(
            progress.flatMap { Int64($0) } ?? now - Self.firstLookSeconds, now - Self.eventSecondsMax)
        // All of them, not only those that Stripe could not deliver: what it delivered can be lost with a ledger that
        // was restored, and an endpoint that is gone has nothing undelivered.
        var events: [StripeEvent] = []
        for types in StripeEventKind.paymentTypesForListing {
            events += try await stripe.run(ListEvents(created: CreationWindow(from: from), types: types))
        }
        let settled = try await self.chores.settledEvents(among: events.map(\.id))
        var progress = now - Self.overlapSeconds
        for event in events.sorted(by: { $0.createdAt < $1.createdAt }) where !settled.contains(event.id) {
            try Task.checkCancellation()
            do {
                try await self.desk.apply(
                    StripeEventRecord(event, isLive: stripe.isLive, source: .poll), stripe)
            } catch {
                progress = min(progress, event.createdAt)
                self.logger.warning(
                    "an event was not applied", metadata: ["event": "\(event.id)", "error": "\(error)"])
            }
        }
        try await self.chores.noteProgress(of: job, by: self.holder, String(progress))
    }

    // MARK: Purchases

    private func finishPurchases(_ stripe: StripeClient) async throws {
        let end = ContinuousClock.now + Self.patience
        let all = try await self.chores.unfinishedPurchases(livemode: stripe.isLive, limit: Self.batch)
        for unfinished in all {
            try Task.checkCancellation()
            guard ContinuousClock.now < end else { return }
            do {
                try await self.finish(unfinished, stripe)
            } catch {
                self.logger.warning("a purchase was not looked at", metadata: ["error": "\(error)"])
                // The next time it comes behind those that were looked at longer ago.
                try await self.chores.wasLookedAt(unfinished.purchase.id)
            }
        }
    }

    private func finish(_ unfinished: UnfinishedPurchase, _ stripe: StripeClient) async throws {
        switch unfinished {
        case .unanswered(let purchase, let success, let cancel):
            // The addresses were allowed then; a site that is not ours any more gets nobody.
            let urls = try ReturnURLs(
                success: success, cancel: cancel, allowed: self.desk.settings.returnOrigins)
            _ = try await self.desk.makePage(of: purchase, urls, stripe)
        case .unread(let purchase):
            _ = try await self.desk.settle(
                PaymentHint(
                    paymentIntent: purchase.paymentIntent, session: purchase.session, purchase: purchase.id),
                event: nil, stripe)
        case .abandoned(let purchase):
            try await self.chores.sessionAnswered(nil, for: purchase.id)
        }
    }

    // MARK: Refunds

    private func finishRefunds(_ stripe: StripeClient) async throws {
        let end = ContinuousClock.now + Self.patience
        for refund in try await self.chores.askedRefunds(livemode: stripe.isLive, limit: Self.batch) {
            try Task.checkCancellation()
            guard ContinuousClock.now < end else { return }
            do {
                try await RefundDesk(desk: self.desk, chores: self.chores).finish(refund, stripe)
            } catch {
                self.logger.warning("a refund was not looked at", metadata: ["error": "\(error)"])
                try await self.chores.wasLookedAt(refund.request)
            }
        }
    }
}
