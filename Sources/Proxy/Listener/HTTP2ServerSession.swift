import NIOCore
import NIOHTTP2

/// The connection that carries the streams: when it is idle, when it is to go, and what its client's faults end.
final class HTTP2ServerSession: ChannelInboundHandler, ClientSession {
    typealias InboundIn = HTTP2Frame

    private let channel: any Channel
    private let idleMax: TimeAmount
    /// Runs while no stream is open.
    private var idleTimer: Scheduled<Void>?
    private var streams = 0
    private var isLeaving = false
    private var isGone = false
    private var malformedMessages = 0
    /// SETTINGS_MAX_FRAME_SIZE of the client.
    private(set) var frameBytesMax = HTTP2HeaderBlock.frameBytesMin

    /// The management handler asks a client to leave, and waits for the answer to a PING: a client that gives none is
    /// waited for so much longer.
    private static let farewell: TimeAmount = .seconds(10)
    /// A gateway's connection carries the requests of many, one of whom may send nonsense. It ends with those that run.
    private static let malformedMessagesMax = 20

    init(_ channel: any Channel, firstStreamWithin time: TimeAmount, idleMax: TimeAmount) {
        self.channel = channel
        self.idleMax = idleMax
        self.closeUnlessUsed(in: time)
    }

    // MARK: Streams

    func streamOpened(_ stream: any Channel) {
        self.streams += 1
        self.idleTimer?.cancel()
        self.idleTimer = nil
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.channel.eventLoop)
        stream.closeFuture.whenComplete { _ in selfOnLoop.value.streamClosed() }
    }

    private func streamClosed() {
        self.streams -= 1
        if self.streams == 0 {
            self.closeUnlessUsed(in: self.isLeaving ? Self.farewell : self.idleMax + Self.farewell)
        }
    }

    private func closeUnlessUsed(in time: TimeAmount) {
        self.idleTimer?.cancel()
        guard !self.isGone else { return }
        let channel = self.channel
        self.idleTimer = channel.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
    }

    /// A message was refused that HTTP/2 does not allow; its stream has been reset.
    func refusedMalformed() {
        self.malformedMessages += 1
        // From here on NIOHTTP2 refuses new streams, and ends the connection of a client that opens many.
        if self.malformedMessages == Self.malformedMessagesMax { self.quiesce() }
    }

    // MARK: The server leaves

    func quiesce() {
        guard !self.isLeaving else { return }
        self.isLeaving = true
        self.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        if self.streams == 0 { self.closeUnlessUsed(in: Self.farewell) }
    }

    func abort() { self.channel.close(promise: nil) }

    // MARK: The connection's own frames

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .settings(.settings(let settings)) = self.unwrapInboundIn(data).payload else { return }
        for setting in settings where setting.parameter == .maxFrameSize {
            self.frameBytesMax = setting.value
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.isGone = true
        self.idleTimer?.cancel()
        self.idleTimer = nil
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that closes its side of the connection has left all its streams.
        if case .some(.inputClosed) = event as? ChannelEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch HTTP2Fault(error) {
        case .ofMessage: self.refusedMalformed()
        case .ofStream: break
        // A broken peer, or one that floods: NIOHTTP2 has said GOAWAY.
        case .ofConnection: context.close(promise: nil)
        }
    }
}
