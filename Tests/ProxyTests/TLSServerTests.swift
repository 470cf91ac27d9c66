import NIOCore
import NIOEmbedded
import NIOSSL
import NIOTLS
import Synchronization
import Testing

@testable import Proxy

/// The listener's side of TLS against clients of another library, without sockets: every cut of the stream, every way to
/// end it, and what its session tickets are worth.
struct TLSServerTests {
    /// A client of swift-nio-ssl, or ours, and our server.
    final class Wire {
        let client = EmbeddedChannel()
        let server = EmbeddedChannel()
        let heard = TLSHandlerTests.Recorder()
        let clientHeard = TLSHandlerTests.Recorder()
        let closes = Closes()
        /// The server's end gets so many bytes at a time.
        private let piece: Int

        init(client handler: any ChannelHandler, _ context: TLSServerContext, piece: Int = .max) throws {
            self.piece = piece
            let answering = try TLSHandler(context, buffers: SpareBuffers(), farewellTime: .seconds(5))
            try self.server.pipeline.syncOperations.addHandlers(self.closes, answering, self.heard)
            try self.client.pipeline.syncOperations.addHandlers(handler, self.clientHeard)
        }

        convenience init(
            _ authority: UpstreamTLSTests.Authority, piece: Int = .max, protocols: [String] = []
        ) throws {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .file(authority.path("ca.pem"))
            tls.applicationProtocols = protocols
            let handler = try NIOSSLClientHandler(
                context: try NIOSSLContext(configuration: tls), serverHostname: "localhost")
            try self.init(client: handler, try TLSServerTests.context(authority), piece: piece)
            try self.connect()
        }

        func connect() throws {
            let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
            self.server.connect(to: address, promise: nil)
            self.client.connect(to: address, promise: nil)
            try self.exchange()
        }

        /// Until neither side has anything to say.
        func exchange() throws {
            var isQuiet = false
            while !isQuiet {
                isQuiet = true
                while let bytes = try self.client.readOutbound(as: ByteBuffer.self) {
                    isQuiet = false
                    TLSHandlerTests.bring(bytes, to: self.server, piece: self.piece)
                }
                while let bytes = try self.server.readOutbound(as: ByteBuffer.self) {
                    isQuiet = false
                    TLSHandlerTests.bring(bytes, to: self.client, piece: .max)
                }
            }
        }

        /// The client's NIOSSL would wait for a farewell that nobody brings it; our server does not wait twice.
        func end() {
            self.server.close(promise: nil)
            _ = try? self.server.finish(acceptAlreadyClosed: true)
        }
    }

    /// Between TLS and the socket: which halves of it were closed.
    final class Closes: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        private(set) var modes: [CloseMode] = []

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            self.modes.append(mode)
            // An embedded channel closes whole or not at all.
            guard mode == .all else {
                promise?.succeed()
                return
            }
            context.close(mode: mode, promise: promise)
        }
    }

    static func context(
        _ authority: UpstreamTLSTests.Authority,
        now: @escaping @Sendable () -> Int = TLSServerContext.monotonicSeconds
    ) throws -> TLSServerContext {
        let certificate = try TLSCertificate(
            certificateFile: authority.path("server.pem"), keyFile: authority.path("server.key"))
        return try TLSServerContext(protocols: ["h2", "http/1.1"], now: now) { _ in certificate }
    }

    static let text = TLSHandlerTests.text

    // MARK: Bytes

    @Test(arguments: [1, 2, 5, 16, 1000, 20_000, Int.max])
    func theStreamIsTheSameForEveryCut(piece: Int) throws {
        let wire = try Wire(try .of("DNS:localhost"), piece: piece)
        #expect(wire.heard.events == ["open"])
        try wire.client.writeOutbound(Self.text)
        try wire.exchange()
        #expect(wire.heard.bytes == Array(buffer: Self.text))
        try wire.server.writeOutbound(Self.text)
        try wire.exchange()
        #expect(wire.clientHeard.bytes == Array(buffer: Self.text))
        wire.end()
    }

    @Test(
        arguments: [
            (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (["x"], nil),
            ([], nil),
        ] as [([String], String?)])
    func ourFirstProtocolIsSpoken(offered: [String], spoken: String?) throws {
        let wire = try Wire(try .of("DNS:localhost"), protocols: offered)
        #expect(wire.heard.negotiated == spoken)
        #expect(wire.heard.events == ["open"])
        wire.end()
    }

    @Test(arguments: 0..<64) func aForgedRecordIsNotPassedOn(place: Int) throws {
        let wire = try Wire(try .of("DNS:localhost"))
        try wire.client.writeOutbound(ByteBuffer(repeating: 1, count: 512))
        var sealed = try #require(try wire.client.readOutbound(as: ByteBuffer.self))
        try TLSHandlerTests.forge(&sealed, place: place)
        wire.server.pipeline.fireChannelRead(sealed)
        #expect(wire.heard.bytes.isEmpty)
        #expect(wire.heard.fault == .refused)
        #expect(!wire.server.isActive)
        wire.end()
    }

    @Test func whatIsNotTLSIsClosed() throws {
        let other = EmbeddedChannel()
        try other.pipeline.syncOperations.addHandler(
            try TLSHandler(try Self.context(try .of("DNS:localhost")), buffers: SpareBuffers()))
        try other.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        other.pipeline.fireChannelRead(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"))
        #expect(!other.isActive)
        _ = try? other.finish(acceptAlreadyClosed: true)
    }

    // MARK: Ends

    @Test func aFarewellComesBehindTheLastByte() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        wire.client.writeAndFlush(Self.text, promise: nil)
        wire.client.close(promise: nil)
        try wire.exchange()
        #expect(wire.heard.events == ["open", "bytes", "end"])
        #expect(wire.heard.bytes.count == Self.text.readableBytes)
        wire.end()
    }

    @Test func aCutIsATruncation() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        wire.server.pipeline.fireChannelInactive()
        #expect(wire.heard.events == ["open", "fault"])
        #expect(wire.heard.fault == .truncated)
        wire.end()
    }

    /// A reply and a close at once: the client gets all of it and the farewell, and the socket stays open for what it may
    /// still be sending, until it closes its side.
    @Test func aCloseWaitsForTheClients() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        wire.server.writeAndFlush(Self.text, promise: nil)
        var isClosed = false
        let closed = wire.server.eventLoop.makePromise(of: Void.self)
        closed.futureResult.assumeIsolated().whenComplete { _ in isClosed = true }
        wire.server.close(promise: closed)
        #expect(wire.closes.modes == [.output])
        #expect(throws: (any Error).self) { try wire.server.writeOutbound(ByteBuffer(string: "late")) }
        #expect(!isClosed)
        // Sent before the client heard of it; nobody's any more.
        try wire.client.writeOutbound(ByteBuffer(string: "next"))
        let late = try #require(try wire.client.readOutbound(as: ByteBuffer.self))
        wire.server.pipeline.fireChannelRead(late)
        #expect(wire.heard.events == ["open"])
        #expect(!isClosed)
        try wire.exchange()
        #expect(wire.clientHeard.bytes == Array(buffer: Self.text))
        #expect(wire.closes.modes == [.output, .all])
        wire.server.embeddedEventLoop.run()
        #expect(isClosed)
        wire.end()
    }

    @Test func aClientThatDoesNotCloseIsWaitedForSoLong() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        wire.server.close(promise: nil)
        wire.server.embeddedEventLoop.advanceTime(by: .milliseconds(4999))
        #expect(wire.closes.modes == [.output])
        wire.server.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(wire.closes.modes == [.output, .all])
        #expect(!wire.server.isActive)
        wire.end()
    }

    @Test func aSecondCloseWaitsForNothing() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        wire.server.close(promise: nil)
        wire.server.close(promise: nil)
        #expect(wire.closes.modes == [.output, .all])
        wire.end()
    }

    @Test func aClientThatFloodsBehindTheFarewellIsNotReadForLong() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        wire.server.close(promise: nil)
        let chunk = ByteBuffer(repeating: 1, count: 1 << 16)
        var sent = 0
        while wire.server.isActive, sent < 1 << 23 {
            try wire.client.writeOutbound(chunk)
            while let bytes = try wire.client.readOutbound(as: ByteBuffer.self) {
                wire.server.pipeline.fireChannelRead(bytes)
            }
            sent += chunk.readableBytes
        }
        #expect(sent == 1 << 20)
        wire.end()
    }

    /// Our side is closed, the client's is not: it is still read, and its end ends all.
    @Test func aHalfCloseSaysFarewellAndReadsOn() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        wire.server.close(mode: .output, promise: nil)
        #expect(wire.closes.modes == [.output])
        try wire.client.writeOutbound(ByteBuffer(string: "more"))
        let more = try #require(try wire.client.readOutbound(as: ByteBuffer.self))
        wire.server.pipeline.fireChannelRead(more)
        #expect(wire.heard.bytes == Array("more".utf8))
        #expect(throws: (any Error).self) { try wire.server.writeOutbound(ByteBuffer(string: "late")) }
        // The farewell is said; there is nothing to wait for any more.
        wire.server.close(promise: nil)
        #expect(wire.closes.modes == [.output, .all])
        wire.end()
    }

    /// A reply that only the end of the connection would complete must not look complete.
    @Test func aCutSaysNoFarewell() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        wire.server.triggerUserOutboundEvent(TLSHandler.Cut(), promise: nil)
        wire.server.close(promise: nil)
        #expect(wire.closes.modes == [.all])
        #expect(try wire.server.readOutbound(as: ByteBuffer.self) == nil)
        wire.end()
    }

    /// Its header is five bytes, which OpenSSL takes by themselves.
    @Test(arguments: [1, 4, 5, 6, 25]) func partOfARecordIsHeld(count: Int) throws {
        let wire = try Wire(try .of("DNS:localhost"))
        let handler = try wire.server.pipeline.syncOperations.handler(type: TLSHandler.self)
        #expect(!handler.holdsPart)
        wire.client.writeAndFlush(ByteBuffer(string: "hello"), promise: nil)
        var sealed = try #require(try wire.client.readOutbound(as: ByteBuffer.self))
        let part = sealed.readSlice(length: count) ?? ByteBuffer()
        wire.server.pipeline.fireChannelRead(part)
        #expect(handler.holdsPart && wire.heard.bytes.isEmpty)
        wire.server.pipeline.fireChannelRead(sealed)
        #expect(!handler.holdsPart && wire.heard.bytes == Array("hello".utf8))
        wire.end()
    }

    /// Nor does it send what nobody flushed, and whoever waits for that hears of it.
    @Test func aCutFailsWhatWasNotFlushed() async throws {
        let wire = try Wire(try .of("DNS:localhost"))
        let written = [wire.server.eventLoop.makePromise(of: Void.self), wire.server.eventLoop.makePromise()]
        for promise in written { wire.server.write(ByteBuffer(string: "x"), promise: promise) }
        wire.server.triggerUserOutboundEvent(TLSHandler.Cut(), promise: nil)
        wire.server.close(promise: nil)
        for promise in written {
            await #expect(throws: ChannelError.self) { try await promise.futureResult.get() }
        }
        #expect(try wire.server.readOutbound(as: ByteBuffer.self) == nil)
        wire.end()
    }

    // MARK: Certificates

    @Test func aCertificateThatIsTooWeakIsRefusedWhenItIsRead() throws {
        let authority = try UpstreamTLSTests.Authority.of("DNS:weak.test")
        try authority.issueRSA(bits: 1024, name: "weak")
        #expect {
            _ = try TLSCertificate(
                certificateFile: authority.path("weak.pem"), keyFile: authority.path("weak.key"))
        } throws: { error in
            let problem = error as? ListenerCertificates.Problem
            return problem?.part == .certificate
                && problem?.reason == "is refused by OpenSSL: ee key too small"
        }
    }

    @Test func aKeyOfAnotherCertificateIsRefused() throws {
        let (one, other) = (
            try UpstreamTLSTests.Authority.of("DNS:localhost"),
            try UpstreamTLSTests.Authority.of("DNS:weak.test")
        )
        #expect(throws: ListenerCertificates.Problem.self) {
            _ = try TLSCertificate(
                certificateFile: one.path("server.pem"), keyFile: other.path("server.key"))
        }
    }

    // MARK: Sessions

    /// A key of tickets seals for half a day and opens for another half.
    @Test(arguments: [
        (0, true), (12 * 3600 - 1, true), (12 * 3600, true), (24 * 3600 - 1, true), (24 * 3600, false),
        (90 * 3600, false),
    ])
    func aTicketIsOpenedWhileItsKeyIsKept(laterBySeconds later: Int, isResumed: Bool) throws {
        let authority = try UpstreamTLSTests.Authority.of("DNS:localhost")
        let clock = Mutex(1000)
        let context = try Self.context(authority, now: { clock.withLock { $0 } })
        let sessions = TLSSessionCache()
        func others() throws {
            let wire = try Wire(
                client: try TLSHandler(
                    try authority.client(), host: "localhost", sessions: TLSSessionCache(),
                    buffers: SpareBuffers()),
                context)
            try wire.connect()
            wire.end()
        }
        func connect() throws -> Bool {
            let handler = try TLSHandler(
                try authority.client(), host: "localhost", sessions: sessions, buffers: SpareBuffers())
            let wire = try Wire(client: handler, context)
            try wire.connect()
            try wire.server.writeOutbound(ByteBuffer(string: "hello"))
            try wire.exchange()
            #expect(wire.clientHeard.bytes == Array("hello".utf8))
            wire.end()
            return handler.isResumed
        }
        #expect(try !connect())
        // Somebody else's handshake between the two changes the key on its way.
        let halfway = min(later, 12 * 3600)
        clock.withLock { $0 += halfway }
        if later > halfway { try others() }
        clock.withLock { $0 += later - halfway }
        #expect(try connect() == isResumed)
    }
}
