import NIOCore
import NIOEmbedded
import NIOHPACK
import Testing

@testable import Proxy

/// One HTTP/2 connection to the upstream, frame by frame and turn by turn: what was never sent is known to be so, and
/// is never sent later.
@Suite struct UpstreamHTTP2SessionTests {
    /// A session over a socket that is a value.
    final class Rig {
        let channel: EmbeddedChannel
        let pool: UpstreamPool
        let session: UpstreamHTTP2
        private(set) var borrowers: [RecordingBorrower] = []

        init(settings: [(UInt16, UInt32)] = []) throws {
            let channel = EmbeddedChannel()
            let tls = try TLSClientContext(caFile: nil, protocols: ["h2"])
            self.channel = channel
            self.pool = UpstreamPool(
                eventLoop: channel.embeddedEventLoop, origin: try UpstreamOrigin.parse("https://x"), tls: tls)
            try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 443)).wait()
            self.session = try UpstreamHTTP2.install(
                on: channel, pool: self.pool, streamsMax: 100, deadline: .distantFuture)
            try self.receive(HTTP2Bytes.settings(settings))
            _ = try HTTP2Bytes.written(by: channel)
        }

        func end() {
            _ = try? self.channel.finish(acceptAlreadyClosed: true)
            // Their promises end with the test.
            for borrower in self.borrowers where borrower.transcript.ending == nil {
                borrower.upstreamFailed(.shuttingDown)
            }
        }

        func receive(_ frames: ByteBuffer...) throws {
            for frame in frames { try self.channel.writeInbound(frame) }
        }

        /// Asks for a stream; it comes with the loop's next turn.
        func open(_ request: String = UpstreamRig.request) -> RecordingBorrower {
            let done = self.channel.eventLoop.makePromise(of: Transcript.self)
            let borrower = RecordingBorrower(ByteBuffer(string: request), done: done)
            self.borrowers.append(borrower)
            self.session.open { connection in
                guard let connection else {
                    borrower.upstreamFailed(.closed)
                    return
                }
                connection.assign(borrower)
                borrower.upstreamReady(connection, reused: false)
            }
            return borrower
        }

        func turn() { self.channel.embeddedEventLoop.run() }

        func setWritable(_ writable: Bool) {
            self.channel.isWritable = writable
            self.channel.pipeline.fireChannelWritabilityChanged()
        }

        /// Kinds of the frames of streams that were written since the last call.
        func written() throws -> [HTTP2Bytes.Kind?] {
            try HTTP2Bytes.written(by: self.channel).filter { $0.stream > 0 && $0.kind != .windowUpdate }
                .map(\.kind)
        }
    }

    private static let post = "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"

    private func with(settings: [(UInt16, UInt32)] = [], _ body: (Rig) throws -> Void) throws {
        let rig = try Rig(settings: settings)
        defer { rig.end() }
        try body(rig)
    }

    @Test func aRequestIsSentAndItsEndIsItsOwn() throws {
        try self.with { rig throws in
            let borrower = rig.open(Self.post)
            rig.turn()
            #expect(try rig.written() == [.headers, .data])
            try rig.receive(HTTP2Bytes.headers([(":status", "204")], stream: 1))
            rig.turn()
            #expect(borrower.transcript.ending == .end && borrower.transcript.status == 204)
        }
    }

    /// A stream comes with a turn of the loop, and a GOAWAY may be quicker: nothing is sent, and somebody else is asked.
    @Test(arguments: [false, true]) func aGoAwayIsSeenBeforeAStreamIsUsed(isBusy: Bool) throws {
        try self.with { rig throws in
            if isBusy {
                _ = rig.open()
                rig.turn()
                #expect(try rig.written() == [.headers])
            }
            let late = rig.open()
            try rig.receive(HTTP2Bytes.goAway(after: isBusy ? 1 : 0))
            rig.turn()
            #expect(late.transcript.ending == .failed(.closed))
            #expect(try rig.written() == [])
            #expect(rig.session.streams == (isBusy ? 1 : 0))
        }
    }

    @Test func aLowerLimitIsSeenBeforeAStreamIsUsed() throws {
        try self.with { rig throws in
            _ = rig.open()
            rig.turn()
            let late = rig.open()
            try rig.receive(HTTP2Bytes.settings([(3, 1)]))
            rig.turn()
            #expect(late.transcript.ending == .failed(.closed))
            #expect(try rig.written() == [.headers] && rig.session.room == 0)
        }
    }

    // MARK: While the socket is full

    /// HEADERS are held back until the socket takes them. Upstream says GOAWAY before.
    @Test func aRequestThatIsHeldBackMayBeSentElsewhereAfterAGoAway() throws {
        try self.with { rig throws in
            _ = rig.open()
            rig.turn()
            rig.setWritable(false)
            let held = rig.open(Self.post)
            rig.turn()
            #expect(try rig.written() == [.headers])
            try rig.receive(HTTP2Bytes.goAway(after: 1))
            #expect(held.transcript.ending == .closed(.notAccepted) && held.transcript.written == .nothing)
            rig.turn()
            rig.setWritable(true)
            rig.turn()
            #expect(try rig.written() == [])
        }
    }

    @Test func aRequestThatIsHeldBackMayBeSentElsewhereWhenTheConnectionDies() throws {
        try self.with { rig throws in
            let sent = rig.open(Self.post)
            rig.turn()
            rig.setWritable(false)
            let held = rig.open(Self.post)
            rig.turn()
            rig.channel.close(promise: nil)
            rig.turn()
            #expect(sent.transcript.ending == .closed(.closed) && sent.transcript.written == .fully)
            #expect(held.transcript.ending == .closed(.notAccepted) && held.transcript.written == .nothing)
        }
    }

    /// The client has gone. What is held back is not sent afterwards: upstream would work for nobody.
    @Test func aRequestThatIsHeldBackIsNotSentWhenNobodyWantsIt() throws {
        try self.with { rig throws in
            rig.setWritable(false)
            let held = rig.open(Self.post)
            rig.turn()
            held.connection?.abort()
            rig.turn()
            #expect(rig.session.streams == 0)
            rig.setWritable(true)
            rig.turn()
            #expect(try rig.written() == [])
            let next = rig.open(Self.post)
            rig.turn()
            #expect(try rig.written() == [.headers, .data])
            try rig.receive(HTTP2Bytes.headers([(":status", "204")], stream: 3))
            #expect(next.transcript.ending == .end)
        }
    }

    @Test func aRequestThatIsHeldBackIsSentWhenTheSocketTakesIt() throws {
        try self.with { rig throws in
            rig.setWritable(false)
            let held = rig.open(Self.post)
            rig.turn()
            #expect(try rig.written() == [])
            rig.setWritable(true)
            #expect(try rig.written() == [.headers, .data])
            held.connection?.abort()
            #expect(try rig.written() == [.reset])
        }
    }

    // MARK: Long heads

    private static func long(_ bytes: Int) -> String {
        "POST /v1/x HTTP/1.1\r\nHost: x\r\nUser-Agent: " + String(repeating: "~", count: bytes) + "\r\n\r\n"
    }

    /// NIOHTTP2 would end the connection over it. It ends alone, and nothing of it was sent.
    @Test func aHeadThatIsLongerThanAFrameEndsItsStreamAlone() throws {
        try self.with { rig throws in
            let first = rig.open()
            let long = rig.open(Self.long(30_000))
            rig.turn()
            #expect(long.transcript.ending == .closed(.notAccepted) && long.transcript.written == .nothing)
            #expect(try rig.written() == [.headers])
            try rig.receive(HTTP2Bytes.headers([(":status", "204")], stream: 1))
            #expect(first.transcript.ending == .end)
        }
    }

    @Test func aHeadIsSentWhenUpstreamTakesFramesOfItsSize() throws {
        try self.with(settings: [(5, 1 << 16)]) { rig throws in
            let long = rig.open(Self.long(30_000))
            rig.turn()
            #expect(try rig.written() == [.headers])
            #expect(long.transcript.ending == nil)
        }
    }

    /// Upstream takes shorter frames from now on, and the head is too long for that: the connection cannot go on, as
    /// NIOHTTP2 has it, but what it refused to write was not sent.
    @Test func whatCannotBeWrittenWasNotSent() throws {
        try self.with(settings: [(5, 1 << 16)]) { rig throws in
            let sent = rig.open()
            rig.turn()
            rig.setWritable(false)
            let held = rig.open(Self.long(30_000))
            rig.turn()
            try rig.receive(HTTP2Bytes.settings([(5, 1 << 14)]))
            rig.setWritable(true)
            rig.turn()
            #expect(sent.transcript.ending == .closed(.closed))
            #expect(held.transcript.ending == .closed(.notAccepted) && held.transcript.written == .nothing)
        }
    }

    /// The estimate is never below what NIOHTTP2 then writes, whatever it has in its table.
    @Test func whatFitsDoesFit() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("UpstreamHTTP2SessionTests.whatFitsDoesFit, seed \(seed)")
        var dice = SeededRandom(seed: seed)
        let alphabet = ["a", "e", "~", "\u{7f}", "\u{e9}", "0", " "]
        for _ in 0..<200 {
            let tableBytes = [0, 64, 4096].randomElement(using: &dice) ?? 0
            var encoder = HPACKEncoder(allocator: ByteBufferAllocator(), maxDynamicTableSize: tableBytes)
            for _ in 0..<4 {
                var fields = HPACKHeaders([(":method", "POST"), (":path", "/v1")])
                for _ in 0..<Int.random(in: 0...20, using: &dice) {
                    let name =
                        ["user-agent", "x", "idempotency-key", "x-y"].randomElement(using: &dice) ?? ""
                    let letter = alphabet.randomElement(using: &dice) ?? ""
                    let count = Int.random(in: 0...60, using: &dice)
                    fields.add(name: name, value: String(repeating: letter, count: count))
                }
                var block = ByteBuffer()
                try encoder.encode(headers: fields, to: &block)
                let size = block.readableBytes
                #expect(!HTTP2HeaderBlock.fits(fields, frameBytesMax: size - 1), "seed \(seed)")
                #expect(HTTP2HeaderBlock.fits(fields, frameBytesMax: 4 * size + 2000), "seed \(seed)")
            }
        }
    }
}
