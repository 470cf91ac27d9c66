import Logging
import Metering
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Synchronization

/// The data plane: one listener, one event loop per thread, each with its own hold session and upstream pool.
public final class ProxyServer: Sendable {
    private let configuration: DataPlaneConfiguration
    private let dependencies: DataPlaneDependencies
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger
    public let metrics = ProxyMetrics()
    let budget: ByteBudget
    private let census: ConnectionCensus
    private let listener = NIOLockedValueBox<(any Channel)?>(nil)
    private let loops = NIOLockedValueBox<[NIOLoopBound<LoopContext>]>([])
    private let certificates = NIOLockedValueBox<ListenerCertificates?>(nil)
    private let isLeaving = Atomic(false)
    private let mustStop = Atomic(false)

    public init(
        configuration: DataPlaneConfiguration, dependencies: DataPlaneDependencies,
        group: MultiThreadedEventLoopGroup, logger: Logger
    ) {
        self.configuration = configuration
        self.dependencies = dependencies
        self.group = group
        self.logger = logger
        self.budget = ByteBudget(bytesMax: configuration.limits.bufferedBodyBytesMax)
        self.census = ConnectionCensus(
            connectionsMax: configuration.limits.connectionsMax,
            perAddressMax: configuration.limits.connectionsPerAddressMax
                ?? configuration.limits.connectionsMax * 3 / 4)
    }

    /// The port in use, once started.
    public var port: Int? { self.listener.withLockedValue { $0?.localAddress?.port } }

    /// From the first moment of `stop()` on: not ready for new work.
    public var isDraining: Bool { self.isLeaving.load(ordering: .relaxed) }

    /// Makes the loops' parts, then listens. Throws when the port is taken or TLS is misconfigured.
    public func start() async throws {
        let tls = try self.makeTLS()
        let pipeline = try self.makePipeline()
        let metrics = self.metrics
        var contexts: [NIOLoopBound<LoopContext>] = []
        for eventLoop in self.group.makeIterator() {
            contexts.append(try await self.makeContext(on: eventLoop, tls: tls))
        }
        self.loops.withLockedValue { $0 = contexts }
        let byLoop = Dictionary(uniqueKeysWithValues: contexts.map { (ObjectIdentifier($0.eventLoop), $0) })
        let channel = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptPause { metrics.acceptPauses.wrappingAdd(1, ordering: .relaxed) })
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            // A FIN says that the client sends no more, not that it does not read. Under TLS it says that the
            // connection was cut.
            .childChannelOption(.allowRemoteHalfClosure, value: pipeline.tls == nil)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let context = byLoop[ObjectIdentifier(channel.eventLoop)] else {
                        preconditionFailure("children live on the loops of the group")
                    }
                    try self.welcome(channel, context.value, pipeline)
                }
            }
            .bind(host: self.configuration.listenHost, port: self.configuration.listenPort).get()
        self.listener.withLockedValue { $0 = channel }
    }

    /// A new connection, on its loop.
    private func welcome(_ channel: any Channel, _ loop: LoopContext, _ pipeline: ListenerPipeline) throws {
        try channel.syncOptions?.setOption(
            .recvAllocator, value: ReadBuffers(loop.buffers, on: channel.eventLoop))
        let peer = ClientAddress(channel.remoteAddress)
        guard self.census.enter(peer, exempt: self.configuration.trustedPeers.contains(peer)) else {
            self.metrics.connectionsRefused.wrappingAdd(1, ordering: .relaxed)
            // A handshake only to say no would cost more than the connection.
            guard pipeline.tls == nil, loop.enterRefusal() else {
                channel.close(promise: nil)
                return
            }
            let loopOnLoop = NIOLoopBound(loop, eventLoop: channel.eventLoop)
            channel.closeFuture.whenComplete { _ in loopOnLoop.value.leaveRefusal() }
            try channel.pipeline.syncOperations.addHandler(
                ClientConnection(loop: loop, transport: .plain, peer: peer, isRefused: true))
            return
        }
        let census = self.census
        channel.closeFuture.whenComplete { _ in census.leave(peer) }
        try pipeline.install(on: channel, loop.buffers, onOpen: loop.register, onClose: loop.unregister) {
            _, transport in
            ClientConnection(loop: loop, transport: transport, peer: peer, isRefused: false)
        }
    }

    // MARK: Changing while it runs

    /// Reads the listener's certificates again. Returns whether there are any; throws, and changes nothing, when one
    /// cannot be used.
    public func reloadCertificates() throws(ListenerCertificates.Problem) -> Bool {
        guard let certificates = self.certificates.withLockedValue({ $0 }) else { return false }
        try certificates.reload()
        return true
    }

    /// Reads the roots that the upstream is verified with again; new connections use them.
    public func reloadUpstreamRoots() async throws {
        let tls = try self.makeTLS()
        await self.onEachLoop { $0.pool.setTLS(tls) }
    }

    /// Exchanges that begin from now on use this key upstream, and hash the keys of clients so.
    public func apply(upstreamKey: String, keyHasher: KeyHasher) async {
        await self.onEachLoop { loop in
            loop.setUpstreamKey(upstreamKey)
            loop.setKeyHasher(keyHasher)
        }
    }

    // MARK: Stopping

    /// Lets the server go without failing anyone: not ready at once; after the configured delay the listener
    /// closes; connections that are open may bring one last request for a moment; running exchanges end within
    /// the configured time, then the rest is ended. When this returns every exchange has recorded its outcome.
    public func stop() async {
        self.isLeaving.store(true, ordering: .relaxed)
        let timeouts = self.configuration.timeouts
        await self.onEachLoop { $0.beginLeaving() }
        await self.wait(atMost: timeouts.shutdownDelay) { false }
        if let listener = self.listener.withLockedValue({ $0 }) {
            do { try await ListenerGate.shut(listener) } catch {
                self.logger.notice(
                    "the listener cannot refuse new connections before it closes; one that comes now may be reset",
                    metadata: ["error": "\(error)"])
            }
            // What was accepted by the kernel before is taken over by the loops meanwhile.
            await self.wait(atMost: .milliseconds(50)) { false }
            try? await listener.close()
        }
        await self.onEachLoop { $0.quiesceSessions() }
        // A request can be on its way on any connection that is open; it is answered, and the connection with it
        // comes to its end.
        let lastRequests = min(timeouts.lastRequests, timeouts.shutdown)
        await self.wait(atMost: lastRequests) { await self.sum { $0.connectionCount } == 0 }
        await self.onEachLoop { $0.close() }
        await self.wait(atMost: timeouts.shutdown - lastRequests) {
            await self.sum { $0.unfinishedCount } == 0
        }
        await self.onEachLoop { $0.stopNow() }
    }

    /// Cuts a `stop()` short: what still runs ends now, with its outcome recorded.
    public func stopNow() { self.mustStop.store(true, ordering: .relaxed) }

    private func wait(atMost time: TimeAmount, until done: () async -> Bool) async {
        let end = NIODeadline.now() + time
        while NIODeadline.now() < end, !self.mustStop.load(ordering: .relaxed) {
            if await done() { return }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    private func onEachLoop(_ body: @escaping @Sendable (LoopContext) -> Void) async {
        for loop in self.loops.withLockedValue({ $0 }) {
            try? await loop.eventLoop.submit { body(loop.value) }.get()
        }
    }

    private func sum(_ count: @escaping @Sendable (LoopContext) -> Int) async -> Int {
        var sum = 0
        for loop in self.loops.withLockedValue({ $0 }) {
            sum += (try? await loop.eventLoop.submit { count(loop.value) }.get()) ?? 0
        }
        return sum
    }

    // MARK: Parts

    private func makeContext(
        on eventLoop: any EventLoop, tls: TLSClientContext?
    ) async throws -> NIOLoopBound<LoopContext> {
        let makeHolds = self.dependencies.makeHolds
        let (configuration, dependencies, metrics) = (self.configuration, self.dependencies, self.metrics)
        let (budget, accessLog) = (self.budget, self.dependencies.accessLog)
        let loops = self.group.makeIterator().reduce(0) { count, _ in count + 1 }
        let holds = try await makeHolds(eventLoop)
        return try await eventLoop.submit {
            let context = LoopContext(
                eventLoop: eventLoop, configuration: configuration, dependencies: dependencies, holds: holds,
                pool: UpstreamPool(
                    eventLoop: eventLoop, origin: configuration.upstream, tls: tls,
                    limits: Self.poolLimits(configuration, loops: loops), proxy: configuration.upstreamProxy,
                    counters: metrics.upstream),
                metrics: metrics, budget: budget, accessLog: accessLog)
            context.startSweeping()
            return NIOLoopBound(context, eventLoop: eventLoop)
        }.get()
    }

    private func makePipeline() throws -> ListenerPipeline {
        let pairs = self.configuration.certificates
        let certificates = pairs.isEmpty ? nil : try ListenerCertificates(pairs)
        self.certificates.withLockedValue { $0 = certificates }
        return ListenerPipeline(
            tls: try certificates?.makeContext(), timeouts: self.configuration.timeouts,
            headBytesMax: self.configuration.limits.headBytesMax)
    }

    private static func poolLimits(_ configuration: DataPlaneConfiguration, loops: Int) -> UpstreamPool.Limits
    {
        UpstreamPool.Limits(
            connectionsMax: max(1, configuration.limits.upstreamConnectionsMax / loops),
            waitingMax: configuration.limits.exchangesMax, idleMax: configuration.timeouts.upstreamKeepAlive,
            connectTimeout: configuration.timeouts.upstreamConnect)
    }

    private func makeTLS() throws -> TLSClientContext? {
        guard self.configuration.upstream.isTLS else { return nil }
        return try TLSClientContext(
            caFile: self.configuration.upstreamCAFile,
            protocols: self.configuration.upstreamHTTP2 ? ["h2", "http/1.1"] : ["http/1.1"])
    }
}
