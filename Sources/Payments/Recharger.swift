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
    /// `BILLING_AUTO_RECHARGE`.
    public let isEnabled: Bool
    private let interval: Duration
    private let logger: Logger

    public init(
        desk: PaymentDesk, ledger: any RechargeLedger, isEnabled: Bool, interval: Duration = .seconds(3),
        logger: Logger
    ) {
        self.desk = desk
        self.ledger = ledger
        self.isEnabled = isEnabled
        self.interval = interval
        self.logger = logger
    }

    /// Until it is cancelled. Every instance looks: the row of an account is decided by one of them at a time.
    public func run() async {
        while !Task.isCancelled {
            await self.look()
            try? await Task.sleep(for: self.interval)
        }
    }

    /// One pass. What fails is tried again in the next one, or when the machine says so.
    func look() async {
        guard self.isEnabled, let stripe = self.desk.stripe else { return }
        do {
            for account in try await self.ledger.rechargesDue(now: self.desk.now(), limit: Self.batch) {
                try Task.checkCancellation()
                guard let order = try await self.ledger.decideRecharge(of: account, now: self.desk.now())
                else { continue }
                await self.carryOut(order, stripe)
            }
        } catch is CancellationError {
        } catch {
            self.logger.warning("recharges were not looked at", metadata: ["error": "\(error)"])
        }
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
        guard self.desk.settings.purchasesEnabled else { return try await self.end(order, .refused) }
        guard let customer = try await self.ledger.customer(of: order.account, livemode: stripe.isLive)
        else { return try await self.end(order, .noPaymentMethod) }
        guard let method = try await self.newestMethod(of: customer, stripe) else {
            return try await self.end(order, .noPaymentMethod)
        }
        let package = try await self.desk.offers.packages().first { $0.code == order.packageCode }
        // It counts against the day with the price that was decided on.
        guard let package, package.priceUSDCents == order.attempt.cents else {
            return try await self.end(order, .refused)
        }
        let purchase = try Purchase(
            id: PurchaseID(PaymentDesk.freshID(at: self.desk.now())), account: order.account, kind: .recharge,
            of: package, customer: customer, livemode: stripe.isLive, createdAt: self.desk.now())
        return try await self.ledger.openRecharge(purchase, key: order.key, paymentMethod: method)
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
        guard let offer = RechargeOffer(opened.purchase, paymentMethod: opened.paymentMethod) else {
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
        self.desk.counters.recharged(failure.rawValue)
        self.logger.notice(
            "a recharge brought nothing",
            metadata: [
                "account": "\(order.account)", "attempt": "\(order.attempt.number)",
                "failure": "\(failure.rawValue)", "stripe": "\(why)",
            ])
        try await self.ledger.rechargeFailed(order, purchase: purchase, failure, now: self.desk.now())
    }

    private static func word(_ error: any Error) -> String {
        (error as? StripeFailure)?.label ?? "\(type(of: error))"
    }
}

/// What an off-session charge that did not succeed means.
enum RechargeAnswer: Equatable {
    /// There is a payment intent, and it tells why.
    case read(String)
    case failed(RechargeFailure)

    init(_ error: StripeFailure) {
        switch error.kind {
        case .cardDeclined(_, _, let payment?), .authenticationRequired(let payment?):
            self = .read(payment)
        case .cardDeclined: self = .failed(.declined)
        case .authenticationRequired: self = .failed(.authenticationRequired)
        // Stripe's refusal of these parameters is the outcome of whatever was asked under this key.
        case .invalidRequest(_, let parameter?), .notFound(let parameter?):
            let isCard = parameter == "payment_method" || parameter == "customer"
            self = .failed(isCard ? .noPaymentMethod : .refused)
        case .invalidRequest, .notFound, .malformedRequest: self = .failed(.refused)
        // An earlier request under this key may have been carried out though this one was turned away: another attempt
        // could charge a second time, so it stays the same one.
        case .idempotencyMismatch, .locked, .unauthorised, .rateLimited, .apiError, .unreachable, .outOfTime,
            .wrongLivemode, .unreadableReply, .unknownStatus, .foreignCurrency:
            self = .failed(.outcomeUnknown)
        }
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
