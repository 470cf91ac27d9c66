import ControlPlane
import Hummingbird
import Logging
import Metering
import NIOCore
import NIOPosix
import PostgresLedger
import Proxy
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
    private let directory: LedgerDirectory
    private let feed: ChangeFeed
    private let prices: PriceBook
    private let settler: Settler
    private let holds: RedisHolds
    private let ledger: PostgresLedger
    private let heldReader: RedisAccountReader
    private let proxy: ProxyServer
    private let control: ReloadableControlPlane
    private let accessLog: AccessLog
    private let boot: BootID
    /// Reads the configuration again, for SIGHUP.
    private let reread: @Sendable () throws -> ServeConfiguration

    /// Connects to the ledger and reads keys and prices; nothing listens yet.
    ///
    /// - Throws: when the schema is not current, no rate card is in force, or the ledger cannot be reached.
    init(
        _ configuration: ServeConfiguration, logger: Logger,
        reread: @escaping @Sendable () throws -> ServeConfiguration
    ) async throws {
        self.configuration = configuration
        self.logger = logger
        self.reread = reread
        self.accessLog = try AccessLog(configuration.accessLog)
        self.boot = Self.makeBootID()
        let url = try PostgresConfiguration(url: configuration.databaseURL.value)
        // The settler has connections of its own, so that no look-up queues in front of a settlement.
        self.settlementPool = PostgresPool(url, size: 1, logger: logger)
        self.readingPool = PostgresPool(url, size: 3, logger: logger)
        try await Migrator().check(self.readingPool)
        self.ledger = PostgresLedger(pool: self.readingPool, logger: logger)
        _ = try await self.ledger.ensurePartitions()
        self.directory = LedgerDirectory(pool: self.readingPool, logger: logger)
        try await self.directory.load()
        self.prices = try await PriceBook(
            ledger: self.ledger, mode: configuration.roundingMode, logger: logger)
        let directory = self.directory
        self.feed = ChangeFeed(
            try PostgresConfiguration(url: configuration.databaseDirectURL.value), logger: logger,
            directoryChanged: { directory.nudge() })
        self.settler = Settler(
            ledger: PostgresLedger(pool: self.settlementPool, logger: logger), logger: logger)
        self.group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.threads)
        self.holds = try RedisHolds(
            url: configuration.redisURL.value, boot: self.boot, accounts: self.ledger, sink: self.settler,
            group: self.group, logger: logger)
        self.heldReader = try RedisAccountReader(
            url: configuration.redisURL.value, group: self.group, logger: logger)
        self.control = ReloadableControlPlane(logger: logger)
        self.proxy = ProxyServer(
            configuration: Self.dataPlane(configuration, boot: self.boot),
            dependencies: DataPlaneDependencies(
                directory: self.directory, prices: self.prices, settlements: self.settler,
                keyHasher: configuration.keyHasher, makeHolds: { [holds] in try await holds.session(on: $0) },
                control: self.control, accessLog: self.accessLog),
            group: self.group, logger: logger)
        self.control.use(self.router(configuration))
    }

    var port: Int? { self.proxy.port }

    /// Listens, and runs until the service group is told to stop; then drains: exchanges, settlements,
    /// stores.
    ///
    /// - Parameter onReady: called once the public port listens.
    func run(onReady: @escaping @Sendable (Int) async throws -> Void) async throws {
        let ops = OpsPort.application(
            host: self.configuration.opsListen.host, port: self.configuration.opsListen.port,
            version: Version.text,
            sources: [self.proxy.metrics, self.settler, self.holds, self.accessLog],
            readiness: self.readiness, logger: self.logger)
        let services: [any Service] = [
            StoreService(deployment: self), ops, ListenerService(deployment: self, onReady: onReady),
        ]
        let group = ServiceGroup(
            configuration: .init(services: services.map { .init(service: $0) }, logger: self.logger))
        try await withThrowingTaskGroup { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask { await self.followSignals { await group.triggerGracefulShutdown() } }
            // The signals are followed for as long as the services run.
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
        await self.accessLog.shutdown()
    }

    private static func makeBootID() -> BootID {
        var random = SystemRandomNumberGenerator()
        return BootID(
            millisecondsSinceEpoch: UInt64(Clock.wallMilliseconds()),
            randomA: UInt16(truncatingIfNeeded: random.next()), randomB: random.next())
    }

    private var readiness: @Sendable () async -> [Readiness] {
        { @Sendable [proxy, holds, pool = self.readingPool] in
            let ledger =
                (try? await pool.run(timeout: .seconds(2)) { try $0.run("SELECT 1").affected }) != nil
            return [
                Readiness("hold_store", isReady: holds.isHealthy), Readiness("ledger", isReady: ledger),
                Readiness("not_draining", isReady: !proxy.isDraining),
            ]
        }
    }

    private func router(_ configuration: ServeConfiguration) -> Router<ControlContext> {
        ControlPlane.router(
            .init(
                version: Version.text, adminTokens: configuration.adminTokens.map(\.value),
                corsOrigins: configuration.corsOrigins),
            .init(
                directory: self.directory, keyHasher: configuration.keyHasher, prices: self.prices,
                billing: self.ledger, held: HeldAmounts(reader: self.heldReader), readiness: self.readiness))
    }

    private static func dataPlane(
        _ configuration: ServeConfiguration, boot: BootID
    ) -> DataPlaneConfiguration {
        var dataPlane = DataPlaneConfiguration(
            upstream: configuration.upstream, upstreamKey: configuration.upstreamKey.value,
            publicURL: configuration.publicURL, boot: boot)
        dataPlane.listenHost = configuration.listen.host
        dataPlane.listenPort = configuration.listen.port
        dataPlane.upstreamCAFile = configuration.upstreamCAFile
        dataPlane.upstreamHTTP2 = configuration.upstreamHTTP2
        dataPlane.upstreamProxy = configuration.upstreamProxy
        dataPlane.certificates = configuration.certificates
        dataPlane.trustedPeers = configuration.trustedPeers
        dataPlane.caps = configuration.caps
        dataPlane.onDisconnect = configuration.onDisconnect
        dataPlane.limits = configuration.limits
        dataPlane.timeouts = configuration.timeouts
        if dataPlane.limits.connectionsMax == 0 {
            // A stream needs two descriptors; the stores, files and the operator's port need some, too.
            dataPlane.limits.connectionsMax = max(64, (System.raiseDescriptorLimit() - 256) / 2)
        }
        return dataPlane
    }

    // MARK: Parts, in order of start

    /// Everything behind the listener. Stops last: what the listener recorded is posted first.
    fileprivate func runStores() async {
        await withGracefulShutdownHandler {
            await withTaskGroup { group in
                group.addTask { await self.runFollowers() }
                await self.settler.run(telling: self.holds.poster)
                group.cancelAll()
            }
        } onGracefulShutdown: {
            self.settler.drain()
        }
        await self.holds.shutdown()
        await self.heldReader.shutdown()
        self.readingPool.shutDownAndWait()
        self.settlementPool.shutDownAndWait()
        try? await self.group.shutdownGracefully()
    }

    private func runFollowers() async {
        let refresher = AccountRefresher(holds: self.holds.poster, logger: self.logger)
        let changes = self.feed.changes.map { AccountChange(balance: $0.balance, gate: $0.gate) }
        await withTaskGroup { group in
            group.addTask { await self.directory.run() }
            group.addTask { await self.prices.run() }
            group.addTask { await self.feed.run() }
            group.addTask { await refresher.run(changes) }
            group.addTask { await self.keepHouse() }
        }
    }

    /// Heartbeat, and partitions for the days to come.
    private func keepHouse() async {
        var beats = 0
        while !Task.isCancelled {
            do {
                _ = try await self.ledger.heartbeat(self.boot, hostname: System.hostName)
                if beats % 720 == 0 { _ = try await self.ledger.ensurePartitions() }
            } catch {
                self.logger.warning("heartbeat failed", metadata: ["error": "\(error)"])
            }
            beats += 1
            try? await Task.sleep(for: .seconds(5))
        }
    }

    fileprivate func startListening(_ onReady: (Int) async throws -> Void) async throws {
        try await self.proxy.start()
        guard let port = self.proxy.port else { throw UsageError("the listener has no port") }
        self.logger.info(
            "listening",
            metadata: [
                "version": "\(Version.text)", "address": "\(self.configuration.listen.host):\(port)",
                "tls": "\(!self.configuration.certificates.isEmpty)",
                "threads": "\(self.configuration.threads)",
            ])
        try await onReady(port)
    }

    fileprivate func stopListening() async { await self.proxy.stop() }

    // MARK: For Deployment+Signals

    func stopNow() { self.proxy.stopNow() }

    /// Outcomes that the ledger has not acknowledged.
    var backlog: Int { self.settler.backlog }

    /// Takes over what files say now. Parts that cannot be used stay as they are; each is reported.
    func reload() async {
        do {
            let fresh = try self.reread()
            await self.proxy.apply(upstreamKey: fresh.upstreamKey.value, keyHasher: fresh.keyHasher)
            self.control.use(self.router(fresh))
            self.logger.notice("reloaded: upstream key, key peppers, admin tokens")
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

/// Ledger, hold store, settler.
private struct StoreService: Service {
    let deployment: Deployment
    func run() async throws { await self.deployment.runStores() }
}

/// The public port. Last in the group, so it stops first and drains its exchanges.
private struct ListenerService: Service {
    let deployment: Deployment
    let onReady: @Sendable (Int) async throws -> Void

    func run() async throws {
        try await self.deployment.startListening(self.onReady)
        try? await gracefulShutdown()
        await self.deployment.stopListening()
    }
}
