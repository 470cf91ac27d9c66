import NIOCore
import NIOHTTP2
import NIOTLS

/// Puts together what is below a `ClientConnection`: nothing, TLS, or TLS and one stream of HTTP/2.
struct ListenerPipeline: Sendable {
    /// Makes the handler on top, on the channel's loop.
    typealias MakeConnection = (any Channel, ListenerTransport) throws -> any ChannelHandler

    /// nil: plain TCP.
    let tls: TLSServerContext?
    let timeouts: DataPlaneConfiguration.Timeouts
    let headBytesMax: Int
    /// Streams of one HTTP/2 connection at a time.
    var streamsMax = 128

    /// - Parameters:
    ///   - onOpen: a session that carries streams began; it must be told of a shutdown.
    ///   - onClose: it ended.
    func install(
        on channel: any Channel, _ buffers: SpareBuffers, onOpen: @escaping (any ClientSession) -> Void,
        onClose: @escaping (any ClientSession) -> Void, makeConnection: @escaping MakeConnection
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        guard let tls = self.tls else {
            try pipeline.addHandler(try makeConnection(channel, .plain))
            return
        }
        try pipeline.addHandler(try TLSHandler(tls, buffers: buffers))
        try pipeline.addHandler(
            NegotiationHandler(timeout: self.timeouts.tlsHandshake) { channel, negotiated in
                guard negotiated == "h2" else {
                    try channel.pipeline.syncOperations.addHandler(try makeConnection(channel, .tls))
                    return
                }
                try self.installHTTP2(
                    on: channel, onOpen: onOpen, onClose: onClose, makeConnection: makeConnection)
            })
    }

    /// What is above TLS when HTTP/2 was negotiated.
    func installHTTP2(
        on channel: any Channel, onOpen: @escaping (any ClientSession) -> Void,
        onClose: @escaping (any ClientSession) -> Void, makeConnection: @escaping MakeConnection
    ) throws {
        let eventLoop = channel.eventLoop
        var management = NIOHTTP2ServerConnectionManagementHandler.Configuration.defaults
        management.maxIdleTime = self.timeouts.keepAlive
        management.maxGraceTime = self.timeouts.exchange
        management.keepalive = nil
        let manager = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: eventLoop, configuration: management)
        let session = HTTP2ServerSession(
            channel, firstStreamWithin: self.timeouts.clientHead, idleMax: self.timeouts.keepAlive)
        let onLoop = NIOLoopBound((session, makeConnection), eventLoop: eventLoop)
        let handler = NIOHTTP2Handler(
            mode: .server, eventLoop: eventLoop, connectionConfiguration: self.connectionConfiguration,
            streamConfiguration: self.streamConfiguration, streamDelegate: manager.http2StreamDelegate
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                let (session, makeConnection) = onLoop.value
                session.streamOpened(stream)
                try stream.pipeline.syncOperations.addHandler(HTTP2ServerStream(session))
                try stream.pipeline.syncOperations.addHandler(try makeConnection(stream, .http2))
            }
        }
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(handler)
        try pipeline.addHandler(manager)
        try pipeline.addHandler(session)
        // The channel was active before its handlers came; the idle timer starts with this call.
        manager.channelActive(context: try pipeline.context(handler: manager))
        onOpen(session)
        let closed = NIOLoopBound({ onClose(session) }, eventLoop: eventLoop)
        channel.closeFuture.whenComplete { _ in closed.value() }
    }

    /// Floods of resets, empty frames, CONTINUATION, SETTINGS and PING end the connection; NIOHTTP2 counts them.
    private var connectionConfiguration: NIOHTTP2Handler.ConnectionConfiguration {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: self.streamsMax),
            HTTP2Setting(parameter: .maxHeaderListSize, value: self.headBytesMax),
        ]
        configuration.maximumBufferedControlFrames = 1000
        // What a client has on its way when its stream is reset must not pass for frames of streams that never were.
        configuration.maximumRecentlyResetStreams = 256
        configuration.targetWindowSize = 1 << 20
        return configuration
    }

    private var streamConfiguration: NIOHTTP2Handler.StreamConfiguration {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        configuration.outboundBufferSizeHighWatermark = 64 << 10
        configuration.outboundBufferSizeLowWatermark = 32 << 10
        return configuration
    }
}

/// Waits for the end of a TLS handshake, for so long, and makes way for what was negotiated.
private final class NegotiationHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    private let timeout: TimeAmount
    private let negotiated: (any Channel, String?) throws -> Void
    private var timer: Scheduled<Void>?

    init(timeout: TimeAmount, negotiated: @escaping (any Channel, String?) throws -> Void) {
        self.timeout = timeout
        self.negotiated = negotiated
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        self.timer = context.eventLoop.scheduleTask(in: self.timeout) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.timer?.cancel() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.handshakeCompleted(let negotiated)) = event as? TLSUserEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        self.timer?.cancel()
        do {
            // The next bytes come after this call, and find the handlers that it adds.
            try self.negotiated(context.channel, negotiated)
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        } catch {
            context.close(promise: nil)
        }
    }

    /// A failed handshake: a scanner, an old client, a certificate that is not trusted. Nothing to say to it.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
