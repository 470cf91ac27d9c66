import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL
import Testing

@testable import Proxy

/// A hundred exchanges share a connection: what is wrong with one of them is not the others' affair, and a limit that
/// upstream sets is kept before it has refused anybody.
@Suite(.timeLimit(.minutes(10))) struct UpstreamHTTP2FaultTests {
    typealias Peer = UpstreamHTTP2Peer
    typealias Payload = HTTP2Frame.FramePayload

    /// Runs `body` beside an exchange that runs, which must end well, on the same connection as a later one.
    private static func besideANeighbour(
        settings: [HTTP2Setting] = [], _ body: (UpstreamRig, Peer) async throws -> Void
    ) async throws {
        try await UpstreamHTTP2Tests.with(settings: settings) { rig, peer in
            let neighbour = try await rig.begin()
            let request = try await peer.request(0)
            try await body(rig, peer)
            let number = peer.requests.count
            let next = try await rig.begin()
            peer.answer(try await peer.request(number))
            UpstreamConnectionTests.expectComplete(try await next.get(), "hello")
            peer.answer(request)
            UpstreamConnectionTests.expectComplete(try await neighbour.get(), "hello")
            #expect(peer.watched.state.channels.count == 1)
        }
    }

    static let malformed: [[Payload]] = [
        [Peer.head([("connection", "close")])], [Peer.head([("X-Upper", "y")])],
        [Peer.head([("x", "a\rb")])], [Peer.head([(":status", "200")])], [Peer.head([(":path", "/")])],
        [Peer.head([("content-length", "5"), ("content-length", "6")])],
        [Peer.head([("content-length", "-1")])], [Peer.head([("content-length", "x")])],
        [Peer.head([("content-length", "9")]), Peer.data("hello", end: true)],
        [Peer.head([("content-length", "3")]), Peer.data("hello", end: true)],
        [.headers(.init(headers: HPACKHeaders([("x", "y")]), endStream: false))],
        [.headers(.init(headers: HPACKHeaders([("x", "y"), (":status", "200")]), endStream: false))],
    ]

    @Test(arguments: malformed) func aMalformedAnswerEndsItsOwnStream(answer: [Payload]) async throws {
        try await Self.besideANeighbour { rig, peer in
            let broken = try await rig.begin()
            let request = try await peer.request(1)
            peer.send(answer.map { HTTP2Frame(streamID: request.stream, payload: $0) }, request.connection)
            let got = try await broken.get()
            #expect(got.ending == .closed(.closed) || got.ending == .closed(.protocolViolation))
            #expect(got.violations.isEmpty)
        }
    }

    @Test func trailersThatAreNotTheEndEndTheirOwnStream() async throws {
        try await Self.besideANeighbour { rig, peer in
            let broken = try await rig.begin()
            let request = try await peer.request(1)
            peer.send(Peer.head(), Peer.data("hello"), on: request)
            let trailers = HTTP2Bytes.headers([("x", "1")], stream: Int(request.stream), endsStream: false)
            peer.sendRaw([trailers], request.connection)
            let got = try await broken.get()
            #expect(got.ending == .closed(.closed) && got.body == "hello")
        }
    }

    /// What NIOHTTP2 refuses to write is told to nobody but the writer.
    @Test func aRequestThatCannotBeWrittenEndsItsOwnStream() async throws {
        try await Self.besideANeighbour { rig, _ in
            let got = try await rig.run("POST /v1/x HTTP/1.1\r\nHost: x\r\nUpgrade: y\r\n\r\n")
            #expect(got.ending == .closed(.notAccepted) && got.written == .nothing)
        }
    }

    @Test func aRequestThatIsLongerThanAFrameEndsItsOwnStream() async throws {
        let long = String(repeating: "~", count: 30 << 10)
        let request = "POST /v1/x HTTP/1.1\r\nHost: x\r\nUser-Agent: \(long)\r\n\r\n"
        try await Self.besideANeighbour { rig, _ in
            let got = try await rig.run(request)
            #expect(got.ending == .closed(.notAccepted) && got.written == .nothing)
        }
        let large = [
            HTTP2Setting(parameter: .maxFrameSize, value: 1 << 17),
            HTTP2Setting(parameter: .maxHeaderListSize, value: 1 << 17),
        ]
        try await Self.besideANeighbour(settings: large) { rig, peer in
            let sent = try await rig.begin(request)
            let seen = try await peer.request(1)
            #expect(seen.headers["user-agent"] == [long])
            peer.answer(seen)
            UpstreamConnectionTests.expectComplete(try await sent.get(), "hello")
        }
    }

    // MARK: What a server may do, and a hostile client may not

    @Test func manyResetsAreNotAnAttack() async throws {
        try await Self.besideANeighbour { rig, peer in
            for number in 1...250 {
                let reset = try await rig.begin()
                peer.send(.rstStream(.internalError), on: try await peer.request(number))
                #expect(try await reset.get().ending == .closed(.closed))
            }
        }
    }

    @Test func manyMalformedAnswersAreNotAnAttack() async throws {
        try await Self.besideANeighbour { rig, peer in
            for number in 1...250 {
                let broken = try await rig.begin()
                peer.send(Peer.head([("connection", "close")]), on: try await peer.request(number))
                #expect(try await broken.get().ending == .closed(.closed))
            }
        }
    }

    @Test func emptyFramesAndPingsAreNotAnAttack() async throws {
        try await Self.besideANeighbour { rig, peer in
            let slow = try await rig.begin()
            let request = try await peer.request(1)
            let ping = HTTP2Frame(
                streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: 1), ack: false))
            peer.send(Peer.head(), on: request)
            peer.send(Array(repeating: ping, count: 300), request.connection)
            for _ in 0..<100 { peer.send(Peer.data(""), on: request) }
            peer.send(Peer.data("hello", end: true), on: request)
            UpstreamConnectionTests.expectComplete(try await slow.get(), "hello")
        }
    }

    /// Upstream's frames cross our resets, however many.
    @Test func whatComesForStreamsLongResetIsIgnored() async throws {
        try await Self.besideANeighbour { rig, peer in
            for number in 1...60 {
                let aborted = try await rig.borrow(ByteBuffer(string: UpstreamRig.request)) {
                    $0.abortsAtBody = true
                }
                let request = try await peer.request(number)
                peer.send(Peer.head(), Peer.data("hello"), on: request)
                _ = try await aborted.done.get()
            }
            #expect(await peer.watched.until { $0.resets.count == 60 })
            peer.sendRaw(
                peer.requests[1...60].map {
                    HTTP2Bytes.frame(.data, stream: Int($0.stream), payload: ByteBuffer(string: "late"))
                }, 0)
        }
    }

    // MARK: How many streams

    private static func allows(_ streams: Int) -> [HTTP2Setting] {
        [HTTP2Setting(parameter: .maxConcurrentStreams, value: streams)]
    }

    /// Nobody is sent on a stream that upstream would refuse: its limit is waited for.
    @Test func aLowLimitIsKeptOnAColdConnection() async throws {
        try await UpstreamHTTP2Tests.with(settings: Self.allows(10), warm: false) { rig, peer in
            var running: [EventLoopFuture<Transcript>] = []
            for _ in 0..<50 { running.append(try await rig.begin()) }
            for number in 0..<50 { peer.answer(try await peer.request(number)) }
            for future in running { UpstreamConnectionTests.expectComplete(try await future.get(), "hello") }
        }
    }

    /// What one connection was told holds for the next one, which is not waited for.
    @Test func aLimitIsRemembered() async throws {
        var limits = UpstreamPool.Limits()
        limits.connectTimeout = .seconds(30)
        try await UpstreamHTTP2Tests.with(settings: Self.allows(10), limits: limits) { rig, peer in
            let dials = try await rig.dials()
            var running: [EventLoopFuture<Transcript>] = []
            for _ in 0..<50 { running.append(try await rig.begin()) }
            for number in 0..<50 { _ = try await peer.request(number) }
            for request in peer.requests { peer.answer(request) }
            for future in running { UpstreamConnectionTests.expectComplete(try await future.get(), "hello") }
            #expect(try await rig.dials() == dials + 4, "ten on each of five connections")
        }
    }

    @Test func whoWaitsIsServedWhenTheLimitRises() async throws {
        var limits = UpstreamPool.Limits()
        limits.connectionsMax = 1
        try await UpstreamHTTP2Tests.with(settings: Self.allows(1), limits: limits) { rig, peer in
            let (first, second) = (try await rig.begin(), try await rig.begin())
            let request = try await peer.request(0)
            try await rig.eventually("the second one waits") { $0.waitingCount == 1 }
            peer.settle(Self.allows(2), request.connection)
            peer.answer(try await peer.request(1))
            UpstreamConnectionTests.expectComplete(try await second.get(), "hello")
            peer.answer(request)
            UpstreamConnectionTests.expectComplete(try await first.get(), "hello")
        }
    }

    /// It is no use to make more of them.
    @Test func aConnectionThatTakesNoStreamsIsNone() async throws {
        try await UpstreamHTTP2Tests.with(settings: Self.allows(0), warm: false) { rig, _ in
            #expect(try await rig.run().ending == .failed(.connectFailed))
            #expect(try await rig.dials() == 1)
            try await rig.eventually("nothing is left") { $0.count == 0 && $0.waitingCount == 0 }
        }
    }

    /// HTTP/2 was negotiated, and then nothing comes.
    @Test func aConnectionWithoutSettingsTimesOut() async throws {
        let authority = try UpstreamTLSTests.Authority.of("DNS:localhost")
        let chain = try NIOSSLCertificate.fromPEMFile(authority.path("server.pem"))
        var server = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: authority.path("server.key"), format: .pem)))
        server.applicationProtocols = ["h2"]
        let upstream = try await ScriptedUpstream.start(
            [.hold], tls: try NIOSSLContext(configuration: server))
        var limits = UpstreamPool.Limits()
        limits.connectTimeout = .milliseconds(500)
        let tls = try TLSClientContext(caFile: authority.path("ca.pem"), protocols: ["h2"])
        try await UpstreamRig.with("https://localhost:\(upstream.port)", tls: tls, limits: limits) { rig in
            let got = try await rig.run()
            #expect(got.ending == .failed(.connectTimeout) && got.written == .nothing)
            try await rig.eventually("nothing is left") { $0.count == 0 && $0.waitingCount == 0 }
        }
        await upstream.stop()
    }

    // MARK: How long

    /// A full handshake is most of what a new connection costs both sides.
    @Test func aLaterConnectionResumesTheSession() async throws {
        try await UpstreamHTTP2Tests.with { rig, peer in
            let before = try await rig.resumed()
            try await peer.watched.state.channels[0].close()
            try await rig.eventually("it leaves the pool") { $0.count == 0 }
            let next = try await rig.begin()
            peer.answer(try await peer.request(0))
            UpstreamConnectionTests.expectComplete(try await next.get(), "hello")
            #expect(try await rig.resumed() == before + 1)
        }
    }

    /// So that changes of the name's addresses are followed; what runs is not cut.
    @Test func aConnectionThatIsTooOldTakesNoMore() async throws {
        var limits = UpstreamPool.Limits()
        limits.ageMax = .milliseconds(300)
        limits.sweepInterval = .milliseconds(20)
        try await UpstreamHTTP2Tests.with(limits: limits) { rig, peer in
            let long = try await rig.begin()
            let request = try await peer.request(0)
            var number = 0
            repeat {
                number += 1
                let next = try await rig.begin()
                peer.answer(try await peer.request(number))
                UpstreamConnectionTests.expectComplete(try await next.get(), "hello")
            } while peer.requests[number].connection == request.connection
            peer.answer(request)
            UpstreamConnectionTests.expectComplete(try await long.get(), "hello")
            #expect(await peer.watched.until { $0.open == 0 }, "both close, idle, at their age")
        }
    }

    /// Upstream's machine is gone, and no FIN tells.
    @Test func aConnectionThatAnswersNoPingIsGivenUp() async throws {
        var limits = UpstreamPool.Limits()
        limits.sweepInterval = .milliseconds(20)
        limits.pingInterval = .milliseconds(200)
        limits.pingPatience = .seconds(4)
        try await UpstreamHTTP2Tests.with(limits: limits) { rig, peer in
            let running = try await rig.begin()
            let request = try await peer.request(0)
            #expect(await peer.watched.until { $0.pings >= 3 }, "and one that answers is kept")
            try await peer.fallSilent(request.connection)
            #expect(try await running.get().ending == .closed(.closed))
            try await rig.eventually("it leaves the pool") { $0.count == 0 }
        }
    }
}
