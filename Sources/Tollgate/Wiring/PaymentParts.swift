import Billing
import Logging
import Metering
import Payments
import PostgresLedger
import StripeAPI

/// Everything between Stripe and the ledger.
final class PaymentParts: Sendable {
    let desk: PaymentDesk
    let refunds: RefundDesk
    let recharges: Recharger
    let replay: PaymentReplay
    /// For the audit log.
    let ledger: PostgresLedger
    let counters = PaymentCounters()
    /// nil: no key is set.
    let stripe: StripeClient?
    private let watch: PaymentWatch
    private let http: OutboundHTTP
    private let pool: PostgresPool
    private let deskPool: PostgresPool

    /// - Parameters:
    ///   - offers: reads packages.
    ///   - controls: kill switches of purchases and recharges.
    ///   - heard: see `Recharger`.
    ///   - holder: name of this instance among those that run.
    init(
        _ settings: StripeSettings, database: PostgresConfiguration, origins: [String],
        offers: PostgresLedger, controls: any ControlSource, heard: @escaping @Sendable () -> LedgerPosition?,
        holder: String, logger: Logger
    ) {
        var outbound = OutboundHTTP.Configuration()
        outbound.authoritiesFile = settings.authoritiesFile
        let http = OutboundHTTP(outbound)
        self.http = http
        // A settlement waits for Stripe with its connection in hand: nothing short waits behind it.
        var limits = PostgresPool.Limits()
        limits.waitMax = .seconds(20)
        self.pool = PostgresPool(database, size: 4, limits: limits, logger: logger)
        self.deskPool = PostgresPool(database, size: 2, logger: logger)
        let ledger = PostgresLedger(pool: self.deskPool, logger: logger)
        self.ledger = ledger
        let stripe = settings.key.map {
            StripeClient(
                http: http, base: settings.base, key: $0, userAgent: "Tollgate/\(Version.text)",
                logger: logger)
        }
        self.stripe = stripe
        self.desk = PaymentDesk(
            settings: .init(
                signingSecrets: settings.signingSecrets,
                returnOrigins: Set(origins.compactMap { WebOrigin(Self.origin($0)) }),
                controls: controls),
            stripe: stripe, ledger: ledger, settling: PostgresLedger(pool: self.pool, logger: logger),
            offers: offers, counters: self.counters, logger: logger,
            now: { Clock.wallMilliseconds() })
        self.refunds = RefundDesk(desk: self.desk, chores: ledger)
        self.recharges = Recharger(
            desk: self.desk, ledger: ledger, heard: heard,
            dailyMaxCents: settings.rechargeDailyMaxCents, logger: logger)
        self.replay = PaymentReplay(desk: self.desk, records: ledger)
        self.watch = PaymentWatch(desk: self.desk, chores: ledger, holder: holder, logger: logger)
    }

    /// Of `PUBLIC_URL`, which may have a path.
    private static func origin(_ url: String) -> String {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        return parts.prefix(3).joined(separator: "/")
    }

    /// Until it is cancelled.
    func run() async {
        async let watching: Void = self.watch.run()
        await self.recharges.run()
        await watching
    }

    /// What is connected may not be the primary any more.
    func reconnect() {
        self.pool.reconnect()
        self.deskPool.reconnect()
    }

    func shutdown() {
        self.http.shutDown()
        self.pool.shutDownAndWait()
        self.deskPool.shutDownAndWait()
    }
}
