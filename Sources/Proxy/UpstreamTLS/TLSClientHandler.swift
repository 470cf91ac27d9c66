import NIOCore
import NIOTLS

/// TLS between a socket and what speaks through it, on the client's side.
///
/// - `TLSUserEvent.handshakeCompleted` tells that the peer has proved its name; writes wait for it.
/// - The peer's farewell (close_notify) is passed on as `ChannelEvent.inputClosed`, behind its last byte.
/// - A FIN without farewell is an `errorCaught(TLSClientFault.truncated)`: whoever cuts a connection must not pass for
///   the end of a message.
/// - `close` says our farewell and closes at once; nobody waits for the peer's.
final class TLSClientHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case handshaking
        case open
        /// Nothing more comes in.
        case inputClosed
        case closed
    }

    private let connection: TLSClientConnection
    private var state: State = .handshaking
    /// Written before the handshake was through.
    private var waiting: [(ByteBuffer, EventLoopPromise<Void>?)] = []
    /// Bytes came of which nothing could be passed on, so somebody's `read` is still unanswered.
    private var owesRead = false

    /// OpenSSL's memory grows to what it is given at once, and does not shrink.
    private static let writeBytesMax = 64 << 10

    /// - Parameter sessions: where the peer's sessions are kept; the newest is resumed.
    init(
        _ context: TLSClientContext, host: String, sessions: TLSSessionCache
    ) throws(TLSClientFault) {
        guard let connection = TLSClientConnection(context, host: host, resuming: sessions.take()) else {
            throw .refused
        }
        connection.onSession = { sessions.store($0) }
        self.connection = connection
    }

    /// Whether the handshake was a short one.
    var isResumed: Bool { self.connection.isResumed }

    // MARK: Begin and end

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { self.handshake(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.failWaiting() }

    func channelActive(context: ChannelHandlerContext) {
        self.handshake(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.inputEnded(context)
        self.state = .closed
        self.failWaiting()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        self.inputEnded(context)
    }

    /// The socket brings no more. Whoever said farewell has been passed on already.
    private func inputEnded(_ context: ChannelHandlerContext) {
        guard self.state == .open || self.state == .handshaking else { return }
        self.fail(.truncated, context)
    }

    /// What hears of the fault decides when the channel closes; a handshake cannot go on.
    private func fail(_ fault: TLSClientFault, _ context: ChannelHandlerContext) {
        let wasHandshaking = self.state == .handshaking
        self.state = .inputClosed
        self.sendOutgoing(context)
        context.fireErrorCaught(fault)
        if wasHandshaking || fault != .truncated { self.close(context: context, mode: .all, promise: nil) }
    }

    private func failWaiting() {
        let waiting = self.waiting
        self.waiting = []
        for (_, promise) in waiting { promise?.fail(ChannelError.ioOnClosedChannel) }
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard self.state == .open || self.state == .handshaking else { return }
        self.connection.receive(self.unwrapInboundIn(data))
        self.owesRead = true
        if self.state == .handshaking { self.handshake(context) }
        if self.state == .open { self.decrypt(context) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Tickets and key updates may ask for an answer.
        self.sendOutgoing(context)
        context.fireChannelReadComplete()
        guard self.owesRead else { return }
        self.owesRead = false
        let autoRead = (try? context.channel.syncOptions?.getOption(.autoRead)) ?? true
        if !autoRead { context.read() }
    }

    private func handshake(_ context: ChannelHandlerContext) {
        let step = self.connection.handshake()
        self.sendOutgoing(context)
        switch step {
        case .needsBytes:
            break
        case .ended, .failed:
            self.fail(.refused, context)
        case .done:
            self.state = .open
            let negotiated = self.connection.negotiated
            context.fireUserInboundEventTriggered(
                TLSUserEvent.handshakeCompleted(negotiatedProtocol: negotiated))
            self.writeWaiting(context)
        }
    }

    private func decrypt(_ context: ChannelHandlerContext) {
        while self.state == .open {
            let bytes = min(max(self.connection.readableBytesBound, 1), Self.readBytesMax)
            var plain = context.channel.allocator.buffer(capacity: bytes)
            let step = self.readUntilFull(&plain)
            if plain.readableBytes > 0 {
                self.owesRead = false
                context.fireChannelRead(self.wrapInboundOut(plain))
            }
            switch step {
            case .done: continue
            case .needsBytes: return
            case .failed:
                if self.state == .open { self.fail(.refused, context) }
            case .ended:
                guard self.state == .open else { return }
                self.state = .inputClosed
                context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            }
        }
    }

    /// What NIO reads from a socket at once.
    private static let readBytesMax = 64 << 10

    /// Records are joined as far as they fit: one pass through the pipeline for each read of the socket.
    private func readUntilFull(_ plain: inout ByteBuffer) -> TLSClientConnection.Step {
        while plain.writableBytes > 0 {
            let step = self.connection.read(into: &plain)
            if step != .done { return step }
        }
        return .done
    }

    // MARK: Outbound

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = self.unwrapOutboundIn(data)
        switch self.state {
        case .handshaking: self.waiting.append((bytes, promise))
        case .open, .inputClosed: self.encrypt(bytes, promise, context)
        case .closed: promise?.fail(ChannelError.ioOnClosedChannel)
        }
    }

    func flush(context: ChannelHandlerContext) {
        if self.state != .handshaking { context.flush() }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        if self.state != .closed {
            if self.state != .handshaking { self.connection.sayFarewell() }
            self.state = .closed
            self.sendOutgoing(context)
            self.failWaiting()
        }
        context.close(mode: mode, promise: promise)
    }

    private func encrypt(
        _ bytes: ByteBuffer, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
    ) {
        var bytes = bytes
        repeat {
            let part = bytes.readSlice(length: min(bytes.readableBytes, Self.writeBytesMax)) ?? ByteBuffer()
            guard self.connection.write(part) else {
                promise?.fail(TLSClientFault.refused)
                return
            }
            let sealed = self.connection.takeOutgoing(context.channel.allocator) ?? ByteBuffer()
            context.write(self.wrapOutboundOut(sealed), promise: bytes.readableBytes == 0 ? promise : nil)
        } while bytes.readableBytes > 0
    }

    private func writeWaiting(_ context: ChannelHandlerContext) {
        guard !self.waiting.isEmpty else { return }
        let waiting = self.waiting
        self.waiting = []
        for (bytes, promise) in waiting {
            self.write(context: context, data: NIOAny(bytes), promise: promise)
        }
        context.flush()
    }

    private func sendOutgoing(_ context: ChannelHandlerContext) {
        guard let sealed = self.connection.takeOutgoing(context.channel.allocator) else { return }
        context.writeAndFlush(self.wrapOutboundOut(sealed), promise: nil)
    }
}

/// What ends a TLS connection early.
enum TLSClientFault: Error, Sendable, Equatable {
    /// The peer did not prove its name, or broke the protocol.
    case refused
    /// The connection was cut without a farewell.
    case truncated
}
