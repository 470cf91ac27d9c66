import NIOCore
import NIOHTTP2

/// One HTTP/2 connection to the upstream, and how many more streams it takes. Used only on its loop.
final class UpstreamHTTP2: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private unowned let pool: UpstreamPool
    private let channel: any Channel
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    /// What is left until upstream must have sent its SETTINGS.
    private var settingsTimer: Scheduled<Void>?
    /// Streams are opened: upstream has said how many it takes, or has said so on another connection.
    private(set) var isReady = false
    private var hasSettings = false
    /// Why it never became ready.
    private(set) var failure: UpstreamFailure = .connectFailed
    private(set) var streamsMax = UpstreamHTTP2.streamsMaxOfOurs
    /// SETTINGS_MAX_FRAME_SIZE of upstream.
    private(set) var frameBytesMax = HTTP2HeaderBlock.frameBytesMin
    private(set) var streams = 0
    private(set) var isLeaving = false
    private var isGone = false
    private var context: ChannelHandlerContext?
    /// Streams whose requests NIOHTTP2 has not sent yet.
    private var held: [ObjectIdentifier: HTTP2ClientStream] = [:]
    /// Upstream says that it went no further than this stream, and never will.
    private var lastStreamProcessed: HTTP2StreamID?
    private var health: HTTP2Health
    private(set) var idleSince: NIODeadline = .now()
    let bornAt: NIODeadline = .now()
    let address: SocketAddress?

    /// Ours, whatever upstream allows: one lost connection must not take too many exchanges with it.
    static let streamsMaxOfOurs = 100
    private static let streamWindowBytes = 256 << 10

    /// Puts HTTP/2 on a channel whose TLS negotiated it. Ends in `UpstreamPool.settled` or `forget`.
    ///
    /// - Parameters:
    ///   - streamsMax: what upstream allowed on another connection, and so will on this one; nil: it must say so first.
    ///   - deadline: by when it must have said so.
    static func install(
        on channel: any Channel, pool: UpstreamPool, streamsMax: Int?, deadline: NIODeadline
    ) throws -> UpstreamHTTP2 {
        let handler = NIOHTTP2Handler(
            mode: .client, eventLoop: channel.eventLoop,
            connectionConfiguration: Self.connectionConfiguration,
            streamConfiguration: Self.streamConfiguration, streamDelegate: SentStreams()
        ) { stream in
            // Upstream may not open streams; NIOHTTP2 has refused it by the settings.
            stream.close()
        }
        try channel.pipeline.syncOperations.addHandler(handler)
        let session = UpstreamHTTP2(pool, channel, try handler.syncMultiplexer())
        try channel.pipeline.syncOperations.addHandler(session)
        if let streamsMax {
            session.streamsMax = streamsMax
            session.isReady = true
        } else {
            session.awaitSettings(until: deadline)
        }
        return session
    }

    /// NIOHTTP2's limits are made for clients that nobody knows. Towards the upstream they would end the exchanges of a
    /// hundred customers over what one of them is answered; they stand only against one that floods.
    private static var connectionConfiguration: NIOHTTP2Handler.ConnectionConfiguration {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .maxConcurrentStreams, value: 0),
            HTTP2Setting(parameter: .initialWindowSize, value: Self.streamWindowBytes),
            HTTP2Setting(parameter: .maxHeaderListSize, value: HeadLimits().bytesMax),
        ]
        configuration.maximumBufferedControlFrames = 1000
        // What upstream has on its way when a stream is reset must not pass for frames of streams that never were.
        configuration.maximumRecentlyResetStreams = 1024
        configuration.maximumSequentialEmptyDataFrames = 1000
        configuration.maximumConnectionGlitches = .max
        configuration.controlFrameRateLimit.maximumCount = 1000
        configuration.controlFrameRateLimit.windowLength = .seconds(1)
        // A stream that is held back keeps no more than its own window; the connection's must not be the bottleneck.
        configuration.targetWindowSize = 4 << 20
        return configuration
    }

    private static var streamConfiguration: NIOHTTP2Handler.StreamConfiguration {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        configuration.targetWindowSize = Self.streamWindowBytes
        configuration.streamResetFrameRateLimit.maximumCount = 1000
        configuration.streamResetFrameRateLimit.windowLength = .seconds(1)
        configuration.streamErrorRateLimit.maximumCount = 1000
        configuration.streamErrorRateLimit.windowLength = .seconds(1)
        return configuration
    }

    /// Tells a stream that its HEADERS have left NIOHTTP2's buffers.
    private struct SentStreams: NIOHTTP2StreamDelegate {
        func streamCreated(_ id: HTTP2StreamID, channel: any Channel) {
            let stream = try? channel.pipeline.syncOperations.handler(type: HTTP2ClientStream.self)
            stream?.headersWereSent()
        }

        func streamClosed(_ id: HTTP2StreamID, channel: any Channel) {}
    }

    private init(
        _ pool: UpstreamPool, _ channel: any Channel, _ multiplexer: NIOHTTP2Handler.StreamMultiplexer
    ) {
        self.pool = pool
        self.channel = channel
        self.address = channel.remoteAddress
        self.multiplexer = multiplexer
        self.health = HTTP2Health(
            .now(), interval: pool.limits.pingInterval, patience: pool.limits.pingPatience)
    }

    private func awaitSettings(until deadline: NIODeadline) {
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.channel.eventLoop)
        self.settingsTimer = self.channel.eventLoop.scheduleTask(deadline: deadline) {
            selfOnLoop.value.failure = .connectTimeout
            selfOnLoop.value.channel.close(promise: nil)
        }
    }

    private var takesStreams: Bool { self.isReady && !self.isLeaving && !self.isGone }

    /// How many more streams can be opened now.
    var room: Int { self.takesStreams ? max(0, self.streamsMax - self.streams) : 0 }

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
            // It took a turn of the loop to get here: upstream may have said GOAWAY, or that it takes fewer streams.
            guard session.takesStreams, session.streams <= session.streamsMax,
                (try? stream.pipeline.syncOperations.addHandler(connection)) != nil
            else {
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

    /// A request of this stream is in NIOHTTP2's buffers, of which upstream knows nothing.
    func holds(_ stream: HTTP2ClientStream) { self.held[ObjectIdentifier(stream)] = stream }
    func holdsNoMore(_ stream: HTTP2ClientStream) { self.held[ObjectIdentifier(stream)] = nil }

    // MARK: The connection's own frames

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data).payload {
        case .settings(.settings(let settings)):
            self.settled(settings)
        case .goAway(let lastStreamID, _, _):
            // The streams above it end now, those below go on.
            self.lastStreamProcessed = min(lastStreamID, self.lastStreamProcessed ?? lastStreamID)
            self.leave()
            for stream in self.held.values { stream.drop() }
        case .ping(_, ack: true):
            self.health.answered(.now())
        default:
            break
        }
    }

    private func settled(_ settings: HTTP2Settings) {
        for setting in settings {
            switch setting.parameter {
            case .maxConcurrentStreams: self.streamsMax = min(setting.value, Self.streamsMaxOfOurs)
            case .maxFrameSize: self.frameBytesMax = setting.value
            default: break
            }
        }
        let (isFirst, wasReady) = (!self.hasSettings, self.isReady)
        self.hasSettings = true
        guard self.streamsMax > 0 || wasReady else {
            // A connection that takes nothing is none.
            self.channel.close(promise: nil)
            return
        }
        self.isReady = true
        self.settingsTimer?.cancel()
        self.pool.settled(self, isFirst: isFirst, wasReady: wasReady)
    }

    /// Whether a stream that ended with this error was never looked at by upstream, so that its request may be sent
    /// again (RFC 9113 §8.7): refused, or above the last stream of a GOAWAY.
    func provesUnprocessed(_ error: any Error) -> Bool {
        guard let closed = error as? NIOHTTP2Errors.StreamClosed else { return false }
        return closed.errorCode == .refusedStream
            || self.lastStreamProcessed.map { closed.streamID > $0 } ?? false
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
        switch HTTP2Fault(error) {
        case .ofMessage: break
        case .ofStream: self.leave()
        case .ofConnection: context.channel.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.isGone = true
        self.settingsTimer?.cancel()
        self.pool.forget(self)
        context.fireChannelInactive()
    }
}
