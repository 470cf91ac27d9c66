import Foundation
import NIOCore
import NIOHPACK
import NIOHTTP2
import Testing

@testable import Proxy

/// Upstream over HTTP/2, behind the interface of HTTP/1.1: what is a reply, what ends it, and what may be sent again.
@Suite(.timeLimit(.minutes(10))) struct UpstreamHTTP2Tests {
    typealias Peer = UpstreamHTTP2Peer

    /// - Parameter warm: one exchange is over, so that there is a connection, and it is known what upstream speaks.
    static func with(
        settings: [HTTP2Setting] = [], limits: UpstreamPool.Limits = UpstreamPool.Limits(), warm: Bool = true,
        _ body: (UpstreamRig, Peer) async throws -> Void
    ) async throws {
        let authority = try UpstreamTLSTests.Authority.of("DNS:localhost")
        let peer = try await Peer.start(authority, settings: settings)
        let tls = try TLSClientContext(caFile: authority.path("ca.pem"), protocols: ["h2", "http/1.1"])
        do {
            try await UpstreamRig.with("https://localhost:\(peer.port)", tls: tls, limits: limits) { rig in
                if warm {
                    // The first to come may dial more than once: nobody knows yet what upstream speaks.
                    let first = try await rig.begin()
                    peer.answer(try await peer.request(0))
                    UpstreamConnectionTests.expectComplete(try await first.get(), "hello")
                    peer.watched.update { $0.requests = [] }
                }
                try await body(rig, peer)
            }
        } catch {
            await peer.stop()
            throw error
        }
        #expect(await peer.watched.until { $0.open == 0 }, "a connection outlives the pool")
        await peer.stop()
    }

    private static let post =
        "POST /v1/x HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer k\r\n"
        + "Content-Length: 4\r\n\r\nbody"

    @Test func manyRequestsShareOneConnection() async throws {
        try await Self.with { rig, peer in
            var running: [EventLoopFuture<Transcript>] = []
            for _ in 0..<20 { running.append(try await rig.begin(Self.post)) }
            for number in 0..<20 {
                let request = try await peer.request(number)
                #expect(request.body == "body")
                #expect(request.headers[":authority"] == ["api.example"])
                #expect(request.headers[":path"] == ["/v1/x"])
                #expect(request.headers["authorization"] == ["Bearer k"])
                #expect(request.headers["host"].isEmpty)
            }
            for request in peer.requests.reversed() { peer.answer(request) }
            for future in running {
                let got = try await future.get()
                UpstreamConnectionTests.expectComplete(got, "hello")
                #expect(got.written == .fully)
            }
            #expect(peer.watched.state.channels.count == 1)
        }
    }

    @Test func repliesOfEveryShapeAreRead() async throws {
        typealias Payload = HTTP2Frame.FramePayload
        let replies: [([Payload], Int, String)] = [
            ([Peer.head(end: true)], 200, ""),
            ([Peer.head([("content-length", "5")]), Peer.data("hello", end: true)], 200, "hello"),
            ([Peer.head(), Peer.data("hel"), Peer.data(""), Peer.data("lo", end: true)], 200, "hello"),
            ([Peer.head(), Peer.data("hello"), Peer.data("", end: true)], 200, "hello"),
            (
                [
                    Peer.head(), Peer.data("hello"),
                    .headers(.init(headers: HPACKHeaders([("x-trailer", "1")]), endStream: true)),
                ], 200, "hello"
            ),
            ([Peer.head(status: "103"), Peer.head(), Peer.data("hello", end: true)], 200, "hello"),
            ([Peer.head(status: "204", end: true)], 204, ""),
            ([Peer.head(status: "429"), Peer.data("no", end: true)], 429, "no"),
        ]
        try await Self.with { rig, peer in
            for (number, reply) in replies.enumerated() {
                let future = try await rig.begin()
                let request = try await peer.request(number)
                peer.send(
                    reply.0.map { HTTP2Frame(streamID: request.stream, payload: $0) }, request.connection)
                UpstreamConnectionTests.expectComplete(try await future.get(), reply.2, status: reply.1)
            }
            #expect(peer.watched.state.channels.count == 1)
        }
    }

    /// What HTTP/2 can carry and HTTP/1.1 cannot is not made into something else.
    @Test(arguments: [
        [(":status", "200\r\nx: y")], [(":status", "20")], [(":status", "")], [("x", "y")],
        [(":status", "200"), ("x", "a\r\nb: c")], [(":status", "200"), ("x\r\ny", "a")],
        [(":status", "200"), ("x", "a\0")], [(":status", "200"), ("transfer-encoding", "chunked")],
        [(":status", "200"), ("content-length", "5"), ("content-length", "6")],
        [(":status", "200"), ("content-length", "-1")], [(":status", "200"), (":status", "200")],
        [(":status", "101")],
    ])
    func anAnswerThatIsNoneIsRefused(fields: [(String, String)]) async throws {
        try await Self.with { rig, peer in
            let future = try await rig.begin()
            let request = try await peer.request(0)
            peer.send(
                .headers(.init(headers: HPACKHeaders(fields), endStream: false)),
                Peer.data("hello", end: true),
                on: request)
            let got = try await future.get()
            #expect(got.ending == .closed(.closed) || got.ending == .closed(.protocolViolation))
            #expect(got.status == nil || got.body == "")
            #expect(got.violations.isEmpty && got.written == .fully)
        }
    }

    @Test func aBodyThatIsShorterThanItSaidIsNotWhole() async throws {
        try await Self.with { rig, peer in
            let future = try await rig.begin()
            let request = try await peer.request(0)
            peer.send(Peer.head([("content-length", "9")]), Peer.data("hello", end: true), on: request)
            let got = try await future.get()
            #expect(got.ending == .closed(.closed) || got.ending == .closed(.protocolViolation))
        }
    }

    // MARK: What may be sent again

    @Test func aRefusedStreamMayBeSentAgain() async throws {
        try await Self.with { rig, peer in
            let (refused, other) = (try await rig.begin(), try await rig.begin())
            peer.send(.rstStream(.refusedStream), on: try await peer.request(0))
            let got = try await refused.get()
            #expect(got.ending == .closed(.notAccepted) && got.written == .nothing)
            peer.answer(try await peer.request(1))
            UpstreamConnectionTests.expectComplete(try await other.get(), "hello")
        }
    }

    /// Any other reset may have come after the work.
    @Test(arguments: [HTTP2ErrorCode.internalError, .cancel, .noError, .enhanceYourCalm])
    func aResetStreamIsNotSentAgain(code: HTTP2ErrorCode) async throws {
        try await Self.with { rig, peer in
            let (reset, other) = (try await rig.begin(), try await rig.begin())
            peer.send(.rstStream(code), on: try await peer.request(0))
            let got = try await reset.get()
            #expect(got.ending == .closed(.closed) && got.written == .fully)
            peer.answer(try await peer.request(1))
            UpstreamConnectionTests.expectComplete(try await other.get(), "hello")
            #expect(peer.watched.state.channels.count == 1, "the others were left alone")
        }
    }

    /// A refusal after the reply began contradicts itself: the reply is what was seen.
    @Test func aRefusalBehindAHeadProvesNothing() async throws {
        try await Self.with { rig, peer in
            let future = try await rig.begin()
            let request = try await peer.request(0)
            peer.send(Peer.head(), .rstStream(.refusedStream), on: request)
            let got = try await future.get()
            #expect(got.ending == .closed(.closed) && got.status == 200)
        }
    }

    /// Streams above the last one of a GOAWAY were not looked at; those below go on.
    @Test func aGoAwayTellsWhichMayBeSentAgain() async throws {
        try await Self.with { rig, peer in
            let (below, above) = (try await rig.begin(), try await rig.begin())
            let first = try await peer.request(0)
            _ = try await peer.request(1)
            peer.goAway(after: first.stream, first.connection)
            let got = try await above.get()
            #expect(got.ending == .closed(.notAccepted) && got.written == .nothing)
            let next = try await rig.begin()
            let onAnother = try await peer.request(2)
            #expect(onAnother.connection != first.connection)
            peer.answer(onAnother)
            UpstreamConnectionTests.expectComplete(try await next.get(), "hello")
            peer.answer(first)
            UpstreamConnectionTests.expectComplete(try await below.get(), "hello")
            #expect(await peer.watched.until { $0.open == 1 }, "it closes behind its last stream")
        }
    }

    /// The GOAWAY is in the kernel, unread, when a stream is leased.
    @Test func aStreamThatComesTooLateForAGoAwayIsNotLost() async throws {
        try await Self.with { rig, peer in
            let first = try await rig.begin()
            let request = try await peer.request(0)
            let late = try await rig.loop.submit { () -> EventLoopFuture<Transcript> in
                peer.goAway(after: request.stream, request.connection)
                // The loop looks away until it is there. Were it later still, the outcome would be the same.
                Thread.sleep(forTimeInterval: 0.1)
                let done = rig.loop.makePromise(of: Transcript.self)
                let borrower = RecordingBorrower(ByteBuffer(string: UpstreamRig.request), done: done)
                rig.pool.value.lease(borrower)
                let bound = NIOLoopBound(borrower, eventLoop: rig.loop)
                done.futureResult.whenComplete { _ in _ = bound }
                return done.futureResult
            }.get()
            let got = try await late.get()
            #expect(got.ending == .closed(.notAccepted) && got.written == .nothing)
            peer.answer(request)
            UpstreamConnectionTests.expectComplete(try await first.get(), "hello")
        }
    }

    @Test func aConnectionThatIsCutTakesItsStreamsWithIt() async throws {
        try await Self.with { rig, peer in
            let running = [try await rig.begin(), try await rig.begin()]
            _ = try await peer.request(1)
            try await peer.watched.state.channels[0].close()
            for future in running { #expect(try await future.get().ending == .closed(.closed)) }
            try await rig.eventually("it leaves the pool") { $0.count == 0 }
        }
    }

    // MARK: Limits

    @Test func upstreamSaysHowManyStreamsItTakes() async throws {
        let one = [HTTP2Setting(parameter: .maxConcurrentStreams, value: 1)]
        try await Self.with(settings: one) { rig, peer in
            let first = try await rig.begin()
            _ = try await peer.request(0)
            let second = try await rig.begin()
            let other = try await peer.request(1)
            #expect(other.connection == 1, "one more connection rather than a wait")
            for request in peer.requests { peer.answer(request) }
            UpstreamConnectionTests.expectComplete(try await first.get(), "hello")
            UpstreamConnectionTests.expectComplete(try await second.get(), "hello")
        }
    }

    /// A client that reads no more holds its own stream back, at its window, and no other one.
    @Test func aStreamThatIsNotReadStopsAtItsWindow() async throws {
        try await Self.with { rig, peer in
            let slow = try await rig.borrow(ByteBuffer(string: UpstreamRig.request)) {
                $0.pausesAtBody = true
            }
            let request = try await peer.request(0)
            peer.send(Peer.head(), on: request)
            let (piece, channel) = (String(repeating: "x", count: 16_384), peer.watched.state.channels[0])
            let watched = peer.watched
            channel.eventLoop.execute {
                for _ in 0..<200 {
                    let frame = HTTP2Frame(streamID: request.stream, payload: Peer.data(piece))
                    let written = channel.eventLoop.makePromise(of: Void.self)
                    channel.pipeline.writeAndFlush(frame, promise: written)
                    written.futureResult.whenSuccess { watched.update { $0.dataWritten += 16_384 } }
                }
            }
            let fast = try await rig.begin()
            peer.answer(try await peer.request(1))
            UpstreamConnectionTests.expectComplete(try await fast.get(), "hello")
            _ = await watched.until(within: .milliseconds(500)) { $0.dataWritten > 1_000_000 }
            #expect(watched.state.dataWritten > 0 && watched.state.dataWritten <= 768 << 10)
            try await rig.loop.submit { slow.borrower.value.connection?.resumeReads() }.get()
            #expect(await watched.until { $0.dataWritten == 200 * 16_384 })
            peer.send(Peer.data("", end: true), on: request)
            #expect(try await slow.done.get().bodyBytes == 200 * 16_384)
        }
    }

    /// An exchange that is over tells upstream so, and the connection stays.
    @Test func anAbortedStreamIsResetAlone() async throws {
        try await Self.with { rig, peer in
            let borrowed = try await rig.borrow(ByteBuffer(string: UpstreamRig.request)) {
                $0.abortsAtBody = true
            }
            let request = try await peer.request(0)
            peer.send(Peer.head(), Peer.data("hello"), on: request)
            _ = try await borrowed.done.get()
            #expect(await peer.watched.until { $0.resets.contains { $0.0 == request.stream } })
            // Upstream had more on its way.
            peer.send(Peer.data("late"), Peer.data("later", end: true), on: request)
            let next = try await rig.begin()
            peer.answer(try await peer.request(1))
            UpstreamConnectionTests.expectComplete(try await next.get(), "hello")
            #expect(peer.watched.state.channels.count == 1)
        }
    }
}

/// PING and silence.
@Suite struct HTTP2HealthTests {
    private static func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

    @Test func silenceAfterAPingIsTheEnd() {
        var health = HTTP2Health(Self.at(0))
        #expect(health.step(Self.at(14), bytesReceived: 1) == .wait)
        #expect(health.step(Self.at(15), bytesReceived: 1) == .ping)
        #expect(health.step(Self.at(24), bytesReceived: 1) == .wait)
        #expect(health.step(Self.at(25), bytesReceived: 1) == .dead)
    }

    @Test func anAnswerBeginsAnew() {
        var health = HTTP2Health(Self.at(0))
        #expect(health.step(Self.at(15), bytesReceived: 1) == .ping)
        health.answered(Self.at(16))
        #expect(health.step(Self.at(30), bytesReceived: 1) == .wait)
        #expect(health.step(Self.at(31), bytesReceived: 1) == .ping)
    }

    /// The answer may be queued behind a long reply.
    @Test func bytesCountAsAnAnswer() {
        var health = HTTP2Health(Self.at(0))
        #expect(health.step(Self.at(15), bytesReceived: 1) == .ping)
        for second in Int64(16)..<60 {
            #expect(health.step(Self.at(second), bytesReceived: UInt64(second)) == .wait)
        }
        #expect(health.step(Self.at(68), bytesReceived: 59) == .wait)
        #expect(health.step(Self.at(69), bytesReceived: 59) == .dead)
    }
}
