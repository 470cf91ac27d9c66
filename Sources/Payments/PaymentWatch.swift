import Billing
import Logging
import Metering
import StripeAPI

/// What nobody tells us: events that Stripe could not deliver, pages whose answer was lost, payments that take days,
/// refunds whose outcome is unknown. At start and every five minutes, by one instance at a time.
public struct PaymentWatch: Sendable {
    private static let batch: Int64 = 200
    /// For purchases, and again for refunds: events come first again after it.
    private static let patience = Duration.seconds(60)

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
        do {
            guard
                let hold = try await JobHold(
                    Self.job(isLive: stripe.isLive), by: self.holder, self.chores)
            else { return }
            var events = self.events(stripe)
            try await self.attempt("events") { try await events.look(hold) }
            try await self.attempt("events that failed") { try await events.tryAgain(hold) }
            try await self.attempt("purchases") { try await self.finishPurchases(hold, stripe) }
            try await self.attempt("refunds") { try await self.finishRefunds(hold, stripe) }
            try await self.attempt("old events") { _ = try await self.chores.forgetEvents() }
            try await hold.end()
        } catch {
            self.logger.warning("payments were not looked at", metadata: ["error": "\(error)"])
        }
    }

    /// What goes wrong in one place keeps nothing else from being looked at, unless another instance is at it by now.
    private func attempt(_ what: String, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let lost as JobHold.Lost {
            throw lost
        } catch {
            self.logger.warning(
                "payments were not looked at", metadata: ["what": "\(what)", "error": "\(error)"])
        }
    }

    /// Test and live payments never meet, not even in a lease.
    static func job(isLive: Bool) -> String { isLive ? "payments:live" : "payments:test" }

    // MARK: Events

    private func events(_ stripe: StripeClient) -> EventWatch {
        EventWatch(
            chores: self.chores, isLive: stripe.isLive,
            list: { window, types in
                try await stripe.run(ListEvents(created: window, types: types), within: JobHold.stepMax).map {
                    StripeEventRecord($0, isLive: stripe.isLive, source: .poll)
                }
            },
            apply: { _ = try await self.desk.apply($0, stripe) },
            keep: { event, reason, error in
                self.logger.warning(
                    "an event was not applied", metadata: ["event": "\(event.id)", "error": "\(error)"])
                guard try await self.chores.keep(event, deadBecause: reason) else { return }
                self.desk.counters.failed(reason)
            },
            now: { self.desk.now() / 1000 })
    }

    // MARK: Purchases

    private func finishPurchases(_ hold: JobHold, _ stripe: StripeClient) async throws {
        let end = ContinuousClock.now + Self.patience
        let all = try await self.chores.unfinishedPurchases(livemode: stripe.isLive, limit: Self.batch)
        for unfinished in all {
            try Task.checkCancellation()
            guard ContinuousClock.now < end else { return }
            try await hold.prolong()
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

    private func finishRefunds(_ hold: JobHold, _ stripe: StripeClient) async throws {
        let end = ContinuousClock.now + Self.patience
        for refund in try await self.chores.askedRefunds(livemode: stripe.isLive, limit: Self.batch) {
            try Task.checkCancellation()
            guard ContinuousClock.now < end else { return }
            try await hold.prolong()
            do {
                try await RefundDesk(desk: self.desk, chores: self.chores).finish(refund, stripe)
            } catch {
                self.logger.warning("a refund was not looked at", metadata: ["error": "\(error)"])
                try await self.chores.wasLookedAt(refund.request)
            }
        }
    }
}
