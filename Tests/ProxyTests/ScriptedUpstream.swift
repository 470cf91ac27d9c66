import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// An upstream that answers the n-th request it gets with the n-th step of its script (the last step
/// repeats).
final class ScriptedUpstream: Sendable {
    enum Step: Sendable {
        case reply(String)
        /// One byte per write, each on a turn of its own.
        case replyByteByByte(String)
        case replyThenClose(String)
        /// A reset after the bytes went out, or, over TLS, an end without the closing message.
        case replyThenCut(String)
        /// A body of this many bytes, written as fast as the socket takes it.
        case body(Int)
        /// Kept back until `answerHeld`.
        case hold
        case close
    }

    struct Seen: Sendable {
        var connections = 0
        var requests: [String] = []
        /// Bytes of `body` that the kernel took.
        var bodyBytesWritten = 0
    }

    let port: Int
    private let listener: any Channel
    private let script: [Step]
    private let seen = Mutex(Seen())
    private let channels = Mutex<[any Channel]>([])

    /// - Parameters:
    ///   - onAccept: written to each new connection, which is never read from.
    static func start(
        _ script: [Step], tls: NIOSSLContext? = nil, onAccept: String? = nil,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) async throws -> ScriptedUpstream {
        // The children need the server, and the server needs the port.
        let late = Mutex<ScriptedUpstream?>(nil)
        let holder = Late(late)
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.autoRead, value: onAccept == nil)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    guard let server = holder.server else { return }
                    try channel.pipeline.syncOperations.addHandler(
                        UpstreamHandler(server, onAccept: onAccept))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = ScriptedUpstream(listener, script)
        holder.set(server)
        return server
    }

    private init(_ listener: any Channel, _ script: [Step]) {
        self.listener = listener
        self.port = listener.localAddress?.port ?? 0
        self.script = script
    }

    var state: Seen { self.seen.withLock { $0 } }

    func stop() async {
        try? await self.listener.close()
        for channel in self.channels.withLock({ $0 }) { try? await channel.close() }
    }

    /// Writes to every connection, asked or not.
    func writeToAll(_ text: String) async throws {
        for channel in self.channels.withLock({ $0 }) {
            try await channel.writeAndFlush(ByteBuffer(string: text))
        }
    }

    /// Without waiting until it is written.
    func writeToAllNow(_ text: String) {
        for channel in self.channels.withLock({ $0 }) {
            channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
        }
    }

    /// To every connection, as it stands.
    func writeBelowTLS(_ bytes: [UInt8]) async throws {
        for channel in self.channels.withLock({ $0 }) {
            try await channel.eventLoop.submit {
                let tls = try channel.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
                tls.writeAndFlush(NIOAny(ByteBuffer(bytes: bytes)), promise: nil)
            }.get()
        }
    }

    func closeAll() async {
        for channel in self.channels.withLock({ $0 }) { try? await channel.close() }
    }

    /// Closes every TLS connection at once, without waiting for the other side's farewell, as nginx does; does not
    /// wait for the close either.
    func leaveAll(sayingFarewell: Bool) {
        for channel in self.channels.withLock({ $0 }) {
            channel.eventLoop.execute {
                let tls = try? channel.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
                if sayingFarewell { channel.close(promise: nil) }
                tls?.close(promise: nil)
            }
        }
    }

    fileprivate func accepted(_ channel: any Channel) {
        self.seen.withLock { $0.connections += 1 }
        self.channels.withLock { $0.append(channel) }
    }

    fileprivate func next(_ request: String) -> Step {
        let number = self.seen.withLock { seen in
            seen.requests.append(request)
            return seen.requests.count
        }
        return self.script[min(number, self.script.count) - 1]
    }

    fileprivate func wrote(_ count: Int) { self.seen.withLock { $0.bodyBytesWritten += count } }

    private final class Late: Sendable {
        private let box: Mutex<ScriptedUpstream?>
        init(_ box: consuming Mutex<ScriptedUpstream?>) { self.box = box }
        var server: ScriptedUpstream? { self.box.withLock { $0 } }
        func set(_ server: ScriptedUpstream) { self.box.withLock { $0 = server } }
    }
}

/// One connection of a scripted upstream; a request ends at its blank line (the tests send no bodies here).
private final class UpstreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let server: ScriptedUpstream
    private let onAccept: String?
    private var inbox = ""
    private var bodyLeft = 0

    init(_ server: ScriptedUpstream, onAccept: String?) {
        self.server = server
        self.onAccept = onAccept
    }

    func channelActive(context: ChannelHandlerContext) {
        self.server.accepted(context.channel)
        if let onAccept { self.write(onAccept, context) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.inbox += String(buffer: self.unwrapInboundIn(data))
        while self.inbox.utf8.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            let request = self.inbox
            self.inbox = ""
            self.perform(self.server.next(request), context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelWritabilityChanged(context: ChannelHandlerContext) { self.writeBody(context) }

    private func perform(_ step: ScriptedUpstream.Step, _ context: ChannelHandlerContext) {
        switch step {
        case .reply(let text): self.write(text, context)
        case .replyByteByByte(let text): self.writeSlowly(Array(text.utf8)[...], context)
        case .replyThenClose(let text):
            self.write(text, context)
            context.close(promise: nil)
        case .replyThenCut(let text):
            self.write(text, context)
            self.cut(context)
        case .body(let count):
            self.write("HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n", context)
            self.bodyLeft = count
            self.writeBody(context)
        case .hold: break
        case .close: context.close(promise: nil)
        }
    }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }

    private func writeSlowly(_ bytes: ArraySlice<UInt8>, _ context: ChannelHandlerContext) {
        guard let first = bytes.first else { return }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: [first])), promise: nil)
        let rest = bytes.dropFirst()
        let onLoop = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: .microseconds(200)) {
            let (handler, context) = onLoop.value
            handler.writeSlowly(rest, context)
        }
    }

    private func cut(_ context: ChannelHandlerContext) {
        // Past the TLS handler, so that it cannot say good-bye.
        if let tls = try? context.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self) {
            tls.close(promise: nil)
            return
        }
        let onLoop = NIOLoopBound(context, eventLoop: context.eventLoop)
        // The client must have read the bytes first: a reset takes what it has not read.
        context.eventLoop.scheduleTask(in: .milliseconds(50)) {
            let context = onLoop.value
            (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                .assumeIsolated().whenComplete { _ in onLoop.value.close(promise: nil) }
        }
    }

    private func writeBody(_ context: ChannelHandlerContext) {
        while self.bodyLeft > 0, context.channel.isWritable {
            let count = min(self.bodyLeft, 64 << 10)
            self.bodyLeft -= count
            let written = context.eventLoop.makePromise(of: Void.self)
            written.futureResult.whenSuccess { [server] in server.wrote(count) }
            let bytes = ByteBuffer(repeating: UInt8(ascii: "x"), count: count)
            context.writeAndFlush(self.wrapOutboundOut(bytes), promise: written)
        }
    }
}
