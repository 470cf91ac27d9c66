import NIOCore
import NIOPosix
import Synchronization

/// A server on loopback that answers as the test says, byte by byte, and remembers what it was sent.
final class NastyServer: Sendable {
    struct Request: Sendable, Hashable {
        var method: String
        var target: String
        var version: String
        /// Names in lower case.
        var headers: [String: String]
        var body: String
    }

    /// What happens after a request; then the connection stays open for the next one.
    enum Answer: Sendable {
        case bytes(String)
        /// The bytes, then the end of the connection.
        case cut(String)
        /// Nothing, and the connection stays open.
        case silence
        /// Nothing, and then neither this connection nor anybody who listens.
        case vanish
    }

    /// Stays known when the server has stopped.
    let port: Int
    private let channel: any Channel
    private let log: ServerLog

    /// - Parameter answer: to the n-th request, counted from 0 over all connections.
    init(_ answer: @escaping @Sendable (Int, Request) -> Answer) async throws {
        let log = ServerLog(answer)
        self.log = log
        self.channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    log.connected()
                    try channel.pipeline.syncOperations.addHandler(ServerHandler(log))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.port = self.channel.localAddress?.port ?? 0
    }

    /// The n-th request gets the n-th answer, and the last answer is repeated.
    convenience init(_ answers: [Answer]) async throws {
        try await self.init { index, _ in answers[min(index, answers.count - 1)] }
    }

    var requests: [Request] { self.log.requests }
    var connections: Int { self.log.connections }

    func stop() async { try? await self.channel.close() }

    /// Waits until so many requests have come whole.
    func waitForRequests(_ count: Int) async {
        while self.requests.count < count { try? await Task.sleep(for: .milliseconds(2)) }
    }
}

final class ServerLog: Sendable {
    private struct State {
        var requests: [NastyServer.Request] = []
        var connections = 0
    }

    private let state = Mutex(State())
    private let answer: @Sendable (Int, NastyServer.Request) -> NastyServer.Answer

    init(_ answer: @escaping @Sendable (Int, NastyServer.Request) -> NastyServer.Answer) {
        self.answer = answer
    }

    var requests: [NastyServer.Request] { self.state.withLock { $0.requests } }
    var connections: Int { self.state.withLock { $0.connections } }
    func connected() { self.state.withLock { $0.connections += 1 } }

    func received(_ request: NastyServer.Request) -> NastyServer.Answer {
        let index = self.state.withLock { state in
            state.requests.append(request)
            return state.requests.count - 1
        }
        return self.answer(index, request)
    }
}

private final class ServerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let log: ServerLog
    private var received: [UInt8] = []

    init(_ log: ServerLog) { self.log = log }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.received += Array(self.unwrapInboundIn(data).readableBytesView)
        while let request = self.nextRequest() {
            switch self.log.received(request) {
            case .bytes(let text):
                context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            case .cut(let text):
                let buffer = self.wrapOutboundOut(ByteBuffer(string: text))
                context.writeAndFlush(buffer).assumeIsolated().whenComplete { _ in context.close(promise: nil)
                }
            case .silence: break
            case .vanish:
                context.channel.parent?.close().hop(to: context.eventLoop).assumeIsolated().whenComplete {
                    _ in
                    context.close(promise: nil)
                }
            }
        }
    }

    /// Requests with a Content-Length, or without a body.
    private func nextRequest() -> NastyServer.Request? {
        let text = String(decoding: self.received, as: UTF8.self)
        guard let headEnd = text.firstRange(of: "\r\n\r\n") else { return nil }
        let lines = text[..<headEnd.lowerBound].split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count == 3 else { return nil }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = String(
                line[line.index(after: colon)...].drop { $0 == " " })
        }
        let rest = text[headEnd.upperBound...].utf8
        let length = headers["content-length"].flatMap { Int($0) } ?? 0
        guard rest.count >= length else { return nil }
        let body = String(decoding: rest.prefix(length), as: UTF8.self)
        self.received.removeFirst(self.received.count - rest.count + length)
        return NastyServer.Request(
            method: String(words[0]), target: String(words[1]), version: String(words[2]), headers: headers,
            body: body)
    }
}

extension NastyServer.Answer {
    static func reply(_ status: Int, _ body: String, headers: [String] = []) -> NastyServer.Answer {
        .bytes(Self.text(status, body, headers: headers))
    }

    /// A whole reply, of which `.cut` may give a part.
    static func text(_ status: Int, _ body: String, headers: [String] = []) -> String {
        let lines = ["HTTP/1.1 \(status) X", "Content-Length: \(body.utf8.count)"] + headers + ["", body]
        return lines.joined(separator: "\r\n")
    }
}
