import Billing
import Logging
import Metering
import StripeAPI

/// Sells packages through Stripe and follows their payments. Decides nothing about money: that is `Billing`'s, in a
/// transaction that is the ledger's.
public struct PaymentDesk: Sendable {
    public struct Settings: Sendable {
        /// Several while rotating; any of them may have signed.
        public var signingSecrets: [StripeSigningSecret]
        /// Where a checkout may send people afterwards.
        public var returnOrigins: Set<WebOrigin>
        /// Whether credits are sold, and cards kept and charged for auto-recharge. Events are followed all the same.
        public var controls: any ControlSource

        public init(
            signingSecrets: [StripeSigningSecret], returnOrigins: Set<WebOrigin>,
            controls: any ControlSource
        ) {
            self.signingSecrets = signingSecrets
            self.returnOrigins = returnOrigins
            self.controls = controls
        }
    }

    private(set) var settings: Settings
    /// nil: no key of Stripe's is set.
    let stripe: StripeClient?
    let ledger: any PurchaseLedger
    /// On connections of its own: a settlement waits for Stripe with one in hand.
    let settling: any PurchaseLedger
    let offers: any BillingReading
    let counters: PaymentCounters
    let logger: Logger
    /// Milliseconds since 1970.
    let now: @Sendable () -> Int64

    public init(
        settings: Settings, stripe: StripeClient?, ledger: any PurchaseLedger, settling: any PurchaseLedger,
        offers: any BillingReading,
        counters: PaymentCounters, logger: Logger, now: @escaping @Sendable () -> Int64
    ) {
        self.settings = settings
        self.stripe = stripe
        self.ledger = ledger
        self.settling = settling
        self.offers = offers
        self.counters = counters
        self.logger = logger
        self.now = now
    }

    /// The same desk that believes these secrets from now on.
    public func verifying(with signingSecrets: [StripeSigningSecret]) -> PaymentDesk {
        var desk = self
        desk.settings.signingSecrets = signingSecrets
        return desk
    }

    /// Brings one payment to its target state, and counts what came of it.
    func settle(
        _ hint: PaymentHint, event: StripeEventRecord?, _ stripe: StripeClient
    ) async throws -> PaymentOutcome {
        let outcome: PaymentOutcome
        do {
            outcome = try await self.settling.settle(
                hint, event: event, reader: StripePaymentReader(stripe: stripe))
        } catch let failure as StripeFailure where failure.isAboutItsSubject {
            // Stripe says what this version does not understand, or nothing: trying again brings nothing new.
            guard let event else { throw failure }
            _ = try await self.ledger.keep(event, deadBecause: failure.label)
            self.counters.failed(failure.label)
            self.logger.error(
                "an event of Stripe needs a person",
                metadata: ["event": "\(event.id)", "reason": "\(failure.label)"])
            return .dead(reason: failure.label)
        }
        switch outcome {
        case .posted(let postings, let granted, let purchase):
            if granted { self.counters.purchased(purchase) }
            self.logger.info(
                "a payment was posted",
                metadata: ["purchase": "\(purchase.id)", "postings": "\(postings)", "granted": "\(granted)"])
        case .dead(let reason):
            self.counters.failed(reason)
            self.logger.error(
                "a payment needs a person",
                metadata: ["event": "\(event?.id ?? "none")", "reason": "\(reason)"])
        case .repeated, .ignored, .upToDate: break
        }
        return outcome
    }
}

extension StripeFailure {
    /// It says something of the payment that was asked for, and not of our key, our network or Stripe as a whole: those
    /// come right again, and an event must not be answered for them.
    var isAboutItsSubject: Bool {
        switch self.kind {
        case .unknownStatus, .foreignCurrency, .wrongLivemode: true
        case .notFound(let parameter): parameter == "intent" || parameter == "session"
        default: false
        }
    }
}

/// Reads through the client, on the thread that asks. All readings of one settlement end within `patience`.
struct StripePaymentReader: PaymentReading {
    private static let patience = Duration.seconds(25)

    private let stripe: StripeClient
    private let end = ContinuousClock.now + Self.patience

    init(stripe: StripeClient) { self.stripe = stripe }

    func payment(_ paymentIntent: String) throws -> PaymentSnapshot {
        try self.stripe.runAndWait(ReadPayment(paymentIntent), within: self.left)
    }

    func session(_ id: String) throws -> SessionSnapshot {
        let session = try self.stripe.runAndWait(RetrieveCheckoutSession(id), within: self.left)
        return try SessionSnapshot(session)
    }

    private var left: Duration { max(.zero, ContinuousClock.now.duration(to: self.end)) }
}

extension SessionSnapshot {
    init(_ session: CheckoutSession) throws(StripeFailure) {
        guard let status = session.status.flatMap({ Status(rawValue: $0.rawValue) }) else {
            throw StripeFailure(.unknownStatus(object: .checkoutSession, status: "unknown"))
        }
        self.init(
            id: session.id, status: status, url: session.url, paymentIntent: session.paymentIntent,
            clientReferenceID: session.clientReferenceID, metadata: session.metadata)
    }
}
