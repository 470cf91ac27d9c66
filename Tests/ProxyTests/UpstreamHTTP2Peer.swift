import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL

@testable import Proxy

/// An upstream that speaks HTTP/2 frame by frame: it reads requests and says only what the test has it say.
final class UpstreamHTTP2Peer: Sendable {
    struct Request: Sendable {
        let connection: Int
        let stream: HTTP2StreamID
        let headers: HPACKHeaders
        var body = ""
        var isWhole = false
    }

    struct State: Sendable {
        var channels: [any Channel] = []
        var open = 0
        var requests: [Request] = []
        /// RST_STREAM of ours that it got, with their codes.
        var resets: [(HTTP2StreamID, HTTP2ErrorCode)] = []
        var pings = 0
        var dataWritten = 0
    }

    let watched: Watched<State>
    let port: Int
    private let listener: any Channel

    private init(_ listener: any Channel, _ watched: Watched<State>) {
        self.listener = listener
        self.port = listener.localAddress?.port ?? 0
        self.watched = watched
    }

    static func start(
        _ authority: UpstreamTLSTests.Authority, settings: [HTTP2Setting] = []
    ) async throws -> UpstreamHTTP2Peer {
        let chain = try NIOSSLCertificate.fromPEMFile(authority.path("server.pem"))
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: authority.path("server.key"), format: .pem)))
        tls.applicationProtocols = ["h2"]
        let (context, watched) = (try NIOSSLContext(configuration: tls), Watched(State()))
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = settings
        connection.headerBlockValidation = .disabled
        connection.contentLengthValidation = .disabled
        // The tests do more than a hostile client may.
        connection.controlFrameRateLimit.maximumCount = 10_000
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.streamResetFrameRateLimit.maximumCount = 10_000
        let (connectionConfiguration, streamConfiguration) = (connection, stream)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(NIOSSLServerHandler(context: context))
                    try pipeline.addHandler(
                        NIOHTTP2Handler(
                            mode: .server, frameDelegate: nil,
                            connectionConfiguration: connectionConfiguration,
                            streamConfiguration: streamConfiguration))
                    try pipeline.addHandler(Frames(watched))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return UpstreamHTTP2Peer(listener, watched)
    }

    func stop() async {
        try? await self.listener.close()
        for channel in self.watched.state.channels { try? await channel.close() }
    }

    var requests: [Request] { self.watched.state.requests }

    /// The `number`-th request, from 0, once all of it is there.
    func request(_ number: Int) async throws -> Request {
        guard await self.watched.until({ $0.requests.count > number && $0.requests[number].isWhole }) else {
            throw NeverHappened("request \(number) over HTTP/2")
        }
        return self.requests[number]
    }

    // MARK: What it says

    func send(_ payloads: HTTP2Frame.FramePayload..., on request: Request) {
        self.send(payloads.map { HTTP2Frame(streamID: request.stream, payload: $0) }, request.connection)
    }

    func send(_ frames: [HTTP2Frame], _ connection: Int) {
        let channel = self.watched.state.channels[connection]
        channel.eventLoop.execute {
            for frame in frames { channel.pipeline.write(frame, promise: nil) }
            channel.pipeline.flush()
        }
    }

    /// What its own NIOHTTP2 would not write.
    func sendRaw(_ frames: [ByteBuffer], _ connection: Int) {
        let channel = self.watched.state.channels[connection]
        channel.eventLoop.execute {
            let operations = channel.pipeline.syncOperations
            guard let handler = try? operations.context(handlerType: NIOHTTP2Handler.self) else { return }
            for frame in frames { handler.write(NIOAny(IOData.byteBuffer(frame)), promise: nil) }
            handler.flush()
        }
    }

    func settle(_ settings: [HTTP2Setting], _ connection: Int) {
        self.send([HTTP2Frame(streamID: .rootStream, payload: .settings(.settings(settings)))], connection)
    }

    /// It is there, and neither reads nor answers any more.
    func fallSilent(_ connection: Int) async throws {
        try await self.watched.state.channels[connection].setOption(.autoRead, value: false).get()
    }

    func goAway(after stream: HTTP2StreamID, _ connection: Int) {
        self.send(
            [
                HTTP2Frame(
                    streamID: .rootStream,
                    payload: .goAway(lastStreamID: stream, errorCode: .noError, opaqueData: nil))
            ], connection)
    }

    static func head(_ fields: [(String, String)] = [], status: String = "200", end: Bool = false)
        -> HTTP2Frame.FramePayload
    {
        .headers(.init(headers: HPACKHeaders([(":status", status)] + fields), endStream: end))
    }

    static func data(_ text: String, end: Bool = false) -> HTTP2Frame.FramePayload {
        .data(.init(data: .byteBuffer(ByteBuffer(string: text)), endStream: end))
    }

    func answer(_ request: Request, _ text: String = "hello") {
        self.send(Self.head(), Self.data(text, end: true), on: request)
    }

    private final class Frames: ChannelInboundHandler {
        typealias InboundIn = HTTP2Frame
        typealias OutboundOut = HTTP2Frame
        private let watched: Watched<State>
        private var connection = 0

        init(_ watched: Watched<State>) { self.watched = watched }

        func channelActive(context: ChannelHandlerContext) {
            let channel = context.channel
            self.connection = self.watched.update { state in
                state.channels.append(channel)
                state.open += 1
                return state.channels.count - 1
            }
            context.fireChannelActive()
        }

        func channelInactive(context: ChannelHandlerContext) { self.watched.update { $0.open -= 1 } }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let (frame, connection) = (self.unwrapInboundIn(data), self.connection)
            self.watched.update { state in
                switch frame.payload {
                case .headers(let headers):
                    state.requests.append(
                        Request(
                            connection: connection, stream: frame.streamID, headers: headers.headers,
                            isWhole: headers.endStream))
                case .data(let data):
                    let index = state.requests.firstIndex {
                        $0.connection == connection && $0.stream == frame.streamID
                    }
                    guard let index, case .byteBuffer(let bytes) = data.data else { return }
                    state.requests[index].body += String(buffer: bytes)
                    state.requests[index].isWhole = data.endStream
                case .rstStream(let code): state.resets.append((frame.streamID, code))
                case .ping(_, ack: false): state.pings += 1
                default: break
                }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {}
    }
}
