import Metering
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

/// The upstream connections of one event loop. Hands out idle ones first, newest first, dials up to a limit,
/// and lets the rest wait in order. Used only on its loop.
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
    private var tls: NIOSSLContext?
    private let limits: Limits
    /// Oldest first. One that died stays until it is met or the dead are half of the list, so that many
    /// deaths cost no search each; its `isIdle` is false.
    private var idle: [UpstreamConnection] = []
    private var deadInIdle = 0
    private var waiting = CircularBuffer<any UpstreamBorrower>()
    /// Connections in any state, those being dialled included.
    private(set) var count = 0
    private var dialling = 0
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
        while let connection = self.popIdle() {
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
        self.dialWhereNeeded()
    }

    /// The borrower does not want a connection any more. No call follows.
    func cancel(_ borrower: any UpstreamBorrower) { self.waiting.removeAll { $0 === borrower } }

    func shutdown() {
        self.isShutDown = true
        self.sweep?.cancel()
        while let connection = self.popIdle() { connection.abort() }
        while let borrower = self.waiting.popFirst() { borrower.upstreamFailed(.shuttingDown) }
    }

    /// Connections that are dialled from now on use this context.
    func setTLS(_ tls: NIOSSLContext?) { self.tls = tls }

    // MARK: For connections

    func takeBack(_ connection: UpstreamConnection) {
        if self.isShutDown {
            connection.abort()
        } else if let next = self.waiting.popFirst() {
            connection.assign(next)
            next.upstreamReady(connection, reused: true)
        } else {
            self.pushIdle(connection)
        }
    }

    /// The channel is gone. Each connection calls this once.
    func forget(_ connection: UpstreamConnection) {
        self.count -= 1
        self.idleDied(connection)
        self.dialWhereNeeded()
    }

    /// The connection closes; if it is idle it is not handed out again.
    func idleDied(_ connection: UpstreamConnection) {
        guard connection.isIdle else { return }
        connection.isIdle = false
        self.deadInIdle += 1
        guard self.deadInIdle * 2 > self.idle.count else { return }
        self.idle.removeAll { !$0.isIdle }
        self.deadInIdle = 0
    }

    private func pushIdle(_ connection: UpstreamConnection) {
        connection.isIdle = true
        self.idle.append(connection)
    }

    private func popIdle() -> UpstreamConnection? {
        while let connection = self.idle.popLast() {
            guard connection.isIdle else {
                self.deadInIdle -= 1
                continue
            }
            connection.isIdle = false
            return connection
        }
        return nil
    }

    var idleCount: Int { self.idle.count - self.deadInIdle }
    var waitingCount: Int { self.waiting.count }

    // MARK: Dialling

    /// A dial is under way for each one who waits, as far as the limit allows.
    private func dialWhereNeeded() {
        while self.waiting.count > self.dialling, self.count < self.limits.connectionsMax, !self.isShutDown {
            self.dial()
        }
    }

    private func dial() {
        self.count += 1
        self.dialling += 1
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
                    selfOnLoop.value.dialFailed(Self.failure(error))
                }
            }
    }

    private static func failure(_ error: any Error) -> UpstreamFailure {
        func isTimeout(_ error: any Error) -> Bool {
            if case .connectTimeout = error as? ChannelError { true } else { false }
        }
        // One error per address that was tried.
        if let error = error as? NIOConnectionError {
            return error.connectionErrors.contains { isTimeout($0.error) } ? .connectTimeout : .connectFailed
        }
        if error is NIOSSLError || error is NIOSSLExtraError { return .tlsFailed }
        return isTimeout(error) ? .connectTimeout : .connectFailed
    }

    private func connected(_ channel: any Channel) {
        guard self.tls != nil else {
            self.ready(channel)
            return
        }
        guard let watch = try? channel.pipeline.syncOperations.handler(type: HandshakeWatch.self) else {
            // The channel closed between the connect and here.
            self.dialFailed(.tlsFailed)
            return
        }
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.eventLoop)
        let watchOnLoop = NIOLoopBound(watch, eventLoop: self.eventLoop)
        let timer = self.eventLoop.scheduleTask(in: self.limits.connectTimeout) {
            watchOnLoop.value.done(.connectTimeout)
        }
        watch.whenDone { failure in
            timer.cancel()
            if let failure {
                channel.close(promise: nil)
                selfOnLoop.value.dialFailed(failure)
            } else {
                channel.pipeline.syncOperations.removeHandler(watchOnLoop.value, promise: nil)
                selfOnLoop.value.ready(channel)
            }
        }
    }

    private func ready(_ channel: any Channel) {
        let connection = UpstreamConnection(pool: self)
        guard channel.isActive, (try? channel.pipeline.syncOperations.addHandler(connection)) != nil else {
            channel.close(promise: nil)
            self.dialFailed(.connectFailed)
            return
        }
        self.dialling -= 1
        if self.isShutDown {
            connection.abort()
        } else if let borrower = self.waiting.popFirst() {
            connection.assign(borrower)
            borrower.upstreamReady(connection, reused: false)
        } else {
            self.pushIdle(connection)
        }
    }

    private func dialFailed(_ failure: UpstreamFailure) {
        self.count -= 1
        self.dialling -= 1
        // Where a dial is left for each one who waits nobody hears of it, else the one who waits longest.
        if self.waiting.count > self.dialling { self.waiting.popFirst()?.upstreamFailed(failure) }
        self.dialWhereNeeded()
    }

    private func evictIdle() {
        let oldest = NIODeadline.now() - self.limits.idleMax
        let old = self.idle.prefix { !$0.isIdle || $0.idleSince < oldest }
        for connection in old where connection.isIdle { connection.abort() }
    }
}

/// Tells when a TLS handshake is through, or will never be. Leaves the pipeline's events as they are, and
/// the pipeline itself when it is done.
private final class HandshakeWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    /// The inner nil is success.
    private var result: UpstreamFailure??
    private var callback: ((UpstreamFailure?) -> Void)?

    func whenDone(_ callback: @escaping (UpstreamFailure?) -> Void) {
        if let result = self.result { callback(result) } else { self.callback = callback }
    }

    func done(_ failure: UpstreamFailure?) {
        guard self.result == nil else { return }
        self.result = .some(failure)
        let callback = self.callback
        self.callback = nil
        callback?(failure)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        if case .some(.handshakeCompleted) = event as? TLSUserEvent { self.done(nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.fireErrorCaught(error)
        self.done(.tlsFailed)
    }

    func channelInactive(context: ChannelHandlerContext) {
        context.fireChannelInactive()
        self.done(.tlsFailed)
    }
}
