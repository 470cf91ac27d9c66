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
            try await self.pollEvents(since: lease.progress, job, stripe)
            try await self.finishPurchases(stripe)
            try await self.finishRefunds(stripe)
            _ = try await self.chores.forgetEvents()
        } catch {
            self.logger.warning("payments were not looked at", metadata: ["error": "\(error)"])
        }
        try? await self.chores.endJob(job, by: self.holder)
    }

    /// Test and live payments never meet, not even in a lease.
    static func job(isLive: Bool) -> String { isLive ? "payments:live" : "payments:test" }

    // MARK: Events

    private func pollEvents(since progress: String?, _ job: String, _ stripe: StripeClient) async throws {
        let now = self.desk.now() / 1000
        let from = max(
            progress.flatMap { Int64($0) } ?? now - Self.firstLookSeconds, now - Self.eventSecondsMax)
        var events: [StripeEvent] = []
        for types in StripeEventKind.paymentTypesForListing {
            events += try await stripe.run(
                ListEvents(created: CreationWindow(from: from), types: types, onlyUndelivered: true))
        }
        for event in events.sorted(by: { $0.createdAt < $1.createdAt }) {
            try Task.checkCancellation()
            try await self.desk.apply(
                StripeEventRecord(event, isLive: stripe.isLive, source: .poll), stripe)
        }
        try await self.chores.noteProgress(of: job, by: self.holder, String(now - Self.overlapSeconds))
    }

    // MARK: Purchases

    private func finishPurchases(_ stripe: StripeClient) async throws {
        for unfinished in try await self.chores.unfinishedPurchases(
            livemode: stripe.isLive, limit: Self.batch)
        {
            try Task.checkCancellation()
            do {
                try await self.finish(unfinished, stripe)
            } catch {
                self.logger.warning("a purchase was not looked at", metadata: ["error": "\(error)"])
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
        for refund in try await self.chores.askedRefunds(livemode: stripe.isLive, limit: Self.batch) {
            try Task.checkCancellation()
            do {
                try await self.finish(refund, stripe)
            } catch {
                self.logger.warning("a refund was not looked at", metadata: ["error": "\(error)"])
            }
        }
    }

    /// It is looked for before it is asked for again: what Stripe made carries the name of the request.
    private func finish(_ refund: AskedRefund, _ stripe: StripeClient) async throws {
        _ = try await self.desk.settle(
            PaymentHint(paymentIntent: refund.paymentIntent, session: nil, purchase: refund.purchase),
            event: nil,
            stripe)
        guard try await self.chores.isAsked(refund.request) else { return }
        if refund.isTooOld {
            try await self.chores.refundAnswered(refund.request, refund: nil, refusal: "never_answered")
        } else {
            _ = try await RefundDesk(desk: self.desk, chores: self.chores).send(refund, stripe)
        }
    }
}
