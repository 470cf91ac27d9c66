import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import Testing

@testable import Proxy

/// A control-plane reply must end where its client thinks it ends, or the next one begins inside of it.
@Suite(.timeLimit(.minutes(5))) struct ControlReplyWriterTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var status = 200
        var fields: [(String, String)] = []
        var body = ""
        var isHead = false
        var minorVersion = 1
        /// Behind the status line, without the date.
        var written: String
        var endsWithConnection = false
    }

    private static func write(_ test: Case) async throws -> (text: String, endsWithConnection: Bool) {
        let channel = NIOAsyncTestingChannel()
        try await channel.connect(to: SocketAddress(unixDomainSocketPath: "/x"))
        let writer = ControlReplyWriter(
            channel: channel, headOnly: test.isHead, close: false, chunkedAllowed: test.minorVersion == 1,
            announcesKeepAlive: false)
        let fields = test.fields.map { (name: $0.0, value: $0.1) }
        try await writer.head(ControlResponseHead(status: test.status, reason: "R", fields: fields))
        for piece in test.body.split(separator: "|") {
            try await writer.body(ByteBuffer(string: String(piece)))
        }
        var endsWithConnection = false
        do {
            try await writer.end()
        } catch is ControlReplyWriter.EndsWithConnection {
            endsWithConnection = true
        }
        var text = ""
        while let bytes = try await channel.readOutbound(as: ByteBuffer.self) {
            text += String(buffer: bytes)
        }
        #expect(writer.bytesWritten == text.utf8.count && writer.status == test.status)
        let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        #expect(lines.first == "HTTP/1.1 \(test.status) R")
        _ = try? await channel.finish()
        return (
            lines.dropFirst().filter { !$0.hasPrefix("date: ") }.joined(separator: "\r\n"), endsWithConnection
        )
    }

    @Test(arguments: [
        Case(
            testDescription: "a length", fields: [("Content-Length", "4")], body: "ab|cd",
            written: "Content-Length: 4\r\n\r\nabcd"),
        Case(
            testDescription: "chunks", body: "ab|c",
            written:
                "transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        Case(
            testDescription: "HTTP/1.0", body: "ab|c", minorVersion: 0,
            written: "connection: close\r\n\r\nabc",
            endsWithConnection: true),
        // RFC 9110 §8.6: no length in a 204, and nothing behind it.
        Case(
            testDescription: "204", status: 204, fields: [("content-length", "0"), ("a", "b")],
            written: "a: b\r\n\r\n"),
        Case(
            testDescription: "204 with a body", status: 204, fields: [("Content-Length", "2")], body: "ab",
            written: "\r\n"),
        Case(testDescription: "204 to HTTP/1.0", status: 204, body: "ab", minorVersion: 0, written: "\r\n"),
        Case(
            testDescription: "304", status: 304, fields: [("content-length", "9")], body: "ab",
            written: "content-length: 9\r\n\r\n"),
        Case(
            testDescription: "HEAD", fields: [("content-length", "9")], body: "ab", isHead: true,
            written: "content-length: 9\r\n\r\n"),
        Case(testDescription: "HEAD without a length", body: "ab", isHead: true, written: "\r\n"),
        Case(
            testDescription: "fields of the hop",
            fields: [
                ("Connection", "x"), ("Transfer-Encoding", "gzip"), ("Keep-Alive", "y"),
                ("content-length", "0"),
            ],
            written: "content-length: 0\r\n\r\n"),
    ])
    func repliesEndWhereTheirClientThinks(_ test: Case) async throws {
        let got = try await Self.write(test)
        #expect(got.text == test.written && got.endsWithConnection == test.endsWithConnection)
    }

    @Test func withoutAHeadThereIsNoReply() async throws {
        let channel = NIOAsyncTestingChannel()
        try await channel.connect(to: SocketAddress(unixDomainSocketPath: "/x"))
        let writer = ControlReplyWriter(
            channel: channel, headOnly: false, close: false, chunkedAllowed: true, announcesKeepAlive: false)
        await #expect(throws: ControlReplyWriter.HeadMissing.self) {
            try await writer.body(ByteBuffer(string: "a"))
        }
        await #expect(throws: ControlReplyWriter.HeadMissing.self) { try await writer.end() }
        #expect(try await channel.readOutbound(as: ByteBuffer.self) == nil && writer.status == nil)
        _ = try? await channel.finish()
    }

    /// A stream of HTTP/2 has no socket: what its client takes shows by the pieces of a write.
    @Test func aLargeWriteGoesInPieces() async throws {
        let channel = NIOAsyncTestingChannel()
        try await channel.connect(to: SocketAddress(unixDomainSocketPath: "/x"))
        let writer = ControlReplyWriter(
            channel: channel, headOnly: false, close: false, chunkedAllowed: true, announcesKeepAlive: false)
        try await writer.head(
            ControlResponseHead(
                status: 200, reason: "OK", fields: [(name: "content-length", value: "100000")]))
        try await writer.body(ByteBuffer(repeating: 0x61, count: 100_000))
        _ = try await channel.readOutbound(as: ByteBuffer.self)
        var bytes = 0
        while let piece = try await channel.readOutbound(as: ByteBuffer.self) {
            #expect(piece.readableBytes <= 16 << 10)
            bytes += piece.readableBytes
        }
        #expect(bytes == 100_000)
        #expect(try await channel.testingEventLoop.submit { !writer.isStalled(since: .now()) }.get())
        _ = try? await channel.finish()
    }

    /// A client that takes something, however little, is not one that takes nothing: long before the socket has room
    /// again the kernel knows. A moment in which nothing was taken says nothing of the socket: on a busy machine it may
    /// yet have room, so what it can hold is bounded.
    @Test func aSlowClientIsNotStalled() async throws {
        try await SlowClient.with { client, channel in
            let writer = ControlReplyWriter(
                channel: channel, headOnly: false, close: false, chunkedAllowed: true,
                announcesKeepAlive: false)
            /// Asked as often as it takes; the time that it may take nothing is over at once.
            func isStalled() async throws -> Bool {
                try await channel.eventLoop.submit { writer.isStalled(since: .now()) }.get()
            }
            func becomesStalled() async throws {
                while try await !isStalled() { try await Task.sleep(for: .milliseconds(5)) }
            }
            #expect(try await !isStalled(), "nothing waits")
            let writing = Task {
                try await writer.head(ControlResponseHead(status: 200, reason: "OK", fields: []))
                try await writer.body(ByteBuffer(repeating: 0x61, count: 16 << 20))
            }
            try await becomesStalled()
            for _ in 0..<5 {
                let taken = try await channel.eventLoop.submit { TCPState.of(channel)?.bytesAcknowledged }
                    .get()
                let written = writer.bytesWritten
                client.read(64 << 10)
                while try await channel.eventLoop.submit({ TCPState.of(channel)?.bytesAcknowledged }).get()
                    == taken
                {
                    try await Task.sleep(for: .milliseconds(1))
                }
                #expect(try await !isStalled())
                #expect(writer.bytesWritten - written < SlowClient.underWayMax, "the client is slow")
                try await becomesStalled()
            }
            try await channel.close()
            await #expect(throws: (any Error).self) { try await writing.value }
        }
    }
}

/// A connection of which one end reads when a test says so.
private struct SlowClient {
    private let descriptor: Int32
    private static let sendBuffer = 64 << 10
    private static let receiveBuffer = 32 << 10
    /// What the client can take in one turn, what the socket takes then (the kernel doubles buffers), and what
    /// the kernel and the writer round up to.
    static let underWayMax = 4 * receiveBuffer + 2 * sendBuffer + (192 << 10)

    static func with(_ body: (SlowClient, any Channel) async throws -> Void) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let accepted = group.any().makePromise(of: (any Channel).self)
        let listener = try await ServerBootstrap(group: group)
            // Without it the kernel lets the buffer grow to megabytes.
            .childChannelOption(.socketOption(.so_sndbuf), value: SocketOptionValue(self.sendBuffer))
            .childChannelInitializer { channel in
                accepted.succeed(channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = SlowClient(descriptor: try Self.connect(UInt16(listener.localAddress?.port ?? 0)))
        defer { Glibc.close(client.descriptor) }
        let channel = try await accepted.futureResult.get()
        try await body(client, channel)
        try await listener.close()
    }

    struct Refused: Error {}

    private static func connect(_ port: UInt16) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var size = Int32(self.receiveBuffer)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            Glibc.close(descriptor)
            throw Refused()
        }
        return descriptor
    }

    /// What has come, up to a bound.
    func read(_ count: Int) {
        var room = [UInt8](repeating: 0, count: count)
        _ = recv(self.descriptor, &room, count, Int32(MSG_DONTWAIT))
    }
}
