import Logging
import Metering
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL

/// The data plane: one listener, one event loop per thread, each with its own hold session and upstream pool.
public final class ProxyServer: Sendable {
    private let configuration: DataPlaneConfiguration
    private let dependencies: DataPlaneDependencies
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger
    public let metrics = ProxyMetrics()
    private let listener = NIOLockedValueBox<(any Channel)?>(nil)
    private let loops = NIOLockedValueBox<[NIOLoopBound<LoopContext>]>([])

    public init(
        configuration: DataPlaneConfiguration, dependencies: DataPlaneDependencies,
        group: MultiThreadedEventLoopGroup, logger: Logger
    ) {
        self.configuration = configuration
        self.dependencies = dependencies
        self.group = group
        self.logger = logger
    }

    /// The port in use, once started.
    public var port: Int? { self.listener.withLockedValue { $0?.localAddress?.port } }

    /// Makes the loops' parts, then listens. Throws when the port is taken or TLS is misconfigured.
    public func start() async throws {
        let tls = try self.makeTLS()
        var contexts: [NIOLoopBound<LoopContext>] = []
        for eventLoop in self.group.makeIterator() {
            contexts.append(try await self.makeContext(on: eventLoop, tls: tls))
        }
        self.loops.withLockedValue { $0 = contexts }
        let byLoop = Dictionary(uniqueKeysWithValues: contexts.map { (ObjectIdentifier($0.eventLoop), $0) })
        let channel = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let context = byLoop[ObjectIdentifier(channel.eventLoop)] else {
                        preconditionFailure("children live on the loops of the group")
                    }
                    try channel.pipeline.syncOperations.addHandler(ClientConnection(loop: context.value))
                }
            }
            .bind(host: self.configuration.listenHost, port: self.configuration.listenPort).get()
        self.listener.withLockedValue { $0 = channel }
    }

    /// Stops accepting, lets running exchanges end within the configured time, then ends the rest. When this
    /// returns every exchange has recorded its outcome.
    public func stop() async {
        try? await self.listener.withLockedValue { $0 }?.close()
        let loops = self.loops.withLockedValue { $0 }
        for loop in loops { try? await loop.eventLoop.submit { loop.value.beginDraining() }.get() }
        let end = NIODeadline.now() + self.configuration.timeouts.shutdown
        while NIODeadline.now() < end, await self.runningExchanges(loops) > 0 {
            try? await Task.sleep(for: .milliseconds(20))
        }
        for loop in loops { try? await loop.eventLoop.submit { loop.value.stopNow() }.get() }
    }

    private func runningExchanges(_ loops: [NIOLoopBound<LoopContext>]) async -> Int {
        var count = 0
        for loop in loops {
            count += (try? await loop.eventLoop.submit { loop.value.exchangeCount }.get()) ?? 0
        }
        return count
    }

    private func makeContext(
        on eventLoop: any EventLoop, tls: NIOSSLContext?
    ) async throws -> NIOLoopBound<LoopContext> {
        let makeHolds = self.dependencies.makeHolds
        let (configuration, dependencies, metrics) = (self.configuration, self.dependencies, self.metrics)
        let holds = try await makeHolds(eventLoop)
        return try await eventLoop.submit {
            let context = LoopContext(
                eventLoop: eventLoop, configuration: configuration, dependencies: dependencies, holds: holds,
                pool: UpstreamPool(eventLoop: eventLoop, origin: configuration.upstream, tls: tls),
                metrics: metrics)
            context.startSweeping()
            return NIOLoopBound(context, eventLoop: eventLoop)
        }.get()
    }

    /// Full verification against the system's roots and, if given, the operator's.
    private func makeTLS() throws -> NIOSSLContext? {
        guard self.configuration.upstream.isTLS else { return nil }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let file = self.configuration.upstreamCAFile { tls.additionalTrustRoots = [.file(file)] }
        return try NIOSSLContext(configuration: tls)
    }
}
