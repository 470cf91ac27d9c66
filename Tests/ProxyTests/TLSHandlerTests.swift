import NIOCore
import NIOEmbedded
import NIOSSL
import NIOTLS
import Testing

@testable import Proxy

/// Our side of TLS against somebody else's, without sockets: every cut of the stream, every way to end it.
struct TLSHandlerTests {
    /// Two ends in memory.
    final class Wire {
        let client = EmbeddedChannel()
        let server = EmbeddedChannel()
        let heard = Recorder()
        let sessions: TLSSessionCache
        /// The client's end gets so many bytes at a time.
        private let piece: Int

        init(
            _ authority: UpstreamTLSTests.Authority, sessions: TLSSessionCache = TLSSessionCache(),
            piece: Int = .max
        )
            throws
        {
            self.sessions = sessions
            self.piece = piece
            let handler = try TLSHandler(
                try authority.client(), host: "localhost", sessions: sessions, buffers: SpareBuffers())
            try self.client.pipeline.syncOperations.addHandlers(handler, self.heard)
            let answering = NIOSSLServerHandler(context: try authority.server())
            try self.server.pipeline.syncOperations.addHandler(answering)
        }

        func connect() throws {
            self.server.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
            self.client.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
            try self.exchange()
        }

        /// Until neither side has anything to say.
        func exchange() throws {
            var isQuiet = false
            while !isQuiet {
                isQuiet = true
                while let bytes = try self.client.readOutbound(as: ByteBuffer.self) {
                    isQuiet = false
                    try self.server.writeInbound(bytes)
                }
                while let bytes = try self.server.readOutbound(as: ByteBuffer.self) {
                    isQuiet = false
                    TLSHandlerTests.bring(bytes, to: self.client, piece: self.piece)
                }
            }
        }

        /// The server's NIOSSL would wait for a farewell that nobody brings it.
        func end() { _ = try? self.client.finish(acceptAlreadyClosed: true) }
    }

    /// What one end wrote comes to the other, so many bytes at a time.
    static func bring(_ bytes: ByteBuffer, to end: EmbeddedChannel, piece: Int) {
        var bytes = bytes
        while let part = bytes.readSlice(length: min(piece, bytes.readableBytes)), part.readableBytes > 0 {
            end.pipeline.fireChannelRead(part)
            end.pipeline.fireChannelReadComplete()
        }
    }

    /// Above the TLS of the client: what came, in order.
    final class Recorder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private(set) var events: [String] = []
        private(set) var bytes: [UInt8] = []
        private(set) var fault: TLSFault?
        private(set) var negotiated: String?

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.bytes += Array(buffer: self.unwrapInboundIn(data))
            if self.events.last != "bytes" { self.events.append("bytes") }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .some(.handshakeCompleted(let negotiated)) = event as? TLSUserEvent {
                self.events.append("open")
                self.negotiated = negotiated
            }
            if case .some(.inputClosed) = event as? ChannelEvent { self.events.append("end") }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            self.fault = error as? TLSFault
            self.events.append("fault")
        }
    }

    static let text = ByteBuffer(bytes: (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })

    /// TCP cuts records, and handshakes, where it likes.
    @Test(arguments: [1, 2, 5, 16, 1000, 20_000, Int.max])
    func theStreamIsTheSameForEveryCut(piece: Int) throws {
        let wire = try Wire(try .of("DNS:localhost"), piece: piece)
        try wire.connect()
        #expect(wire.heard.events == ["open"])
        try wire.server.writeOutbound(Self.text)
        try wire.exchange()
        #expect(wire.heard.bytes == Array(buffer: Self.text))
        try wire.client.writeOutbound(Self.text)
        try wire.exchange()
        var got = ByteBuffer()
        while var bytes = try wire.server.readInbound(as: ByteBuffer.self) { got.writeBuffer(&bytes) }
        #expect(got == Self.text)
        wire.end()
    }

    /// Nothing that is written before the peer has proved itself may leave before that.
    @Test func whatIsWrittenEarlyWaitsForTheHandshake() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        let written = wire.client.eventLoop.makePromise(of: Void.self)
        wire.client.writeAndFlush(ByteBuffer(string: "early"), promise: written)
        try wire.connect()
        let early = try wire.server.readInbound(as: ByteBuffer.self)
        #expect(early == ByteBuffer(string: "early"))
        try written.futureResult.wait()
        wire.end()
    }

    /// A borrower counts on it that its request was handed over when, and only when, the socket took all of it.
    @Test func aWriteIsDoneWhenItsLastRecordIs() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        try wire.connect()
        let large = ByteBuffer(repeating: 7, count: 300_000)
        let written = wire.client.eventLoop.makePromise(of: Void.self)
        var isDone = false
        written.futureResult.assumeIsolated().whenComplete { _ in isDone = true }
        wire.client.write(large, promise: written)
        #expect(!isDone)
        wire.client.flush()
        #expect(isDone)
        try wire.exchange()
        var count = 0
        while let bytes = try wire.server.readInbound(as: ByteBuffer.self) { count += bytes.readableBytes }
        #expect(count == large.readableBytes)
        wire.end()
    }

    @Test func aFarewellComesBehindTheLastByte() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        try wire.connect()
        wire.server.writeAndFlush(Self.text, promise: nil)
        wire.server.close(promise: nil)
        try wire.exchange()
        #expect(wire.heard.events == ["open", "bytes", "end"])
        #expect(wire.heard.bytes.count == Self.text.readableBytes)
        // The FIN behind it says nothing new.
        wire.client.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(wire.heard.events == ["open", "bytes", "end"])
        wire.end()
    }

    @Test func aFINWithoutFarewellIsATruncation() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        try wire.connect()
        wire.client.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(wire.heard.events == ["open", "fault"])
        #expect(wire.heard.fault == .truncated)
        wire.end()
    }

    @Test func aFINInTheHandshakeEndsIt() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        wire.client.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        wire.client.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(wire.heard.fault == .truncated)
        #expect(!wire.client.isActive)
        wire.end()
    }

    /// Changes a bit of a record, at one of 64 places: past the five bytes of the header, whose length would only make it
    /// wait.
    static func forge(_ sealed: inout ByteBuffer, place: Int) throws {
        let index = 5 + place * (sealed.readableBytes - 6) / 63
        let byte = try #require(sealed.getInteger(at: index, as: UInt8.self))
        sealed.setInteger(byte ^ 0x10, at: index)
    }

    /// Any bit of a record: nothing of it is passed on, and the connection is over.
    @Test(arguments: 0..<64) func aForgedRecordIsNotPassedOn(place: Int) throws {
        let wire = try Wire(try .of("DNS:localhost"))
        try wire.connect()
        try wire.server.writeOutbound(ByteBuffer(repeating: 1, count: 512))
        var sealed = try #require(try wire.server.readOutbound(as: ByteBuffer.self))
        try Self.forge(&sealed, place: place)
        wire.client.pipeline.fireChannelRead(sealed)
        #expect(wire.heard.bytes.isEmpty)
        #expect(wire.heard.fault == .refused)
        #expect(!wire.client.isActive)
        wire.end()
    }

    /// A close tells the peer that nothing was cut, and waits for nobody.
    @Test func closingSaysFarewell() throws {
        let wire = try Wire(try .of("DNS:localhost"))
        try wire.connect()
        wire.client.close(promise: nil)
        #expect(!wire.client.isActive)
        let farewell = try #require(try wire.client.readOutbound(as: ByteBuffer.self))
        try wire.server.writeInbound(farewell)
        // NIOSSL answers with its own and closes; a truncation would have been an error.
        let answer = try wire.server.readOutbound(as: ByteBuffer.self)
        #expect(answer != nil)
        #expect(throws: (any Error).self) { try wire.client.writeOutbound(ByteBuffer(string: "late")) }
        wire.end()
    }

    /// RFC 8446 §C.4: a ticket that is used twice lets who listens link two connections.
    @Test func aTicketIsUsedOnceAndOnlyWhileItLives() throws {
        let authority = try UpstreamTLSTests.Authority.of("DNS:localhost")
        let sessions = TLSSessionCache()
        let wire = try Wire(authority, sessions: sessions)
        try wire.connect()
        // NIOSSL's library sends its tickets before its first byte, not behind the handshake.
        try wire.server.writeOutbound(ByteBuffer(string: "hello"))
        try wire.exchange()
        let given = sessions.count
        #expect(given > 0)
        #expect(sessions.take() != nil)
        #expect(sessions.count == given - 1)
        #expect(sessions.take(at: .max) == nil)
        #expect(sessions.count == 0)
        wire.end()
    }
}
