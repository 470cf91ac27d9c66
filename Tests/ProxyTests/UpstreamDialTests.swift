import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import Proxy

/// One name with several addresses, some of which are no good, and a proxy in between.
@Suite(.timeLimit(.minutes(5))) struct UpstreamDialTests {
    private static let five = UpstreamConnectionTests.five
    private static let closing =
        UpstreamConnectionTests.ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello"

    private static func resolver(_ ports: [Int]) -> NameResolver {
        NameResolver { _, _, done in
            done(ports.compactMap { try? SocketAddress(ipAddress: "127.0.0.1", port: $0) })
        }
    }

    @Test func anAddressThatRefusesIsFollowedByTheNext() async throws {
        let refusing = try RefusingPort()
        defer { refusing.release() }
        let upstream = try await ScriptedUpstream.start([.reply(Self.closing)])
        let resolver = Self.resolver([refusing.port, upstream.port])
        try await UpstreamRig.with("http://upstream", resolver: resolver) { rig in
            for _ in 0..<4 { UpstreamConnectionTests.expectComplete(try await rig.run(), "hello") }
            #expect(upstream.state.connections == 4)
        }
        await upstream.stop()
    }

    /// RFC 8305: one dead address must not cost a connection the whole time-out.
    @Test func anAddressThatIsSilentIsNotWaitedFor() async throws {
        let silent = try SilentPort()
        defer { silent.release() }
        let upstream = try await ScriptedUpstream.start([.reply(Self.closing)])
        var limits = UpstreamPool.Limits()
        limits.connectTimeout = .seconds(30)
        try await UpstreamRig.with(
            "http://upstream", limits: limits, resolver: Self.resolver([silent.port, upstream.port])
        ) { rig in
            let start = ContinuousClock.now
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            let time = ContinuousClock.now - start
            #expect(time >= .milliseconds(240) && time < .seconds(20))
        }
        await upstream.stop()
    }

    /// It takes connections and cannot serve them: a dead back end behind a balancer that lives.
    @Test func anAddressThatFailsTheHandshakeIsLeftAlone() async throws {
        let authority = try UpstreamTLSTests.Authority.of("DNS:localhost")
        let broken = try await ScriptedUpstream.start([.close], onAccept: "HTTP/1.1 503 No\r\n\r\n")
        let good = try await ScriptedUpstream.start([.reply(Self.closing)], tls: try authority.server())
        var limits = UpstreamPool.Limits()
        limits.addresses.avoidFirst = .seconds(30)
        try await UpstreamRig.with(
            "https://localhost", tls: try authority.client(), limits: limits,
            resolver: Self.resolver([broken.port, good.port])
        ) { rig in
            #expect(try await rig.run().ending == .failed(.tlsFailed))
            // Its turn would come again with the third.
            for _ in 0..<4 {
                UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            }
            #expect(broken.state.connections == 1)
        }
        await broken.stop()
        await good.stop()
    }

    /// Upstream spoke HTTP/2, and a connection that would carry all who wait turns out to be one of HTTP/1.1.
    @Test func whoeverWaitsForHTTP2IsServedByHTTP1() async throws {
        let authority = try UpstreamTLSTests.Authority.of("DNS:localhost")
        let modern = try await UpstreamHTTP2Peer.start(authority)
        let old = try await ScriptedUpstream.start([.hold], tls: try authority.server())
        let tls = try TLSClientContext(caFile: authority.path("ca.pem"), protocols: ["h2", "http/1.1"])
        try await UpstreamRig.with(
            "https://localhost", tls: tls, resolver: Self.resolver([modern.port, old.port])
        ) { rig in
            let first = try await rig.begin()
            modern.answer(try await modern.request(0))
            UpstreamConnectionTests.expectComplete(try await first.get(), "hello")
            await modern.stop()
            try await rig.eventually("it leaves the pool") { $0.count == 0 }
            let running = try await rig.loop.submit {
                (0..<20).map { _ in
                    let done = rig.loop.makePromise(of: Transcript.self)
                    let borrower = RecordingBorrower(ByteBuffer(string: UpstreamRig.request), done: done)
                    rig.pool.value.lease(borrower)
                    let bound = NIOLoopBound(borrower, eventLoop: rig.loop)
                    done.futureResult.whenComplete { _ in _ = bound }
                    return done.futureResult
                }
            }.get()
            // None of them is given back before all have one.
            try await rig.eventually("all are sent") { _ in old.state.requests.count == 20 }
            try await old.writeToAll(Self.five)
            for future in running { UpstreamConnectionTests.expectComplete(try await future.get(), "hello") }
        }
        await old.stop()
    }

    /// One dial that hangs must not make everybody wait for an upstream that is down.
    @Test func afterFiveFailuresNobodyWaitsForADialThatHangs() async throws {
        let authority = try UpstreamTLSTests.Authority.of("DNS:localhost")
        let accepted = Watched(0)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                if accepted.update({ count in
                    count += 1
                    return count
                }) > 1 {
                    channel.eventLoop.execute { channel.close(promise: nil) }
                }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        try await UpstreamRig.with(
            "https://127.0.0.1:\(listener.localAddress?.port ?? 0)", tls: try authority.client()
        ) { rig in
            var running = [try await rig.begin()]
            #expect(await accepted.until { $0 == 1 })
            // Each failure is told to the one who waits longest, and the last one waits for the dial that hangs.
            for number in 0..<5 {
                running.append(try await rig.begin())
                #expect(try await running[number].get().ending == .failed(.tlsFailed))
            }
            #expect(try await rig.run().ending == .failed(.tlsFailed))
            #expect(accepted.state == 6, "nobody dialled for that one")
        }
        try await listener.close()
    }

    // MARK: The socket

    @Test func socketsKnowWhenAPeerIsDeadAndKeepLittle() async throws {
        let upstream = try await ScriptedUpstream.start([.hold])
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (loop, port) = (group.next(), upstream.port)
        let channel = try await loop.flatSubmit {
            let dialled = loop.makePromise(of: (any Channel).self)
            let dialer = UpstreamDialer(
                eventLoop: loop, origin: .init(plainPort: port), tls: nil, proxy: nil, resolver: .system,
                connectTimeout: .seconds(10), addresses: .init(), counters: UpstreamCounters(),
                buffers: SpareBuffers())
            dialer.dial { result in
                guard case .success(.http1(let channel, _)) = result else {
                    dialled.fail(NeverHappened("a connection"))
                    return
                }
                dialled.succeed(channel)
            }
            return dialled.futureResult
        }.get()
        #expect(try await channel.getOption(.tcpOption(.init(rawValue: TCP_USER_TIMEOUT))).get() == 60_000)
        // The kernel doubles what is asked for, for its own accounts, up to its limit.
        let room = try await channel.getOption(.socketOption(.so_rcvbuf)).get()
        #expect((64 << 10...512 << 10).contains(room))
        try await channel.close()
        try await group.shutdownGracefully()
        await upstream.stop()
    }

    // MARK: Through a proxy

    /// What the proxy said is not taken for bytes that nobody asked for.
    @Test func aConnectionThroughAProxyIsUsedAgain() async throws {
        let proxy = try await ScriptedUpstream.start([
            .reply("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 Open\r\n\r\n"), .reply(Self.five),
        ])
        let setting = try #require(UpstreamProxy(parsing: "http://127.0.0.1:\(proxy.port)"))
        try await UpstreamRig.with("http://upstream", proxy: setting) { rig in
            for index in 0..<3 {
                let got = try await rig.run()
                UpstreamConnectionTests.expectComplete(got, "hello")
                #expect(got.reused == (index > 0))
            }
            #expect(proxy.state.connections == 1)
        }
        await proxy.stop()
    }

    /// However the proxy's words are cut into reads.
    @Test(arguments: [true, false]) func interimWordsOfAProxyArePassedOver(atOnce: Bool) async throws {
        let words = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 Open\r\n\r\n"
        let proxy = try await ScriptedUpstream.start([
            atOnce ? .reply(words) : .replyByteByByte(words), .reply(Self.five),
        ])
        let setting = try #require(UpstreamProxy(parsing: "http://127.0.0.1:\(proxy.port)"))
        try await UpstreamRig.with("http://upstream", proxy: setting) { rig in
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            #expect(proxy.state.requests.first?.hasPrefix("CONNECT upstream:80 HTTP/1.1\r\n") == true)
        }
        await proxy.stop()
    }

    @Test(arguments: [
        "HTTP/1.1 407 No\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nx", "HTTP/1.1 100 Continue\r\n\r\nSMTP\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 407 No\r\n\r\n",
    ])
    func aProxyThatRefusesIsNotUsed(words: String) async throws {
        let proxy = try await ScriptedUpstream.start([.reply(words)])
        let setting = try #require(UpstreamProxy(parsing: "http://127.0.0.1:\(proxy.port)"))
        try await UpstreamRig.with("http://upstream", proxy: setting) { rig in
            let got = try await rig.run()
            #expect(got.ending == .failed(.proxyFailed) && got.written == .nothing)
        }
        await proxy.stop()
    }
}

extension UpstreamOrigin {
    fileprivate init(plainPort port: Int) {
        guard let origin = try? UpstreamOrigin.parse("http://127.0.0.1:\(port)") else {
            preconditionFailure("a port of the kernel's")
        }
        self = origin
    }
}

/// A port that answers no handshake: its queue of connections is full, and nobody takes them.
private struct SilentPort {
    private let listener: CInt
    private var fillers: [CInt] = []
    let port: Int

    init() throws {
        self.listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = self.listener
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 0) == 0
                    && getsockname(listener, $0, &size) == 0
            }
        }
        guard isListening else { throw NeverHappened("a port") }
        self.port = Int(UInt16(bigEndian: address.sin_port))
        for _ in 0..<4 {
            let flags = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
            let filler = socket(AF_INET, CInt(flags), 0)
            withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = connect(filler, $0, size) }
            }
            self.fillers.append(filler)
        }
    }

    func release() {
        for filler in self.fillers { close(filler) }
        close(self.listener)
    }
}
