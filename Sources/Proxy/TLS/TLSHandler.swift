import NIOCore
import NIOTLS

/// TLS between a socket and what speaks through it, at either end.
///
/// - `TLSUserEvent.handshakeCompleted` tells that the handshake is through; writes wait for it.
/// - The peer's farewell (close_notify) is passed on as `ChannelEvent.inputClosed`, behind its last byte.
/// - A FIN without farewell is an `errorCaught(TLSFault.truncated)`: whoever cuts a connection must not pass for
///   the end of a message.
/// - A client's `close` says our farewell and closes at once; nobody waits for the peer's. A server's gives what was
///   written its time, and reads on until the peer closes: bytes that nobody read would make the close a reset, which can
///   overtake a reply. A second `close` waits for nothing.
final class TLSHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// An outbound user event: the connection will be cut, and its peer must see that it was. No farewell is said from
    /// here on, and `close` waits for nothing.
    struct Cut: Sendable {}

    private enum State {
        case handshaking
        case open
        /// Nothing more comes in.
        case inputClosed
        /// Our farewell is said; nothing more goes out.
        case closing
        case closed
    }

    /// Bytes of the network that have come here.
    private(set) var bytesReceived: UInt64 = 0
    private let connection: TLSConnection
    private let buffers: SpareBuffers
    private var state: State = .handshaking
    /// Written before the handshake was through.
    private var waiting: [(ByteBuffer, EventLoopPromise<Void>?)] = []
    /// Bytes came of which nothing could be passed on, so somebody's `read` is still unanswered.
    private var owesRead = false
    /// How long a close waits for the peer's; nil: not at all.
    private let farewellTime: TimeAmount?
    private var farewellTimer: Scheduled<Void>?
    private var saidFarewell = false
    /// So many bytes may still come behind our farewell.
    private var nobodysBytesLeft = 1 << 20
    private var isCut = false
    /// nil: what is sealed always goes through the pipeline.
    private(set) var direct: DirectOutput?
    /// Of what is sealed and not flushed.
    private var unflushed: [EventLoopPromise<Void>] = []

    /// OpenSSL's memory grows to what it is given at once.
    private static let writeBytesMax = 64 << 10

    /// The client's end.
    ///
    /// - Parameter sessions: where the peer's sessions are kept; the newest is resumed.
    init(
        _ context: TLSClientContext, host: String, sessions: TLSSessionCache, buffers: SpareBuffers
    ) throws(TLSFault) {
        guard let connection = TLSConnection(context, host: host, resuming: sessions.take()) else {
            throw .refused
        }
        connection.onSession = { sessions.store($0) }
        self.connection = connection
        self.buffers = buffers
        self.farewellTime = nil
    }

    /// The server's end.
    init(
        _ context: TLSServerContext, buffers: SpareBuffers, farewellTime: TimeAmount = .seconds(5)
    ) throws(TLSFault) {
        guard let connection = TLSConnection(context) else { throw .refused }
        self.connection = connection
        self.buffers = buffers
        self.farewellTime = farewellTime
    }

    /// Part of a record came of which nothing could be passed on.
    var holdsPart: Bool { self.connection.holdsPart }

    /// Whether the handshake was a short one.
    var isResumed: Bool { self.connection.isResumed }

    // MARK: Begin and end

    func handlerAdded(context: ChannelHandlerContext) {
        self.direct = DirectOutput(of: context.channel)
        if context.channel.isActive { self.handshake(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.end() }

    func channelActive(context: ChannelHandlerContext) {
        self.handshake(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.inputEnded(context)
        self.end()
        context.fireChannelInactive()
    }

    private func end() {
        self.state = .closed
        self.farewellTimer?.cancel()
        self.farewellTimer = nil
        self.failWaiting()
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
    private func fail(_ fault: TLSFault, _ context: ChannelHandlerContext) {
        let wasHandshaking = self.state == .handshaking
        self.state = .inputClosed
        self.sendOutgoing(context)
        context.fireErrorCaught(fault)
        if wasHandshaking || fault != .truncated { self.closeAtOnce(context, promise: nil) }
    }

    private func failWaiting() {
        let waiting = self.waiting
        self.waiting = []
        for (_, promise) in waiting { promise?.fail(ChannelError.ioOnClosedChannel) }
        self.takeUnflushed()?.fail(ChannelError.ioOnClosedChannel)
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let sealed = self.unwrapInboundIn(data)
        self.bytesReceived &+= UInt64(sealed.readableBytes)
        switch self.state {
        case .handshaking, .open, .closing: self.connection.receive(sealed)
        case .inputClosed, .closed: return
        }
        self.owesRead = true
        if self.state == .handshaking { self.handshake(context) }
        if self.state == .open { self.decrypt(context) }
        if self.state == .closing { self.awaitFarewell(context) }
        if self.connection.releaseEmptyBuffer() { self.buffers.offer(sealed) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // Tickets and key updates may ask for an answer, which nobody flushes.
        self.sendOutgoing(context)
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
            let waiting = self.connection.readableBytesBound
            guard waiting > 0 else { return }
            var plain = self.buffers.take(min(waiting, Self.readBytesMax))
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
    private func readUntilFull(_ plain: inout ByteBuffer) -> TLSConnection.Step {
        while plain.writableBytes > 0, self.connection.readableBytesBound > 0 {
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
        case .open, .inputClosed:
            guard !self.saidFarewell else {
                promise?.fail(ChannelError.outputClosed)
                return
            }
            self.encrypt(bytes, promise, context)
        case .closing, .closed: promise?.fail(ChannelError.ioOnClosedChannel)
        }
    }

    func flush(context: ChannelHandlerContext) {
        guard self.state != .handshaking else { return }
        self.sendOutgoing(context)
        if self.direct?.isClear != true { context.flush() }
    }

    private func encrypt(
        _ bytes: ByteBuffer, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
    ) {
        var bytes = bytes
        repeat {
            let part = bytes.readSlice(length: min(bytes.readableBytes, Self.writeBytesMax)) ?? ByteBuffer()
            guard self.connection.write(part) else {
                promise?.fail(TLSFault.refused)
                return
            }
            if self.connection.outgoingCount >= Self.writeBytesMax { self.queueOutgoing(context) }
        } while bytes.readableBytes > 0
        if let promise { self.unflushed.append(promise) }
    }

    private func writeWaiting(_ context: ChannelHandlerContext) {
        guard !self.waiting.isEmpty else { return }
        let waiting = self.waiting
        self.waiting = []
        for (bytes, promise) in waiting {
            self.write(context: context, data: NIOAny(bytes), promise: promise)
        }
        self.flush(context: context)
    }

    /// Sends what is sealed: the short way what the socket takes at once.
    private func sendOutgoing(_ context: ChannelHandlerContext) {
        guard !self.isCut, self.connection.outgoingCount > 0 || !self.unflushed.isEmpty else { return }
        let rest = self.connection.takeOutgoing(context.channel.allocator) {
            self.direct?.send($0, on: context.channel) ?? 0
        }
        let promise = self.takeUnflushed()
        if rest == nil, self.direct?.isClear == true {
            promise?.succeed()
        } else {
            self.direct?.noteWrite()
            context.writeAndFlush(self.wrapOutboundOut(rest ?? ByteBuffer()), promise: promise)
        }
    }

    /// A large write: what is sealed of it does not wait for the rest.
    private func queueOutgoing(_ context: ChannelHandlerContext) {
        guard let sealed = self.connection.takeOutgoing(context.channel.allocator) else { return }
        self.direct?.noteWrite()
        context.write(self.wrapOutboundOut(sealed), promise: nil)
    }

    /// One promise for all writes that are sealed and not flushed.
    private func takeUnflushed() -> EventLoopPromise<Void>? {
        let promises = self.unflushed
        self.unflushed = []
        guard let first = promises.first else { return nil }
        for promise in promises.dropFirst() { first.futureResult.cascade(to: promise) }
        return first
    }

    // MARK: Closing

    func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard event is Cut else {
            context.triggerUserOutboundEvent(event, promise: promise)
            return
        }
        self.isCut = true
        promise?.succeed()
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch mode {
        case .all:
            guard let time = self.farewellTime, self.mayStillWrite, !self.isCut else {
                self.closeAtOnce(context, promise: promise)
                return
            }
            if let promise { context.channel.closeFuture.cascade(to: promise) }
            self.closeBehindOutput(context, time)
        case .output:
            guard self.mayStillWrite else {
                promise?.fail(ChannelError.outputClosed)
                return
            }
            self.sayFarewell()
            self.sendOutgoing(context)
            context.close(mode: .output, promise: promise)
        case .input:
            promise?.fail(ChannelError.operationUnsupported)
        }
    }

    private var mayStillWrite: Bool {
        (self.state == .open || self.state == .inputClosed) && !self.saidFarewell
    }

    private func sayFarewell() {
        self.saidFarewell = true
        self.connection.sayFarewell()
    }

    private func closeAtOnce(_ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        if self.mayStillWrite, !self.isCut { self.sayFarewell() }
        self.sendOutgoing(context)
        self.end()
        context.close(mode: .all, promise: promise)
    }

    /// The farewell goes behind what was written, the FIN behind the farewell, and the rest of the socket when the peer has
    /// closed its side, or did not in time.
    private func closeBehindOutput(_ context: ChannelHandlerContext, _ time: TimeAmount) {
        self.sayFarewell()
        self.state = .closing
        self.sendOutgoing(context)
        let channel = context.channel
        self.farewellTimer = context.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
        context.close(mode: .output, promise: nil)
    }

    /// What the peer still says is nobody's any more.
    private func awaitFarewell(_ context: ChannelHandlerContext) {
        var nobodys = self.buffers.take(4 << 10)
        while self.connection.readableBytesBound > 0 {
            nobodys.clear()
            let step = self.connection.read(into: &nobodys)
            self.nobodysBytesLeft -= nobodys.readableBytes
            if step == .needsBytes { return }
            guard step == .done, self.nobodysBytesLeft > 0 else {
                self.closeAtOnce(context, promise: nil)
                return
            }
        }
    }
}

/// What ends a TLS connection early.
enum TLSFault: Error, Sendable, Equatable {
    /// The peer did not prove its name, or broke the protocol.
    case refused
    /// The connection was cut without a farewell.
    case truncated
}
