import Billing
import Logging
import Metering
import StripeAPI

/// Charges saved cards when `Recharge` says so. Carries decisions out; grants nothing: that is `settle`'s, as of any
/// payment.
public struct Recharger: Sendable {
    private static let batch: Int64 = 100

    let desk: PaymentDesk
    let ledger: any RechargeLedger
    /// How far the ledger had come: one that is older decides nothing.
    private let heard: @Sendable () -> LedgerPosition?
    /// `BILLING_AUTO_RECHARGE_MAX_USD_PER_DAY`, per account.
    let dailyMaxCents: Int64
    private let interval: Duration
    private let logger: Logger

    public init(
        desk: PaymentDesk, ledger: any RechargeLedger,
        heard: @escaping @Sendable () -> LedgerPosition?, dailyMaxCents: Int64,
        interval: Duration = .seconds(3), logger: Logger
    ) {
        self.desk = desk
        self.ledger = ledger
        self.heard = heard
        self.dailyMaxCents = dailyMaxCents
        self.interval = interval
        self.logger = logger
    }

    /// `BILLING_AUTO_RECHARGE`.
    var isEnabled: Bool { self.desk.settings.controls.current.autoRecharge }

    /// Until it is cancelled. Every instance looks: the row of an account is decided by one of them at a time.
    public func run() async {
        while !Task.isCancelled {
            await self.look()
            try? await Task.sleep(for: self.interval)
        }
    }

    /// One pass. What fails is tried again in the next one, or when the machine says so; the others do not wait for it.
    func look() async {
        guard self.isEnabled, let stripe = self.desk.stripe else { return }
        do {
            for account in try await self.ledger.rechargesDue(now: self.desk.now(), limit: Self.batch) {
                try await self.look(at: account, stripe)
            }
        } catch is CancellationError {
        } catch {
            self.logger.warning("recharges were not looked at", metadata: ["error": "\(error)"])
        }
    }

    /// - Throws: `CancellationError` alone.
    private func look(at account: AccountID, _ stripe: StripeClient) async throws {
        try Task.checkCancellation()
        do {
            let order = try await self.ledger.decideRecharge(of: account, self.context(stripe))
            if let order { await self.carryOut(order, stripe) }
        } catch let error as CancellationError {
            throw error
        } catch {
            self.logger.warning(
                "a recharge was not decided", metadata: ["account": "\(account)", "error": "\(error)"])
        }
    }

    private func context(_ stripe: StripeClient) -> RechargeContext {
        RechargeContext(
            now: self.desk.now(), livemode: stripe.isLive, dailyMaxCents: self.dailyMaxCents,
            heard: self.heard())
    }

    /// Whatever is thrown here leaves the attempt as it is stored: it is asked for again under the same key.
    private func carryOut(_ order: RechargeOrder, _ stripe: StripeClient) async {
        do {
            guard let opened = try await self.open(order, stripe) else { return }
            try await self.charge(order, opened, stripe)
        } catch {
            self.logger.warning(
                "a recharge goes on later",
                metadata: ["account": "\(order.account)", "error": "\(Self.word(error))"])
        }
    }

    // MARK: The purchase

    /// nil: the attempt is over before anything was asked for.
    private func open(_ order: RechargeOrder, _ stripe: StripeClient) async throws -> OpenedRecharge? {
        if let opened = order.opened { return opened }
        // The kill switch stops what is not begun; what Stripe may have heard of goes on above.
        guard self.desk.settings.controls.current.purchases else {
            return try await self.end(order, .refused)
        }
        let package = try await self.desk.offers.packages().first { $0.code == order.packageCode }
        // It counts against the day with the price that was decided on.
        guard let package, package.priceUSDCents == order.attempt.cents else {
            return try await self.end(order, .notWanted)
        }
        guard let customer = try await self.ledger.customer(of: order.account, livemode: stripe.isLive)
        else { return try await self.end(order, .noPaymentMethod) }
        guard let method = try await self.newestMethod(of: customer, stripe) else {
            return try await self.end(order, .noPaymentMethod)
        }
        let purchase = try Purchase(
            id: PurchaseID(PaymentDesk.freshID(at: self.desk.now())), account: order.account, kind: .recharge,
            of: package, customer: customer, livemode: stripe.isLive, createdAt: self.desk.now())
        let opened = try await self.ledger.openRecharge(
            purchase, of: order, paymentMethod: method, self.context(stripe))
        if opened == nil { self.note(order, .notWanted) }
        return opened
    }

    private func end(_ order: RechargeOrder, _ failure: RechargeFailure) async throws -> OpenedRecharge? {
        try await self.failed(order, nil, failure)
        return nil
    }

    /// nil: there is none, or no such customer any more.
    private func newestMethod(of customer: String, _ stripe: StripeClient) async throws -> String? {
        do throws(StripeFailure) {
            return try await stripe.run(ListPaymentMethods(ofCustomer: customer)).first?.id
        } catch {
            guard case .notFound = error.kind else { throw error }
            return nil
        }
    }

    // MARK: The charge

    private func charge(
        _ order: RechargeOrder, _ opened: OpenedRecharge, _ stripe: StripeClient
    ) async throws {
        let label = try await self.ledger.label(of: opened.purchase.id)
        guard let offer = RechargeOffer(opened.purchase, label: label, paymentMethod: opened.paymentMethod)
        else {
            return try await self.failed(order, opened.purchase.id, .noPaymentMethod)
        }
        let payment: String
        do throws(StripeFailure) {
            payment = try await stripe.run(CreateOffSessionPayment(offer)).id
        } catch {
            switch RechargeAnswer(error) {
            // It is read, and says itself why it failed: its event may be here before this answer.
            case .read(let failed): payment = failed
            case .failed(let failure):
                return try await self.failed(order, opened.purchase.id, failure, error.label)
            }
        }
        self.desk.counters.recharged("charged")
        _ = try await self.desk.settle(
            PaymentHint(paymentIntent: payment, session: nil, purchase: opened.purchase.id), event: nil,
            stripe)
    }

    private func failed(
        _ order: RechargeOrder, _ purchase: PurchaseID?, _ failure: RechargeFailure, _ why: String = "none"
    ) async throws {
        self.note(order, failure, why)
        try await self.ledger.rechargeFailed(order, purchase: purchase, failure, now: self.desk.now())
    }

    private func note(_ order: RechargeOrder, _ failure: RechargeFailure, _ why: String = "none") {
        self.desk.counters.recharged(failure.rawValue)
        self.logger.notice(
            "a recharge brought nothing",
            metadata: [
                "account": "\(order.account)", "attempt": "\(order.attempt.number)",
                "failure": "\(failure.rawValue)", "stripe": "\(why)",
            ])
    }

    private static func word(_ error: any Error) -> String {
        (error as? StripeFailure)?.label ?? "\(type(of: error))"
    }
}

extension CreateOffSessionPayment {
    init(_ offer: RechargeOffer) {
        self.init(
            amountCents: offer.amountCents, currency: offer.currency, customer: offer.customer,
            paymentMethod: offer.paymentMethod, description: offer.description, metadata: offer.metadata,
            idempotencyKey: offer.idempotencyKey)
    }
}
