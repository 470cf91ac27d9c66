import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import NIOSSL
import Testing

@testable import Proxy

/// Bytes of two ways into one socket: they must arrive in the order they were sent in, and none of them around TLS.
@Suite(.timeLimit(.minutes(2))) struct DirectOutputTests {
    /// One end of a pair of sockets is a channel's; the other one is read by hand.
    struct Pair {
        let channel: any Channel
        let peer: CInt

        init(bytesSent: CInt = 4 << 10) async throws {
            var ends: [CInt] = [0, 0]
            let made = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
            try #require(made == 0)
            var size = bytesSent
            setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<CInt>.size))
            // A byte that is lost must not hang the test.
            var patience = timeval(tv_sec: 20, tv_usec: 0)
            setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
            self.peer = ends[1]
            self.channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton.any())
                .withConnectedSocket(ends[0]).get()
        }

        /// What has come, as it comes: at least one byte.
        func read(_ bytesMax: Int) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: bytesMax)
            let count = Glibc.read(self.peer, &bytes, bytesMax)
            try #require(count > 0, "no more bytes came")
            return Array(bytes.prefix(count))
        }

        func end() async throws {
            try? await self.channel.close()
            close(self.peer)
        }
    }

    /// Sends by the short way what goes, and the rest by the long one, as connections do.
    final class Sender {
        var output: DirectOutput
        let channel: any Channel
        private(set) var direct = 0
        private(set) var queued = 0

        init(_ channel: any Channel) throws {
            self.output = try #require(DirectOutput(of: channel))
            self.channel = channel
        }

        func send(_ bytes: ByteBuffer) {
            let taken = self.output.send(bytes, on: self.channel)
            self.direct += taken
            guard taken < bytes.readableBytes else { return }
            var rest = bytes
            rest.moveReaderIndex(forwardBy: taken)
            self.queued += rest.readableBytes
            self.output.noteWrite()
            self.channel.writeAndFlush(rest, promise: nil)
        }
    }

    @Test func bytesArriveInOrderByWhicheverWay() async throws {
        let pair = try await Pair()
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let sizes = (0..<400).map { _ in Int.random(in: 1...3000, using: &random) }
        let loop = pair.channel.eventLoop
        let sender = try await loop.submit { NIOLoopBound(try Sender(pair.channel), eventLoop: loop) }.get()
        let expected = (0..<sizes.reduce(0, +)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        var got: [UInt8] = []
        var sent = 0
        for (turn, size) in sizes.enumerated() {
            let piece = ByteBuffer(bytes: expected[sent..<sent + size])
            try await loop.submit { sender.value.send(piece) }.get()
            sent += size
            // A peer that takes all of it for a while, and then falls behind.
            let isBehind = turn / 20 % 2 == 1
            while got.count < sent - (isBehind ? 40_000 : 0) { got += try pair.read(10_000) }
        }
        while got.count < sent { got += try pair.read(10_000) }
        #expect(got == expected, "seed \(seed)")
        let (direct, queued) = try await loop.submit { (sender.value.direct, sender.value.queued) }.get()
        #expect(direct > 0 && queued > 0 && direct + queued == sent, "\(direct), \(queued), seed \(seed)")
        try await pair.end()
    }

    /// What the client of a TLS connection has read.
    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var wanted: Int
        private(set) var got: [UInt8] = []
        private let all: EventLoopPromise<[UInt8]>

        init(_ wanted: Int, _ all: EventLoopPromise<[UInt8]>) {
            self.wanted = wanted
            self.all = all
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.got += Array(buffer: self.unwrapInboundIn(data))
            if self.got.count >= self.wanted { self.all.succeed(self.got) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { self.all.fail(error) }
        func channelInactive(context: ChannelHandlerContext) { self.all.fail(ChannelError.eof) }
    }

    /// Records of writes of every size, through a socket that takes some of them whole and others in parts.
    @Test func recordsOfTLSArriveInOrderByWhicheverWay() async throws {
        let authority = try UpstreamTLSTests.Authority.of("DNS:localhost")
        let context = try TLSServerTests.context(authority)
        let pair = try await Pair(bytesSent: 16 << 10)
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let sizes = (0..<120).map { turn in
            Int.random(in: 1...(turn % 10 == 5 ? 300_000 : 2000), using: &random)
        }
        let expected = (0..<sizes.reduce(0, +)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let all = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: [UInt8].self)
        let server = pair.channel
        // In front of the client's first byte.
        let handler = try await server.eventLoop.submit {
            let handler = try TLSHandler(context, buffers: SpareBuffers())
            try server.pipeline.syncOperations.addHandler(handler)
            return NIOLoopBound(handler, eventLoop: server.eventLoop)
        }.get()
        let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton.any())
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    var tls = TLSConfiguration.makeClientConfiguration()
                    tls.trustRoots = .file(authority.path("ca.pem"))
                    let handler = try NIOSSLClientHandler(
                        context: try NIOSSLContext(configuration: tls), serverHostname: "localhost")
                    try channel.pipeline.syncOperations.addHandlers(handler, Reader(expected.count, all))
                }
            }
            .withConnectedSocket(pair.peer).get()
        var sent = 0
        for size in sizes.dropLast() {
            let piece = ByteBuffer(bytes: expected[sent..<sent + size])
            sent += size
            // Now and then two writes are flushed at once, and the promise of a flush means that all is out.
            if size % 3 == 0 {
                server.write(piece, promise: nil)
            } else if size % 3 == 1 {
                server.writeAndFlush(piece, promise: nil)
            } else {
                try await server.writeAndFlush(piece)
            }
        }
        try await server.writeAndFlush(ByteBuffer())
        // The socket has room for the last one.
        let read = sent
        while try await client.eventLoop.submit({
            try client.pipeline.syncOperations.handler(type: Reader.self).got.count
        }).get() < read { try await Task.sleep(for: .milliseconds(2)) }
        try await server.writeAndFlush(ByteBuffer(bytes: expected[sent...]))
        #expect(try await all.futureResult.get() == expected, "seed \(seed)")
        // Large ones left something to NIO; the last one went the short way again.
        #expect(try await server.eventLoop.submit { handler.value.direct?.isClear == true }.get())
        server.close(promise: nil)
        try? await client.close()
    }

    @Test func nothingPassesWhatWaits() async throws {
        let pair = try await Pair()
        let loop = pair.channel.eventLoop
        let sender = try await loop.submit { NIOLoopBound(try Sender(pair.channel), eventLoop: loop) }.get()
        func taken(_ count: Int) async throws -> Int {
            let bytes = ByteBuffer(repeating: 2, count: count)
            return try await loop.submit { sender.value.output.send(bytes, on: pair.channel) }.get()
        }
        let written = pair.channel.eventLoop.makePromise(of: Void.self)
        try await loop.submit {
            sender.value.output.noteWrite()
            // Not flushed: it waits, though the socket would take it.
            pair.channel.write(ByteBuffer(repeating: 1, count: 10), promise: written)
        }.get()
        #expect(try await taken(10) == 0)
        pair.channel.flush()
        try await written.futureResult.get()
        #expect(try await taken(10) == 10)
        #expect(try pair.read(20) == Array(repeating: 1, count: 10) + Array(repeating: 2, count: 10))
        try await pair.end()
    }

    /// Its descriptor may be another connection's by now.
    @Test func aClosedChannelTakesNothing() async throws {
        let pair = try await Pair()
        let loop = pair.channel.eventLoop
        let sender = try await loop.submit { NIOLoopBound(try Sender(pair.channel), eventLoop: loop) }.get()
        let bytes = ByteBuffer(string: "x")
        let taken = try await loop.submit {
            pair.channel.close(promise: nil)
            return sender.value.output.send(bytes, on: pair.channel)
        }.get()
        #expect(taken == 0)
        try await pair.end()
    }

    /// NIO finds out by itself, and ends the channel.
    @Test func aPeerThatIsGoneTakesNothing() async throws {
        let pair = try await Pair()
        let loop = pair.channel.eventLoop
        let taken = try await loop.submit {
            let sender = try Sender(pair.channel)
            shutdown(pair.peer, CInt(SHUT_RDWR))
            return sender.output.send(ByteBuffer(string: "x"), on: pair.channel)
        }.get()
        #expect(taken == 0)
        try await pair.end()
    }

    @Test func withoutASocketThereIsNoShortWay() { #expect(DirectOutput(of: EmbeddedChannel()) == nil) }
}
