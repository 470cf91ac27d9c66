import NIOCore
import NIOHTTP2

/// One HTTP/2 connection to the upstream, and how many more streams it takes. Used only on its loop.
final class UpstreamHTTP2: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private unowned let pool: UpstreamPool
    private let channel: any Channel
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    private var streamsMax: Int
    private(set) var streams = 0
    private var isLeaving = false
    private var isGone = false
    private var context: ChannelHandlerContext?
    /// Upstream says that it went no further than this stream, and never will.
    private var lastStreamProcessed: HTTP2StreamID?
    private var health = HTTP2Health(.now())
    private(set) var idleSince: NIODeadline = .now()
    let bornAt: NIODeadline = .now()

    /// Ours, whatever upstream allows: one lost connection must not take too many exchanges with it.
    static let streamsMaxOfOurs = 100
    private static let streamWindowBytes = 256 << 10

    /// Puts HTTP/2 on a channel whose TLS negotiated it.
    static func install(on channel: any Channel, pool: UpstreamPool) throws -> UpstreamHTTP2 {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .maxConcurrentStreams, value: 0),
            HTTP2Setting(parameter: .initialWindowSize, value: Self.streamWindowBytes),
            HTTP2Setting(parameter: .maxHeaderListSize, value: HeadLimits().bytesMax),
        ]
        connection.maximumBufferedControlFrames = 1000
        // A stream that is held back keeps no more than its own window; the connection's must not be the bottleneck.
        connection.targetWindowSize = 4 << 20
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.targetWindowSize = Self.streamWindowBytes
        let handler = NIOHTTP2Handler(
            mode: .client, eventLoop: channel.eventLoop, connectionConfiguration: connection,
            streamConfiguration: stream
        ) { stream in
            // Upstream may not open streams; NIOHTTP2 has refused it by the settings.
            stream.close()
        }
        try channel.pipeline.syncOperations.addHandler(handler)
        let session = UpstreamHTTP2(pool, channel, try handler.syncMultiplexer())
        try channel.pipeline.syncOperations.addHandler(session)
        return session
    }

    private init(
        _ pool: UpstreamPool, _ channel: any Channel, _ multiplexer: NIOHTTP2Handler.StreamMultiplexer
    ) {
        self.pool = pool
        self.channel = channel
        self.multiplexer = multiplexer
        self.streamsMax = Self.streamsMaxOfOurs
    }

    /// How many more streams can be opened now.
    var room: Int { self.isLeaving || self.isGone ? 0 : max(0, self.streamsMax - self.streams) }

    /// Opens a stream; completes on the loop with the connection on top of it, or nil.
    func open(_ completion: @escaping (UpstreamConnection?) -> Void) {
        self.streams += 1
        let promise = self.channel.eventLoop.makePromise(of: (any Channel).self)
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.channel.eventLoop)
        self.multiplexer.createStreamChannel(promise: promise) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(HTTP2ClientStream(selfOnLoop.value))
            }
        }
        let completionOnLoop = NIOLoopBound(completion, eventLoop: self.channel.eventLoop)
        promise.futureResult.whenComplete { result in
            let (session, completion) = (selfOnLoop.value, completionOnLoop.value)
            guard case .success(let stream) = result else {
                session.streamClosed()
                completion(nil)
                return
            }
            stream.closeFuture.whenComplete { _ in selfOnLoop.value.streamClosed() }
            let connection = UpstreamConnection(pool: session.pool, isStream: true)
            guard (try? stream.pipeline.syncOperations.addHandler(connection)) != nil else {
                stream.close(promise: nil)
                completion(nil)
                return
            }
            completion(connection)
        }
    }

    private func streamClosed() {
        self.streams -= 1
        if self.streams == 0 { self.idleSince = .now() }
        if self.isLeaving && self.streams == 0 {
            self.channel.close(promise: nil)
        } else if !self.isGone {
            self.pool.streamEnded()
        }
    }

    /// No new streams; closes with the last one.
    func leave() {
        self.isLeaving = true
        if self.streams == 0 { self.channel.close(promise: nil) }
    }

    func abort() { self.channel.close(promise: nil) }

    var address: SocketAddress? { self.channel.remoteAddress }

    // MARK: The connection's own frames

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data).payload {
        case .settings(.settings(let settings)):
            for setting in settings where setting.parameter == .maxConcurrentStreams {
                self.streamsMax = min(setting.value, Self.streamsMaxOfOurs)
            }
        case .goAway(let lastStreamID, _, _):
            // The streams above it end now, those below go on.
            self.lastStreamProcessed = min(lastStreamID, self.lastStreamProcessed ?? lastStreamID)
            self.leave()
        case .ping(_, ack: true):
            self.health.answered(.now())
        default:
            break
        }
    }

    /// Whether a stream that ended with this error was never looked at by upstream, so that its request may be sent
    /// again (RFC 9113 §8.7): refused, above the last stream of a GOAWAY, or never opened because of one.
    func provesUnprocessed(_ error: any Error) -> Bool {
        switch error {
        case let closed as NIOHTTP2Errors.StreamClosed:
            let isAbove = self.lastStreamProcessed.map { closed.streamID > $0 } ?? false
            return closed.errorCode == .refusedStream || isAbove
        case let stream as NIOHTTP2Errors.StreamError:
            return stream.baseError is NIOHTTP2Errors.CreatedStreamAfterGoaway
        default:
            return error is NIOHTTP2Errors.CreatedStreamAfterGoaway
        }
    }

    /// Called now and then: a connection whose other end has silently gone must not keep taking requests.
    func checkHealth(_ now: NIODeadline) {
        guard let context = self.context, !self.isGone else { return }
        let bytesReceived = TCPState.of(self.channel)?.bytesReceived ?? 0
        switch self.health.step(now, bytesReceived: bytesReceived) {
        case .wait: break
        case .dead: context.channel.close(promise: nil)
        case .ping:
            let ping = HTTP2Frame(
                streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: 0), ack: false))
            context.writeAndFlush(NIOAny(ping), promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { context.channel.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if HTTP2Fault.isOfOneStream(error) { self.leave() } else { context.channel.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.isGone = true
        self.pool.forget(self)
        context.fireChannelInactive()
    }
}
