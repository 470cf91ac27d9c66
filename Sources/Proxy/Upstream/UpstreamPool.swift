import Metering
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

/// The upstream connections of one event loop. Hands out idle ones first, newest first, dials up to a limit, and lets
/// the rest wait in order. Used only on its loop.
final class UpstreamPool {
    struct Limits: Sendable {
        var connectionsMax = 8192
        var waitingMax = 8192
        /// An idle connection older than this is closed rather than used: upstream may be about to close it.
        var idleMax: TimeAmount = .seconds(30)
        var connectTimeout: TimeAmount = .seconds(10)
    }

    private let eventLoop: any EventLoop
    private let origin: UpstreamOrigin
    private let tls: NIOSSLContext?
    private let limits: Limits
    private var idle: [UpstreamConnection] = []
    private var waiting = CircularBuffer<any UpstreamBorrower>()
    /// Connections in any state, those being dialled included.
    private var count = 0
    private var isShutDown = false
    private var sweep: RepeatedTask?

    /// - Parameter tls: required when the origin is `https`.
    init(eventLoop: any EventLoop, origin: UpstreamOrigin, tls: NIOSSLContext?, limits: Limits = Limits()) {
        precondition(!origin.isTLS || tls != nil, "ProxyServer makes the context for an https origin")
        self.eventLoop = eventLoop
        self.origin = origin
        self.tls = tls
        self.limits = limits
        let selfOnLoop = NIOLoopBound(self, eventLoop: eventLoop)
        self.sweep = eventLoop.scheduleRepeatedTask(
            initialDelay: limits.idleMax, delay: .seconds(5)
        ) { _ in selfOnLoop.value.evictIdle() }
    }

    /// Ends in exactly one `upstreamReady` or `upstreamFailed`, unless cancelled.
    func lease(_ borrower: any UpstreamBorrower) {
        guard !self.isShutDown else {
            borrower.upstreamFailed(.shuttingDown)
            return
        }
        while let connection = self.idle.popLast() {
            guard connection.idleSince + self.limits.idleMax > .now() else {
                connection.abort()
                continue
            }
            connection.assign(borrower)
            borrower.upstreamReady(connection, reused: true)
            return
        }
        guard self.waiting.count < self.limits.waitingMax else {
            borrower.upstreamFailed(.poolExhausted)
            return
        }
        self.waiting.append(borrower)
        if self.count < self.limits.connectionsMax { self.dial() }
    }

    /// The borrower does not want a connection any more. No call follows.
    func cancel(_ borrower: any UpstreamBorrower) { self.waiting.removeAll { $0 === borrower } }

    func shutdown() {
        self.isShutDown = true
        self.sweep?.cancel()
        for connection in self.idle { connection.abort() }
        self.idle.removeAll()
        while let borrower = self.waiting.popFirst() { borrower.upstreamFailed(.shuttingDown) }
    }

    // MARK: For connections

    func takeBack(_ connection: UpstreamConnection) {
        if self.isShutDown {
            connection.abort()
        } else if let next = self.waiting.popFirst() {
            connection.assign(next)
            next.upstreamReady(connection, reused: true)
        } else {
            self.idle.append(connection)
        }
    }

    func forget(_ connection: UpstreamConnection) {
        self.count -= 1
        self.idle.removeAll { $0 === connection }
        if !self.waiting.isEmpty, self.count < self.limits.connectionsMax, !self.isShutDown { self.dial() }
    }

    // MARK: Dialling

    private func dial() {
        self.count += 1
        let (origin, tls) = (self.origin, self.tls)
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.eventLoop)
        ClientBootstrap(group: self.eventLoop)
            .connectTimeout(self.limits.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: origin.serverName))
                        try channel.pipeline.syncOperations.addHandler(HandshakeWatch())
                    }
                }
            }
            .connect(host: origin.host, port: origin.port)
            .whenComplete { result in
                switch result {
                case .success(let channel): selfOnLoop.value.connected(channel)
                case .failure(let error):
                    selfOnLoop.value.dialFailed(error is ChannelError ? .connectTimeout : .connectFailed)
                }
            }
    }

    private func connected(_ channel: any Channel) {
        guard self.tls != nil, let watch = try? channel.pipeline.syncOperations.handler(type: HandshakeWatch.self)
        else {
            self.ready(channel)
            return
        }
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.eventLoop)
        watch.whenDone { succeeded in
            if succeeded {
                selfOnLoop.value.ready(channel)
            } else {
                channel.close(promise: nil)
                selfOnLoop.value.dialFailed(.tlsFailed)
            }
        }
    }

    private func ready(_ channel: any Channel) {
        let connection = UpstreamConnection(pool: self)
        do {
            try channel.pipeline.syncOperations.addHandler(connection)
        } catch {
            channel.close(promise: nil)
            self.dialFailed(.connectFailed)
            return
        }
        guard channel.isActive else {
            self.forget(connection)
            return
        }
        if self.isShutDown {
            connection.abort()
        } else if let borrower = self.waiting.popFirst() {
            connection.assign(borrower)
            borrower.upstreamReady(connection, reused: false)
        } else {
            self.idle.append(connection)
        }
    }

    private func dialFailed(_ failure: UpstreamFailure) {
        self.count -= 1
        // One dial was made for one borrower: the longest waiting one hears of it, the others keep their own dials.
        self.waiting.popFirst()?.upstreamFailed(failure)
    }

    private func evictIdle() {
        let oldest = NIODeadline.now() - self.limits.idleMax
        let old = self.idle.filter { $0.idleSince < oldest }
        for connection in old { connection.abort() }
    }
}

/// Tells when a TLS handshake is through, or will never be. Leaves the pipeline's events as they are.
private final class HandshakeWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private var result: Bool?
    private var callback: ((Bool) -> Void)?

    func whenDone(_ callback: @escaping (Bool) -> Void) {
        if let result = self.result { callback(result) } else { self.callback = callback }
    }

    private func done(_ succeeded: Bool) {
        guard self.result == nil else { return }
        self.result = succeeded
        let callback = self.callback
        self.callback = nil
        callback?(succeeded)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.handshakeCompleted) = event as? TLSUserEvent { self.done(true) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.done(false)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.done(false)
        context.fireChannelInactive()
    }
}
