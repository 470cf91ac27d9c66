import NIOCore
import NIOPosix

/// A TCP relay in front of Redis that delays, cuts, and delivers commands of dead connections late.
// SAFETY: all state is confined to `loop`; the tests' calls hop onto it.
final class FaultRelay: @unchecked Sendable {
    /// One relayed connection.
    final class Pair {
        var client: (any Channel)?
        var server: (any Channel)?
        var toServer = ByteBuffer()
        var toClient = ByteBuffer()
    }

    private let loop: any EventLoop
    private let target: Int
    private var listener: (any Channel)?
    private var pairs: [Pair] = []
    private var holdsCommands = false
    private var holdsReplies = false
    private var refusesConnections = false
    private(set) var port = 0

    init(to target: Int) async throws {
        self.loop = ScriptClient.group.next()
        self.target = target
        let channel = try await ServerBootstrap(group: self.loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { client in self.accept(client) }
            .bind(host: "127.0.0.1", port: 0).get()
        self.port = channel.localAddress?.port ?? 0
        try await self.loop.submit { self.listener = channel }.get()
    }

    // MARK: Faults

    /// Commands wait in the relay from now on.
    func holdCommands() async throws { try await self.loop.submit { self.holdsCommands = true }.get() }

    /// Replies wait in the relay from now on.
    func holdReplies() async throws { try await self.loop.submit { self.holdsReplies = true }.get() }

    /// Everything that waited goes on, in order.
    func letGo() async throws {
        try await self.loop.submit {
            self.holdsCommands = false
            self.holdsReplies = false
            for pair in self.pairs { self.pump(pair) }
        }.get()
    }

    /// Cuts the client's side of every connection. What waited on its way to Redis stays, to be delivered
    /// late. New connections pass freely.
    func cut() async throws {
        try await self.loop.submit {
            self.holdsCommands = false
            self.holdsReplies = false
            for pair in self.pairs {
                pair.client?.close(promise: nil)
                pair.client = nil
            }
        }.get()
    }

    /// While true, new connections are closed at once.
    func refuseConnections(_ refuse: Bool) async throws {
        try await self.loop.submit { self.refusesConnections = refuse }.get()
    }

    /// Delivers the commands of cut connections, in order, after everything that came since.
    func deliverLate() async throws {
        try await self.loop.submit {
            for pair in self.pairs where pair.client == nil { self.pump(pair) }
        }.get()
    }

    func stop() async { try? await self.listener?.close().get() }

    // MARK: Relaying

    private func accept(_ client: any Channel) -> EventLoopFuture<Void> {
        guard !self.refusesConnections else { return client.close() }
        let pair = Pair()
        pair.client = client
        self.pairs.append(pair)
        let bound = NIOLoopBound(pair, eventLoop: self.loop)
        return ClientBootstrap(group: self.loop)
            .channelInitializer { server in
                server.eventLoop.makeCompletedFuture {
                    try server.pipeline.syncOperations.addHandler(
                        RelayHandler(
                            received: { self.fromServer(bound.value, $0) },
                            closed: { self.serverClosed(bound.value) }))
                }
            }
            .connect(host: "127.0.0.1", port: self.target)
            .flatMapThrowing { server in
                bound.value.server = server
                try client.pipeline.syncOperations.addHandler(
                    RelayHandler(
                        received: { self.fromClient(bound.value, $0) },
                        closed: { self.clientClosed(bound.value) }))
            }
    }

    private func fromClient(_ pair: Pair, _ bytes: ByteBuffer) {
        pair.toServer.writeImmutableBuffer(bytes)
        self.pump(pair)
    }

    private func fromServer(_ pair: Pair, _ bytes: ByteBuffer) {
        pair.toClient.writeImmutableBuffer(bytes)
        self.pump(pair)
    }

    private func pump(_ pair: Pair) {
        if !self.holdsCommands, pair.toServer.readableBytes > 0, let server = pair.server {
            server.writeAndFlush(pair.toServer, promise: nil)
            pair.toServer = ByteBuffer()
        }
        if !self.holdsReplies, pair.toClient.readableBytes > 0, let client = pair.client {
            client.writeAndFlush(pair.toClient, promise: nil)
            pair.toClient = ByteBuffer()
        }
    }

    /// The server's side stays open: commands that were under way may still arrive.
    private func clientClosed(_ pair: Pair) { pair.client = nil }

    private func serverClosed(_ pair: Pair) {
        pair.server = nil
        pair.client?.close(promise: nil)
    }
}

private final class RelayHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let received: (ByteBuffer) -> Void
    private let closed: () -> Void

    init(received: @escaping (ByteBuffer) -> Void, closed: @escaping () -> Void) {
        self.received = received
        self.closed = closed
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.received(self.unwrapInboundIn(data))
    }
    func channelInactive(context: ChannelHandlerContext) { self.closed() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
