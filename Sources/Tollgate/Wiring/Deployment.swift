import ControlPlane
import Hummingbird
import Logging
import Metering
import NIOCore
import NIOPosix
import PostgresLedger
import Proxy
import RateCards
import RedisHolds
import ServiceLifecycle
import Settlement

/// One running proxy: everything made once, started in order, stopped in reverse. `serve` and `dev` share it.
final class Deployment: Sendable {
    private let configuration: ServeConfiguration
    private let logger: Logger
    private let group: MultiThreadedEventLoopGroup
    private let settlementPool: PostgresPool
    private let readingPool: PostgresPool
    private let retryPool: PostgresPool
    private let directory: LedgerDirectory
    private let replies: KeptReplies
    private let controls: ControlParts
    private let anomalies: AnomalyWatch
    private let payments: PaymentParts
    private let statements: StatementParts
    private let portal: PortalParts
    private let finance: FinanceParts
    private let feed: ChangeFeed
    private let prices: PriceBook
    /// Codes of what is sold.
    private let packages: [String]
    private let settler: Settler
    private let holds: RedisHolds
    private let moneyPath: MoneyPathParts
    private let ledger: PostgresLedger
    private let heldReader: RedisAccountReader
    private let recentResponses: RedisStoredResponses
    private let proxy: ProxyServer
    private let control: ReloadableControlPlane
    private let controlMetrics = ControlMetrics()
    /// nil: nobody collects traces.
    private let spans: SpanExporter?
    private let accessLog: AccessLog
    private let clock = LedgerClock()
    private let encodings: EncodingTables
    private let boot: BootID
    private let rereadSecrets: @Sendable () throws -> RotatingSecrets
    /// Ends when the listener has ended: then the rest may.
    private let running: AsyncStream<Void>
    private let ran: AsyncStream<Void>.Continuation
    /// Ends when the proxy listens.
    private let starting: AsyncStream<Void>
    private let started: AsyncStream<Void>.Continuation

    /// Connects to the ledger and reads keys and prices; nothing listens yet.
    ///
    /// - Parameter rereadSecrets: for SIGHUP.
    /// - Throws: when the schema is not current, no rate card is in force, or the ledger cannot be reached.
    init(
        _ configuration: ServeConfiguration, logger: Logger,
        rereadSecrets: @escaping @Sendable () throws -> RotatingSecrets
    ) async throws {
        self.configuration = configuration
        self.logger = logger
        self.rereadSecrets = rereadSecrets
        (self.starting, self.started) = AsyncStream.makeStream()
        (self.running, self.ran) = AsyncStream.makeStream()
        self.accessLog = try AccessLog(configuration.accessLog)
        self.encodings = Encodings.open(configuration.tokenizerDirectory, logger)
        self.boot = Self.makeBootID()
        let url = try PostgresConfiguration(url: configuration.databaseURL.value)
        // The settler has connections of its own, so that no look-up queues in front of a settlement.
        self.settlementPool = PostgresPool(url, size: 1, logger: logger)
        self.readingPool = PostgresPool(url, size: 3, logger: logger)
        // Claims and owners are asked for before anything is held, so whoever asks much must not keep others from being
        // admitted.
        self.retryPool = PostgresPool(url, size: 2, logger: logger)
        try await Migrator().check(self.readingPool)
        self.ledger = PostgresLedger(pool: self.readingPool, logger: logger)
        _ = try await self.ledger.ensurePartitions()
        self.directory = LedgerDirectory(pool: self.readingPool, logger: logger)
        self.replies = KeptReplies(
            pool: self.retryPool, settings: configuration.idempotency.replies, logger: logger)
        let watch = await LedgerWatch(
            ledger: self.ledger, journals: configuration.moneyPath.journalDirectory, logger: logger)
        self.controls = try await ControlParts(configuration.controls, database: url, logger: logger)
        self.payments = PaymentParts(
            configuration.stripe, database: url,
            origins: [configuration.publicURL] + configuration.corsOrigins, offers: self.ledger,
            controls: self.controls.controls, heard: { watch.newest }, holder: "\(self.boot)", logger: logger)
        self.statements = StatementParts(configuration.statements, database: url, logger: logger)
        self.anomalies = AnomalyWatch(
            ledger: self.statements.slowLedger, controls: self.controls.controls, holder: "\(self.boot)",
            logger: logger)
        self.portal = PortalWiring.parts(
            configuration, standing: self.payments.desk, controls: self.controls.controls,
            ledger: self.statements.ledger, logger: logger)
        self.finance = FinanceParts(
            database: url, redisURL: configuration.redisURL, stripe: self.payments.stripe,
            holder: "\(self.boot)", logger: logger)
        watch.whenMoved {
            [
                payments = self.payments, controls = self.controls, statements = self.statements,
                finance = self.finance, retries = self.retryPool
            ] in
            payments.reconnect()
            controls.reconnect()
            statements.reconnect()
            finance.reconnect()
            retries.reconnect()
        }
        try await self.directory.load()
        self.prices = try await PriceBook(
            ledger: self.ledger, mode: configuration.roundingMode,
            region: Region(upstreamHost: configuration.upstream.host), logger: logger)
        self.packages = try await self.ledger.packages().map(\.code)
        let (directory, controls) = (self.directory, self.controls.controls)
        self.feed = ChangeFeed(
            try PostgresConfiguration(url: configuration.databaseDirectURL.value), logger: logger,
            directoryChanged: { directory.nudge() }, flagsChanged: { controls.nudge() })
        let settings = configuration.moneyPath
        let sweep = LedgerSweep(
            boot: self.boot, ledger: self.ledger, verifier: LedgerVerifier(pool: self.readingPool),
            clock: self.clock, watch: watch)
        // Brings the ledger's time, by which old journals go.
        let first = try await sweep.beat()
        let journal = try await MoneyPathParts.openJournal(
            boot: self.boot, settings: settings, clock: self.clock, logger: logger)
        self.settler = Settler(
            ledger: PostgresLedger(pool: self.settlementPool, logger: logger), journal: journal,
            logger: logger, memoryMax: settings.memoryOutcomesMax)
        self.group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.threads)
        do {
            self.holds = try RedisHolds(
                url: configuration.redisURL.value, boot: self.boot, accounts: self.ledger,
                sink: self.settler, group: self.group, logger: logger, settings: settings.holds)
            self.moneyPath = MoneyPathParts(
                boot: self.boot, settings: settings, journal: journal, settler: self.settler,
                holds: self.holds, reading: self.ledger, sweep: sweep, logger: logger)
            try await self.moneyPath.begin(after: first)
            self.heldReader = try RedisAccountReader(
                url: configuration.redisURL.value, group: self.group, logger: logger)
            self.recentResponses = try RedisStoredResponses(
                url: configuration.redisURL.value, group: self.group, logger: logger)
        } catch {
            // A process that is started again and again must not leave its segments each time.
            await MoneyPathParts.close(journal)
            throw error
        }
        self.control = ReloadableControlPlane(logger: logger)
        self.spans = SpanExporter(configuration.traces, instance: "\(self.boot)", logger: logger)
        self.proxy = ProxyServer(
            configuration: Self.dataPlane(configuration, boot: self.boot, spans: self.spans),
            dependencies: DataPlaneDependencies(
                directory: self.directory, prices: self.prices, controls: controls,
                settlements: self.settler, keyHasher: configuration.secrets.keyHasher,
                makeHolds: { [holds] in try await holds.session(on: $0) },
                control: self.control, accessLog: self.accessLog, clock: self.clock,
                encodings: self.encodings,
                responses: StoresOfResponses(
                    recent: self.recentResponses, ledger: PostgresLedger(pool: self.retryPool, logger: logger)
                ),
                replies: self.replies),
            group: self.group, logger: logger)
        self.control.use(self.router(configuration.secrets))
        await self.renewSeals(configuration.secrets)
    }

    var port: Int? { self.proxy.port }

    /// Listens, and runs until it is told to stop; then drains: exchanges, settlements, stores.
    ///
    /// - Parameters:
    ///   - hangUps: what SIGHUP asked for since before the configuration was read.
    ///   - onReady: called once the public port listens.
    /// - Throws: what a part ended with, after the others were stopped in order.
    func run(
        following hangUps: HangUps, onReady: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let (opsListens, opsPort) = AsyncStream.makeStream(of: Void.self)
        let ops = OpsPort.application(
            host: self.configuration.opsListen.host, port: self.configuration.opsListen.port,
            version: Version.text,
            sources: self.metricSources,
            readiness: self.readiness, logger: self.logger, onListening: { opsPort.yield() })
        let group = ServicePart.group(
            SpanExporter.parts(self.spans) + [
                // Stops last but for traces: what the listener recorded is posted first.
                ServicePart("stores", onShutdown: { self.ran.finish() }) { await self.runStores() },
                ServicePart("operator's port") {
                    // Also when it cannot listen: nobody waits for it any more.
                    defer { opsPort.finish() }
                    try await ops.run()
                },
                // Stops first, and drains its exchanges.
                ServicePart("listener") {
                    // Whoever sees that the proxy is ready may ask for its metrics; without them it never is.
                    guard await opsListens.first(where: { _ in true }) != nil,
                        !Task.isShuttingDownGracefully
                    else {
                        try? await gracefulShutdown()
                        return
                    }
                    try await self.listen(onReady)
                },
            ], logger: self.logger)
        let ended = await withTaskGroup(of: Result<Void, any Error>?.self) { tasks in
            tasks.addTask {
                do { return .success(try await group.run()) } catch { return .failure(error) }
            }
            // The signals are followed for as long as the parts run.
            tasks.addTask {
                await self.followStops { await group.triggerGracefulShutdown() }
                return nil
            }
            tasks.addTask {
                await self.follow(hangUps)
                return nil
            }
            for await ended in tasks {
                guard let ended else { continue }
                tasks.cancelAll()
                return ended
            }
            preconditionFailure("the group's task has a result")
        }
        await self.accessLog.shutdown()
        try ended.get()
    }

    private static func makeBootID() -> BootID {
        var random = SystemRandomNumberGenerator()
        return BootID(
            millisecondsSinceEpoch: UInt64(Clock.wallMilliseconds()),
            randomA: UInt16(truncatingIfNeeded: random.next()), randomB: random.next())
    }

    private var metricSources: [any MetricSource] {
        [
            self.proxy.metrics, self.settler, self.holds, self.accessLog, self.moneyPath.journal,
            self.moneyPath.sweeper, self.payments.counters,
            self.finance.gauges, self.anomalies, self.controls.controls, self.controlMetrics,
            ProcessMetrics(version: Version.text),
            KnownSeries(prices: self.prices, packages: self.packages),
        ] + (self.spans.map { [$0] } ?? [])
    }

    private var readiness: @Sendable () async -> [Readiness] {
        { @Sendable [proxy, holds, clock, journal = self.moneyPath.journal, pool = self.readingPool] in
            let ledger =
                (try? await pool.run(timeout: .seconds(2)) { try $0.run("SELECT 1").affected }) != nil
            return [
                Readiness("hold_store", isReady: holds.isHealthy), Readiness("ledger", isReady: ledger),
                Readiness("journal", isReady: journal.isReady), Readiness("clock", isReady: clock.isTrusted),
                Readiness("not_draining", isReady: !proxy.isDraining),
            ]
        }
    }

    private func router(_ secrets: RotatingSecrets) -> Router<ControlContext> {
        let portal = PortalWiring.rotated(
            self.portal, secrets, self.configuration.portal, self.logger)
        return ControlPlane.router(
            .init(
                version: Version.text, adminTokens: secrets.adminTokens.map(\.value),
                corsOrigins: self.configuration.corsOrigins,
                sessionSecrets: secrets.sessionSecrets.map(\.value),
                isSecure: self.configuration.publicURL.hasPrefix("https://"), caps: self.configuration.caps),
            .init(
                directory: self.directory, keyHasher: secrets.keyHasher, prices: self.prices,
                billing: self.statements.ledger, held: HeldAmounts(reader: self.heldReader),
                readiness: self.readiness,
                encodings: self.encodings, checkouts: self.payments.desk,
                webhooks: self.payments.desk.verifying(with: secrets.signingSecrets),
                history: self.statements.ledger, statements: self.statements.printer,
                recharges: self.payments.recharges,
                refunds: self.payments.refunds, records: self.statements.ledger,
                admin: AdminParts.ports(
                    ledger: self.statements.ledger, slowLedger: self.statements.slowLedger,
                    accounts: self.statements.accounts(secrets.keyHasher), holds: self.heldReader,
                    payments: self.payments, flags: self.controls.desk,
                    samples: { [sources = self.metricSources] in sources.flatMap { $0.samples() } },
                    mode: self.configuration.roundingMode,
                    region: Region(upstreamHost: self.configuration.upstream.host), logger: self.logger),
                metrics: self.controlMetrics, portal: portal))
    }

    /// Nobody is locked out when an older secret goes.
    private func renewSeals(_ secrets: RotatingSecrets) async {
        await StaffSeals(
            store: self.statements.ledger, sessionSecrets: secrets.sessionSecrets.map(\.value),
            logger: self.logger
        ).renew()
    }

    private static func dataPlane(
        _ configuration: ServeConfiguration, boot: BootID, spans: SpanExporter?
    ) -> DataPlaneConfiguration {
        var dataPlane = DataPlaneConfiguration(
            upstream: configuration.upstream, upstreamKey: configuration.secrets.upstreamKey.value,
            publicURL: configuration.publicURL, boot: boot)
        dataPlane.listenHost = configuration.listen.host
        dataPlane.listenPort = configuration.listen.port
        dataPlane.upstreamCAFile = configuration.upstreamCAFile
        dataPlane.upstreamHTTP2 = configuration.upstreamHTTP2
        dataPlane.upstreamProxy = configuration.upstreamProxy
        dataPlane.certificates = configuration.certificates
        dataPlane.trustedPeers = configuration.trustedPeers
        dataPlane.caps = configuration.caps
        dataPlane.keyLimits = configuration.requestLimits.key
        dataPlane.accountLimits = configuration.requestLimits.account
        dataPlane.onDisconnect = configuration.onDisconnect
        dataPlane.holds = configuration.holds
        dataPlane.limits = configuration.limits
        dataPlane.limits.rollingStepTokens = configuration.holdStepTokens
        dataPlane.timeouts = configuration.timeouts
        dataPlane.limits.keptReplyBytesMax = configuration.idempotency.replyBytesMax
        dataPlane.timeouts.idempotencyRenewal = .milliseconds(configuration.idempotency.renewalMilliseconds)
        dataPlane.tracing = Tracing(
            sink: spans, sampledBelow: configuration.traces.sampledBelow,
            followsTrustedPeers: configuration.traces.followsTrustedPeers,
            tellsUpstream: configuration.traces.tellsUpstream)
        return dataPlane
    }

    // MARK: Parts, in order of start

    /// Everything behind the listener; ends when the settler has drained. In this order: whoever records outcomes
    /// ends, the settler posts the last of them and tells the hold store, the journal is closed, then the stores.
    private func runStores() async {
        await withTaskGroup { group in
            group.addTask { await self.runFollowers() }
            group.addTask {
                await self.runRecorders()
                self.settler.drain()
            }
            await self.settler.run(telling: self.holds.poster)
            group.cancelAll()
        }
        await self.moneyPath.close()
        await self.holds.shutdown()
        await self.heldReader.shutdown()
        await self.recentResponses.shutdown()
        self.payments.shutdown()
        self.controls.shutdown()
        self.statements.shutdown()
        self.finance.shutdown()
        self.readingPool.shutDownAndWait()
        self.retryPool.shutDownAndWait()
        self.settlementPool.shutDownAndWait()
        try? await self.group.shutdownGracefully()
    }

    /// What records outcomes besides the exchanges, until those have ended; then the sessions of the hold store, whose
    /// last answers can be VOIDs.
    private func runRecorders() async {
        await withTaskGroup { recorders in
            recorders.addTask { await self.moneyPath.run() }
            for await _ in self.running {}
            recorders.cancelAll()
        }
        await self.holds.endSessions()
    }

    private func runFollowers() async {
        let refresher = AccountRefresher(holds: self.holds.poster, logger: self.logger)
        let changes = self.feed.changes.map { AccountChange(balance: $0.balance, gate: $0.gate) }
        await withTaskGroup { group in
            group.addTask { await self.directory.run() }
            group.addTask { await self.prices.run() }
            group.addTask { await self.controls.controls.run() }
            group.addTask { await self.feed.run() }
            group.addTask { await refresher.run(changes) }
            group.addTask { await self.keepHouse() }
            group.addTask { await self.payments.run() }
            group.addTask { await self.finance.run() }
            group.addTask { await self.anomalies.run() }
            group.addTask { await self.moneyPath.life.run() }
        }
    }

    /// Partitions for the days to come, stored responses of days long past, and replies whose day is over.
    private func keepHouse() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(3600))
            guard !Task.isCancelled else { return }
            do {
                _ = try await self.ledger.ensurePartitions()
            } catch {
                self.logger.warning("partitions not made", metadata: ["error": "\(error)"])
            }
            do {
                try await self.replies.deleteExpired()
            } catch {
                self.logger.warning("expired replies not deleted", metadata: ["error": "\(error)"])
            }
            do {
                try await self.portal.store.forgetExpired()
                try await self.statements.ledger.forgetEnded()
            } catch {
                self.logger.warning("expired sessions not deleted", metadata: ["error": "\(error)"])
            }
            do {
                try await self.forgetResponses()
            } catch {
                self.logger.warning("old responses not forgotten", metadata: ["error": "\(error)"])
            }
        }
    }

    /// In small transactions, with a pause after each; the rest waits for the next hour.
    private func forgetResponses() async throws {
        let limit = 5_000
        for _ in 0..<200 {
            guard try await self.ledger.forgetStoredResponses(limit: limit) == limit else { return }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// The public port, from its opening until its last exchange has recorded its outcome.
    private func listen(_ onReady: (Int) async throws -> Void) async throws {
        try await self.proxy.start()
        self.started.finish()
        do {
            try await self.announce(onReady)
        } catch {
            await self.proxy.stop()
            throw error
        }
        try? await gracefulShutdown()
        await self.proxy.stop()
    }

    private func announce(_ onReady: (Int) async throws -> Void) async throws {
        guard let port = self.proxy.port else { throw CommandFailure("the listener has no port") }
        self.logger.info(
            "listening",
            metadata: [
                "version": "\(Version.text)", "address": "\(self.configuration.listen.host):\(port)",
                "tls": "\(!self.configuration.certificates.isEmpty)",
                "threads": "\(self.configuration.threads)",
            ])
        try await onReady(port)
    }

    // MARK: For Deployment+Signals

    func stopNow() { self.proxy.stopNow() }

    /// Outcomes that the ledger has not acknowledged.
    var backlog: Int { self.settler.backlog }

    /// Returns when the proxy listens, or the task is cancelled.
    func waitUntilListening() async { for await _ in self.starting {} }

    /// Takes over what files say now. Parts that cannot be used stay as they are; each is reported.
    func reload() async {
        do {
            let fresh = try self.rereadSecrets()
            await self.proxy.apply(upstreamKey: fresh.upstreamKey.value, keyHasher: fresh.keyHasher)
            self.control.use(self.router(fresh))
            await self.renewSeals(fresh)
            self.logger.notice(
                "reloaded: upstream key, key peppers, admin tokens, secrets of sessions, webhooks and the app"
            )
        } catch {
            self.logger.error("not reloaded: configuration", metadata: ["error": "\(error)"])
        }
        do {
            if try self.proxy.reloadCertificates() { self.logger.notice("reloaded: certificates") }
        } catch {
            self.logger.error("not reloaded: certificates", metadata: ["error": "\(error)"])
        }
        do {
            try await self.proxy.reloadUpstreamRoots()
        } catch {
            self.logger.error("not reloaded: OPENAI_CA_FILE", metadata: ["error": "\(error)"])
        }
        do {
            try self.accessLog.reopen()
        } catch {
            self.logger.error("not reopened: access log", metadata: ["error": "\(error)"])
        }
    }
}
