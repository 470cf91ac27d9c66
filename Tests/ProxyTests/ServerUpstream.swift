import Glibc
import NIOCore
import NIOPosix

/// The upstream of a whole proxy: reads requests with their bodies and leaves each reply to the test, piece
/// by piece.
final class ServerUpstream: Sendable {
    struct State: Sendable {
        var connections = 0
        var channels: [Int: any Channel] = [:]
        var open: Int { self.channels.count }
        /// Requests read to their end, in the order of their ends.
        var calls: [UpstreamCall] = []
        /// Connections that have read a request and not replied in full.
        var busy: Set<Int> = []
        var bytesRead = 0
        /// Bytes of `pump` that the kernel took, by connection.
        var bytesPumped: [Int: Int] = [:]
    }

    let port: Int
    let watched: Watched<State>
    private let listener: any Channel

    /// - Parameters:
    ///   - readsRequests: false: connections are accepted and nothing is read from them.
    ///   - earlyReply: written at the first byte of a request, of which no more is read then.
    ///   - onCall: answers each request; without it the test does.
    static func start(
        readsRequests: Bool = true, earlyReply: String? = nil,
        onCall: (@Sendable (UpstreamCall) -> Void)? = nil
    ) async throws -> ServerUpstream {
        let watched = Watched(State())
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.autoRead, value: readsRequests)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        UpstreamCallHandler(watched, earlyReply, onCall))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return ServerUpstream(listener, watched)
    }

    private init(_ listener: any Channel, _ watched: Watched<State>) {
        self.listener = listener
        self.port = listener.localAddress?.port ?? 0
        self.watched = watched
    }

    var state: State { self.watched.state }

    /// The `number`-th request, from 0, once it was read.
    func call(_ number: Int = 0) async throws -> UpstreamCall {
        guard await self.watched.until({ $0.calls.count > number }) else {
            throw NeverHappened("upstream request \(number)")
        }
        return self.state.calls[number]
    }

    /// Waits until the kernel takes no more of what is pumped into a connection. Returns the bytes that it
    /// took.
    func stalls(_ connection: Int) async throws -> Int {
        var last = -1
        while case let now = self.state.bytesPumped[connection, default: 0], now != last || now == 0 {
            last = now
            let goesOn = await self.watched.until(within: .milliseconds(400)) {
                $0.bytesPumped[connection, default: 0] > now || $0.channels[connection] == nil
            }
            if goesOn, self.state.channels[connection] == nil {
                throw NeverHappened("a stall; it was closed")
            }
        }
        return last
    }

    func stop() async { try? await self.listener.close() }

    /// Reads what waits in the sockets, ends behind it included.
    func resumeReading() async {
        for channel in self.state.channels.values {
            try? await channel.setOption(.autoRead, value: true).get()
        }
    }
}

/// A request that upstream has read.
struct UpstreamCall: Sendable {
    let number: Int
    let connection: Int
    let head: String
    let body: String
    let channel: any Channel

    /// All of the reply: the connection is idle again.
    func reply(_ text: String) {
        self.channel.triggerUserOutboundEvent(ReplyEvent.complete, promise: nil)
        self.send(text)
    }

    func send(_ text: String) { self.send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) { self.channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }

    /// All of the reply, each byte on a turn of its own.
    ///
    /// - Parameter closes: closes the connection behind it.
    func replyByteByByte(_ text: String, closes: Bool = false) {
        self.channel.triggerUserOutboundEvent(ReplyEvent.complete, promise: nil)
        self.channel.triggerUserOutboundEvent(
            ReplyEvent.slowly(Array(text.utf8)[...], closes: closes), promise: nil)
    }

    /// Sends `text` again and again, until the connection is closed.
    func drip(_ text: String, every time: TimeAmount) {
        self.channel.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: time) { task in
            if self.channel.isActive { self.send(text) } else { task.cancel() }
        }
    }

    /// Writes `piece` so many times, as fast as the socket takes it.
    ///
    /// - Parameter end: the end of the reply, written behind the last piece, however busy the test is.
    func pump(_ piece: ByteBuffer, times: Int, then end: String? = nil) {
        self.channel.triggerUserOutboundEvent(ReplyEvent.pump(piece, times, then: end), promise: nil)
    }

    func close() { self.channel.close(promise: nil) }

    /// RST.
    func reset() {
        (self.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
            .whenComplete { [channel] _ in channel.close(promise: nil) }
    }

    fileprivate enum ReplyEvent: Sendable {
        case complete
        case slowly(ArraySlice<UInt8>, closes: Bool)
        case pump(ByteBuffer, Int, then: String?)
    }
}

private final class UpstreamCallHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let watched: Watched<ServerUpstream.State>
    private let earlyReply: String?
    private let onCall: (@Sendable (UpstreamCall) -> Void)?
    private var inbox: [UInt8] = []
    private var connection = 0
    private var hasReplied = false
    private var piece = ByteBuffer()
    private var piecesLeft = 0
    private var endOfPieces: String?

    init(
        _ watched: Watched<ServerUpstream.State>, _ earlyReply: String?,
        _ onCall: (@Sendable (UpstreamCall) -> Void)?
    ) {
        self.watched = watched
        self.earlyReply = earlyReply
        self.onCall = onCall
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        self.connection = self.watched.update { state in
            state.connections += 1
            state.channels[state.connections] = channel
            return state.connections
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let connection = self.connection
        self.watched.update { state in
            state.channels[connection] = nil
            state.busy.remove(connection)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = self.unwrapInboundIn(data)
        self.watched.update { $0.bytesRead += bytes.readableBytes }
        if let earlyReply {
            guard !self.hasReplied else { return }
            self.hasReplied = true
            try? context.channel.syncOptions?.setOption(.autoRead, value: false)
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: earlyReply)), promise: nil)
            return
        }
        self.inbox += bytes.readableBytesView
        while let (head, body) = self.takeRequest() {
            let (connection, channel) = (self.connection, context.channel)
            let call = self.watched.update { state -> UpstreamCall in
                let call = UpstreamCall(
                    number: state.calls.count, connection: connection, head: head, body: body,
                    channel: channel)
                state.calls.append(call)
                state.busy.insert(connection)
                return call
            }
            self.onCall?(call)
        }
    }

    /// A head and as many bytes as its `Content-Length` says.
    private func takeRequest() -> (String, String)? {
        guard let blank = self.inbox.end(of: Array("\r\n\r\n".utf8)) else { return nil }
        let head = String(decoding: self.inbox[..<blank], as: UTF8.self)
        let length =
            head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length: ") }
            .flatMap { Int($0.dropFirst(16)) } ?? 0
        guard self.inbox.count >= blank + length else { return nil }
        let body = String(decoding: self.inbox[blank..<blank + length], as: UTF8.self)
        self.inbox.removeFirst(blank + length)
        return (head, body)
    }

    func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        switch event as? UpstreamCall.ReplyEvent {
        case .complete:
            self.isReplied()
        case .slowly(let bytes, let closes):
            self.writeSlowly(bytes, closes: closes, context)
        case .pump(let piece, let times, let end):
            self.piece = piece
            self.piecesLeft = times
            self.endOfPieces = end
            self.pump(context)
        case nil:
            break
        }
        promise?.succeed()
    }

    private func isReplied() {
        let connection = self.connection
        self.watched.update { _ = $0.busy.remove(connection) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { self.pump(context) }

    private func writeSlowly(_ bytes: ArraySlice<UInt8>, closes: Bool, _ context: ChannelHandlerContext) {
        guard let first = bytes.first else {
            if closes { context.close(promise: nil) }
            return
        }
        let rest = bytes.dropFirst()
        let onLoop = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        // A turn of the loop of its own after the byte went out: the reader sees it alone, or nearly.
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: [first]))).whenSuccess {
            onLoop.value.1.eventLoop.execute {
                let (handler, context) = onLoop.value
                handler.writeSlowly(rest, closes: closes, context)
            }
        }
    }

    private func pump(_ context: ChannelHandlerContext) {
        while self.piecesLeft > 0, context.channel.isWritable {
            self.piecesLeft -= 1
            let (count, connection) = (self.piece.readableBytes, self.connection)
            context.writeAndFlush(self.wrapOutboundOut(self.piece)).whenSuccess { [watched] in
                watched.update { $0.bytesPumped[connection, default: 0] += count }
            }
        }
        guard self.piecesLeft == 0, let end = self.endOfPieces else { return }
        self.endOfPieces = nil
        self.isReplied()
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: end)), promise: nil)
    }
}
