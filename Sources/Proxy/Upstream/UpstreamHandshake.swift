import NIOCore
import NIOTLS

/// From an open socket to a connection that takes requests: the tunnel of a proxy, then TLS and what it negotiates.
final class UpstreamHandshake {
    private let channel: any Channel
    private let origin: UpstreamOrigin
    private let proxy: UpstreamProxy?
    private let tls: Security?
    private let deadline: NIODeadline
    private let counters: UpstreamCounters
    /// Words of a proxy.
    private var bytesBefore: UInt64 = 0

    /// TLS, the sessions of its origin, and the loop's buffers.
    struct Security {
        let context: TLSClientContext
        let sessions: TLSSessionCache
        let buffers: SpareBuffers
    }

    init(
        channel: any Channel, origin: UpstreamOrigin, proxy: UpstreamProxy?, tls: Security?,
        deadline: NIODeadline, counters: UpstreamCounters
    ) {
        self.channel = channel
        self.origin = origin
        self.proxy = proxy
        self.tls = tls
        self.deadline = deadline
        self.counters = counters
    }

    /// Completes once, on the channel's loop; on failure the channel is closed.
    func run(_ completion: @escaping UpstreamDialer.Completion) {
        guard let proxy = self.proxy else {
            self.secure(completion)
            return
        }
        let tunnel = ProxyTunnel(proxy: proxy, origin: self.origin)
        self.step(tunnel, timeout: .connectTimeout) { failure in
            if let failure {
                self.fail(failure, completion)
            } else {
                self.bytesBefore = tunnel.bytesRead
                self.secure(completion)
            }
        }
    }

    private func secure(_ completion: @escaping UpstreamDialer.Completion) {
        guard let tls = self.tls else {
            completion(.success(.http1(self.channel, bytesBefore: self.bytesBefore)))
            return
        }
        let watch = HandshakeWatch()
        guard
            let security = try? TLSHandler(
                tls.context, host: self.origin.host, sessions: tls.sessions, buffers: tls.buffers),
            (try? self.channel.pipeline.syncOperations.addHandler(security)) != nil
        else {
            self.fail(.tlsFailed, completion)
            return
        }
        self.step(watch, timeout: .connectTimeout) { failure in
            if let failure {
                self.fail(failure, completion)
            } else {
                if security.isResumed { self.counters.resumed.wrappingAdd(1, ordering: .relaxed) }
                completion(
                    .success(
                        watch.negotiated == "h2"
                            ? .http2(self.channel) : .http1(self.channel, bytesBefore: self.bytesBefore)))
            }
        }
    }

    /// Puts a handler in place until it says that its step is done.
    private func step(
        _ handler: any DialStep, timeout: UpstreamFailure, _ done: @escaping (UpstreamFailure?) -> Void
    ) {
        guard self.channel.isActive,
            (try? self.channel.pipeline.syncOperations.addHandler(handler as any ChannelHandler)) != nil
        else {
            done(.connectFailed)
            return
        }
        let handlerOnLoop = NIOLoopBound(handler, eventLoop: self.channel.eventLoop)
        let timer = self.channel.eventLoop.scheduleTask(deadline: self.deadline) {
            handlerOnLoop.value.outcome.set(timeout)
        }
        let channel = self.channel
        handler.outcome.whenSet { failure in
            timer.cancel()
            if failure == nil {
                channel.pipeline.syncOperations.removeHandler(handlerOnLoop.value, promise: nil)
            }
            done(failure)
        }
    }

    private func fail(_ failure: UpstreamFailure, _ completion: UpstreamDialer.Completion) {
        self.channel.close(promise: nil)
        completion(.failure(failure))
    }
}

/// A handler that is there for one step of a dial.
protocol DialStep: ChannelInboundHandler, RemovableChannelHandler {
    var outcome: DialOutcome { get }
}

/// How a step ended; set once, heard once.
final class DialOutcome {
    /// The inner nil is success.
    private var failure: UpstreamFailure??
    private var callback: ((UpstreamFailure?) -> Void)?

    func whenSet(_ callback: @escaping (UpstreamFailure?) -> Void) {
        if let failure = self.failure { callback(failure) } else { self.callback = callback }
    }

    func set(_ failure: UpstreamFailure?) {
        guard self.failure == nil else { return }
        self.failure = .some(failure)
        let callback = self.callback
        self.callback = nil
        callback?(failure)
    }
}

/// Tells when a TLS handshake is through, or will never be.
private final class HandshakeWatch: DialStep {
    typealias InboundIn = ByteBuffer
    let outcome = DialOutcome()
    private(set) var negotiated: String?

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        if case .some(.handshakeCompleted(let negotiated)) = event as? TLSUserEvent {
            self.negotiated = negotiated
            self.outcome.set(nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { self.outcome.set(.tlsFailed) }

    func channelInactive(context: ChannelHandlerContext) {
        context.fireChannelInactive()
        self.outcome.set(.tlsFailed)
    }
}

/// Asks a proxy for a tunnel (RFC 9110 §9.3.6), for plain origins as well: so the request that goes through it is the
/// same, and the proxy sees no key.
private final class ProxyTunnel: DialStep {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    let outcome = DialOutcome()
    private let proxy: UpstreamProxy
    private let origin: UpstreamOrigin
    private(set) var bytesRead: UInt64 = 0
    private var inbox = ByteBuffer()
    private var search = ResponseHeadSearch()

    init(proxy: UpstreamProxy, origin: UpstreamOrigin) {
        self.proxy = proxy
        self.origin = origin
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let host = self.origin.host.contains(":") ? "[\(self.origin.host)]" : self.origin.host
        let target = "\(host):\(self.origin.port)"
        var request = "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n"
        if let authorization = self.proxy.authorization {
            request += "Proxy-Authorization: \(authorization)\r\n"
        }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: request + "\r\n")), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.bytesRead += UInt64(bytes.readableBytes)
        self.inbox.writeBuffer(&bytes)
        while self.advance() {}
    }

    /// Reads one head; returns whether another may follow.
    private func advance() -> Bool {
        switch self.inbox.withUnsafeReadableBytes({ self.search.parse($0) }) {
        case .incomplete:
            return false
        case .invalid:
            self.outcome.set(.proxyFailed)
            return false
        case .complete(let head) where head.isInterim:
            self.inbox.moveReaderIndex(forwardBy: head.byteCount)
            self.search = ResponseHeadSearch()
            return true
        case .complete(let head):
            // Bytes behind the head would come from somebody who was asked nothing yet.
            let isOpen = (200..<300).contains(head.status) && self.inbox.readableBytes == head.byteCount
            self.outcome.set(isOpen ? nil : .proxyFailed)
            return false
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { self.outcome.set(.proxyFailed) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        if case .some(.inputClosed) = event as? ChannelEvent { self.outcome.set(.proxyFailed) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        context.fireChannelInactive()
        self.outcome.set(.proxyFailed)
    }
}
