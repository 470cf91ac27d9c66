import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2
import Testing

@testable import Proxy

/// A client's HTTP/2 connection, frame by frame, on a clock that the test turns: when it closes, and what its faults end.
@Suite struct ListenerSessionTests {
    /// Answers each request with what the test says; the first bytes of a request are asked of it.
    private final class Answering: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let reply: (String) -> String?
        init(_ reply: @escaping (String) -> String?) { self.reply = reply }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard let reply = self.reply(String(buffer: self.unwrapInboundIn(data))) else { return }
            let written = context.eventLoop.makePromise(of: Void.self)
            let channel = context.channel
            written.futureResult.whenComplete { _ in channel.close(promise: nil) }
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: reply)), promise: written)
        }
    }

    private final class Rig {
        let channel: EmbeddedChannel
        private(set) var isClosed = false

        init(settings: [(UInt16, UInt32)] = [], reply: @escaping (String) -> String?) throws {
            var timeouts = DataPlaneConfiguration.Timeouts()
            timeouts.clientHead = .seconds(3)
            timeouts.keepAlive = .seconds(60)
            let channel = EmbeddedChannel()
            self.channel = channel
            try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 443)).wait()
            let pipeline = ListenerPipeline(tls: nil, timeouts: timeouts, headBytesMax: 1 << 16)
            try pipeline.installHTTP2(
                on: channel, onOpen: { _ in }, onClose: { [weak self] _ in self?.isClosed = true },
                makeConnection: { _, _ in Answering(reply) })
            try self.receive(ByteBuffer(string: HTTP2Bytes.preface), HTTP2Bytes.settings(settings))
            _ = try self.written()
        }

        func receive(_ frames: ByteBuffer...) throws {
            for frame in frames { try self.channel.writeInbound(frame) }
            self.channel.embeddedEventLoop.run()
        }

        func pass(_ time: TimeAmount) { self.channel.embeddedEventLoop.advanceTime(by: time) }

        /// Frames of streams, and of the connection's end, since the last call.
        func written() throws -> [HTTP2Bytes.Frame] {
            try HTTP2Bytes.written(by: self.channel).filter {
                $0.stream > 0 && $0.kind != .windowUpdate || $0.kind == .goAway || $0.kind == .ping
            }
        }

        func end() { _ = try? self.channel.finish(acceptAlreadyClosed: true) }
    }

    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    private static let get = [
        (":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "x"),
    ]

    private func with(
        settings: [(UInt16, UInt32)] = [], reply: @escaping (String) -> String? = { _ in Self.ok },
        _ body: (Rig) throws -> Void
    ) throws {
        let rig = try Rig(settings: settings, reply: reply)
        defer { rig.end() }
        try body(rig)
    }

    // MARK: Idle connections

    /// NIOHTTP2's management waits for the answer to a PING before it closes; this client gives none.
    @Test func anIdleConnectionClosesWithoutItsClient() throws {
        try self.with { rig throws in
            try rig.receive(HTTP2Bytes.headers(Self.get, stream: 1))
            #expect(try rig.written().filter(\.endsStream).count == 1)
            rig.pass(.seconds(59))
            #expect(try rig.written() == [])
            rig.pass(.seconds(1))
            #expect(try rig.written().map(\.kind) == [.goAway, .ping])
            rig.pass(.seconds(9))
            #expect(!rig.isClosed)
            rig.pass(.seconds(1))
            #expect(rig.isClosed)
        }
    }

    @Test func aConnectionOnWhichARequestRunsIsNotIdle() throws {
        try self.with(reply: { _ in nil }) { rig in
            try rig.receive(HTTP2Bytes.headers(Self.get, stream: 1))
            rig.pass(.hours(1))
            #expect(!rig.isClosed)
        }
    }

    @Test func aConnectionWithoutARequestCloses() throws {
        try self.with { rig throws in
            rig.pass(.milliseconds(2900))
            #expect(!rig.isClosed)
            // Frames of no request win no time.
            try rig.receive(HTTP2Bytes.frame(.ping, payload: ByteBuffer(repeating: 0, count: 8)))
            rig.pass(.milliseconds(100))
            #expect(rig.isClosed)
        }
    }

    // MARK: Malformed messages

    static let malformed: [[(String, String)]] = [
        Array(get.dropLast()), Array(get.dropFirst()), get + [("connection", "close")],
        get + [("X-Upper", "y")], get + [("x", "a\rb")], get + [("te", "gzip")], get + [(":path", "/")],
        [("x", "y")] + get, get + [(":status", "200")], get + [("content-length", "x")],
        get + [("content-length", "9")],
    ]

    /// A gateway's connection carries the requests of many, one of whom may send nonsense.
    @Test(arguments: malformed) func aMalformedRequestEndsItsStreamAlone(fields: [(String, String)]) throws {
        // The first one is answered when its body has come.
        try self.with(reply: { $0.contains("content-length: 1\r\n") ? nil : Self.ok }) { rig throws in
            try rig.receive(
                HTTP2Bytes.headers(Self.get + [("content-length", "1")], stream: 1, endsStream: false),
                HTTP2Bytes.headers(fields, stream: 3))
            #expect(try rig.written() == [.init(kind: .reset, stream: 3, endsStream: false)])
            try rig.receive(
                HTTP2Bytes.headers(Self.get, stream: 5),
                HTTP2Bytes.frame(
                    .data, flags: HTTP2Bytes.endStream, stream: 1, payload: ByteBuffer(string: "x")))
            let ended = try rig.written().filter(\.endsStream).map(\.stream)
            #expect(ended == [5, 1] && !rig.isClosed)
        }
    }

    /// What runs goes on; nothing new is taken, and the connection closes behind it.
    @Test(arguments: malformed) func manyMalformedRequestsEndTheConnection(fields: [(String, String)]) throws
    {
        try self.with(reply: { _ in nil }) { rig throws in
            let body = HTTP2Bytes.frame(
                .data, flags: HTTP2Bytes.endStream, stream: 1, payload: ByteBuffer(string: "x"))
            try rig.receive(
                HTTP2Bytes.headers(Self.get + [("content-length", "1")], stream: 1, endsStream: false))
            for number in 1...20 {
                #expect(try !rig.written().contains { $0.kind == .goAway }, "\(number)")
                try rig.receive(HTTP2Bytes.headers(fields, stream: 2 * number + 1))
            }
            #expect(try rig.written().contains { $0.kind == .goAway })
            try rig.receive(HTTP2Bytes.headers(Self.get, stream: 99))
            #expect(try rig.written() == [.init(kind: .reset, stream: 99, endsStream: false)])
            rig.pass(.minutes(1))
            #expect(!rig.isClosed)
            try rig.receive(body)
            try rig.receive(HTTP2Bytes.frame(.reset, stream: 1, payload: ByteBuffer(repeating: 0, count: 4)))
            rig.pass(.seconds(10))
            #expect(rig.isClosed)
        }
    }

    // MARK: Replies

    /// NIOHTTP2 would end the connection over a head that is longer than the client's frames.
    @Test func aReplyWithAHeadTooLongIsResetAlone() throws {
        let long =
            "HTTP/1.1 200 OK\r\nX: \(String(repeating: "~", count: 20_000))\r\nContent-Length: 2\r\n\r\nok"
        try self.with(reply: { $0.hasPrefix("GET /long") ? long : nil }) { rig in
            try rig.receive(HTTP2Bytes.headers(Self.get, stream: 1))
            var asked = Self.get
            asked[2] = (":path", "/long")
            try rig.receive(HTTP2Bytes.headers(asked, stream: 3))
            #expect(try rig.written() == [.init(kind: .reset, stream: 3, endsStream: false)])
            #expect(!rig.isClosed)
        }
        try self.with(settings: [(5, 1 << 16)], reply: { _ in long }) { rig in
            try rig.receive(HTTP2Bytes.headers(Self.get, stream: 1))
            #expect(try rig.written().map(\.kind) == [.headers, .data])
        }
    }

    /// A refusal is written before anybody knows that HEAD was asked for, and has a body.
    @Test(arguments: ["HEAD", "GET"]) func aReplyToHEADEndsWithItsHead(method: String) throws {
        try self.with(reply: { _ in "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno" }) { rig in
            var asked = Self.get
            asked[0] = (":method", method)
            try rig.receive(HTTP2Bytes.headers(asked, stream: 1))
            let kinds: [HTTP2Bytes.Kind?] = method == "HEAD" ? [.headers] : [.headers, .data]
            let written = try rig.written()
            #expect(written.map(\.kind) == kinds && written.last?.endsStream == true)
        }
    }

    @Test(arguments: ["204 No Content", "304 Not Modified"])
    func aReplyWithoutABodyEndsWithItsHead(status: String) throws {
        try self.with(reply: { _ in "HTTP/1.1 \(status)\r\nContent-Length: 2\r\n\r\nno" }) { rig in
            try rig.receive(HTTP2Bytes.headers(Self.get, stream: 1))
            #expect(try rig.written() == [.init(kind: .headers, stream: 1, endsStream: true)])
        }
    }

    /// Bytes behind a reply with a body are a defect of ours, and not a second reply.
    @Test func nothingFollowsAReply() throws {
        try self.with(reply: { _ in Self.ok + Self.ok }) { rig in
            try rig.receive(HTTP2Bytes.headers(Self.get, stream: 1))
            #expect(try rig.written().filter { $0.kind == .headers }.count <= 1)
        }
    }
}
