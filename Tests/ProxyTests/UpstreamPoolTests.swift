import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Proxy

@Suite(.timeLimit(.minutes(5))) struct UpstreamPoolTests {
    static let five = UpstreamConnectionTests.five

    static func limits(
        connectionsMax: Int = 8192, waitingMax: Int = 8192, idleMax: TimeAmount = .seconds(30)
    ) -> UpstreamPool.Limits {
        UpstreamPool.Limits(
            connectionsMax: connectionsMax, waitingMax: waitingMax, idleMax: idleMax,
            connectTimeout: .seconds(10))
    }

    @Test func anIdleConnectionIsUsedBeforeANewOne() async throws {
        try await withUpstream([.reply(Self.five)]) { rig, upstream in
            for _ in 0..<20 { UpstreamConnectionTests.expectComplete(try await rig.run(), "hello") }
            #expect(upstream.state.connections == 1)
            let counts = try await rig.onLoop { [$0.count, $0.idleCount] }
            #expect(counts == [1, 1])
        }
    }

    @Test func concurrentExchangesHaveAConnectionEach() async throws {
        try await withUpstream([.hold]) { rig, upstream in
            var running: [EventLoopFuture<Transcript>] = []
            for _ in 0..<16 {
                running.append(try await rig.borrow(ByteBuffer(string: UpstreamRig.request)).done)
            }
            try await rig.eventually("all are sent") { _ in upstream.state.requests.count == 16 }
            #expect(upstream.state.connections == 16)
            try await upstream.writeToAll(Self.five)
            for future in running { UpstreamConnectionTests.expectComplete(try await future.get(), "hello") }
            try await rig.eventually("all dials end idle") { $0.count == 16 && $0.idleCount == 16 }
        }
    }

    /// Beyond the limit they wait, in order, and are served by what others give back.
    @Test func beyondTheLimitExchangesWaitInOrder() async throws {
        try await withUpstream([.reply(Self.five)], limits: Self.limits(connectionsMax: 1)) { rig, upstream in
            var running: [EventLoopFuture<Transcript>] = []
            for index in 0..<10 {
                running.append(try await rig.begin("GET /\(index) HTTP/1.1\r\nHost: x\r\n\r\n"))
            }
            for future in running { UpstreamConnectionTests.expectComplete(try await future.get(), "hello") }
            #expect(upstream.state.connections == 1)
            #expect(upstream.state.requests.map { $0.prefix(6) } == (0..<10).map { "GET /\($0)" })
        }
    }

    @Test func aFullQueueRefuses() async throws {
        let limits = Self.limits(connectionsMax: 1, waitingMax: 1)
        try await withUpstream([.hold], limits: limits) { rig, _ in
            let first = try await rig.begin()
            try await rig.eventually("the first one has its connection") { $0.waitingCount == 0 }
            let second = try await rig.begin()
            #expect(try await rig.run().ending == .failed(.poolExhausted))
            try await rig.onLoop { $0.shutdown() }
            #expect(try await second.get().ending == .failed(.shuttingDown))
            _ = first
        }
    }

    /// With one dial allowed at a time a failed one must not leave those behind it waiting for ever.
    @Test func everyoneHearsOfADialThatFails() async throws {
        let refusing = try RefusingPort()
        defer { refusing.release() }
        try await UpstreamRig.with(
            "http://127.0.0.1:\(refusing.port)", limits: Self.limits(connectionsMax: 1)
        ) {
            rig in
            var running: [EventLoopFuture<Transcript>] = []
            for _ in 0..<5 { running.append(try await rig.begin()) }
            for future in running {
                let got = try await future.get()
                #expect(got.ending == .failed(.connectFailed))
                #expect(got.written == .nothing)
            }
            let counts = try await rig.onLoop { [$0.count, $0.idleCount, $0.waitingCount] }
            #expect(counts == [0, 0, 0])
        }
    }

    @Test func aNameThatDoesNotResolveFails() async throws {
        try await UpstreamRig.with("http://no-such-host.invalid:1") { rig in
            let got = try await rig.run()
            #expect(got.ending == .failed(.nameNotResolved))
        }
    }

    @Test func aCancelledBorrowerIsNotCalled() async throws {
        try await withUpstream([.hold], limits: Self.limits(connectionsMax: 1)) { rig, upstream in
            _ = try await rig.begin()
            let second = try await rig.borrow(ByteBuffer(string: UpstreamRig.request))
            let pool = rig.pool
            try await rig.loop.submit {
                pool.value.cancel(second.borrower.value)
            }.get()
            try await rig.eventually("the first one is sent") { _ in upstream.state.requests.count == 1 }
            try await rig.onLoop { $0.shutdown() }
            await upstream.closeAll()
            try await rig.eventually("all is closed") { $0.count == 0 }
            let heard = try await rig.loop.submit { () -> Transcript in
                let heard = second.borrower.value.transcript
                // Only to end the promise of this test.
                second.borrower.value.upstreamFailed(.shuttingDown)
                return heard
            }.get()
            #expect(heard == Transcript())
        }
    }

    @Test func anIdleConnectionThatUpstreamClosesIsGoneAtOnce() async throws {
        try await withUpstream([.reply(Self.five)]) { rig, upstream in
            _ = try await rig.run()
            await upstream.closeAll()
            try await rig.eventually("it leaves the pool") { $0.count == 0 && $0.idleCount == 0 }
            let next = try await rig.run()
            UpstreamConnectionTests.expectComplete(next, "hello")
            #expect(next.reused == false)
        }
    }

    /// Bytes that nobody asked for would be taken for the answer to the next request.
    @Test func bytesOnAnIdleConnectionEndIt() async throws {
        try await withUpstream([.reply(Self.five)]) { rig, upstream in
            _ = try await rig.run()
            try await upstream.writeToAll("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            try await rig.eventually("it leaves the pool") { $0.count == 0 && $0.idleCount == 0 }
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            #expect(upstream.state.connections == 2)
        }
    }

    /// Upstream closes idle connections too, and a request that meets its FIN is lost.
    @Test func aConnectionIdleForTooLongIsNotUsed() async throws {
        try await withUpstream([.reply(Self.five)], limits: Self.limits(idleMax: .nanoseconds(0))) {
            rig, upstream in
            for _ in 0..<3 {
                let got = try await rig.run()
                UpstreamConnectionTests.expectComplete(got, "hello")
                #expect(got.reused == false)
            }
            #expect(upstream.state.connections == 3)
        }
    }

    @Test func idleConnectionsAreSweptAway() async throws {
        try await withUpstream([.reply(Self.five)], limits: Self.limits(idleMax: .milliseconds(300))) {
            rig, _ in
            _ = try await rig.run()
            try await rig.eventually("the sweep closes it", within: .seconds(15)) {
                $0.count == 0 && $0.idleCount == 0
            }
        }
    }

    /// So that changes of the name's addresses are followed.
    @Test func aConnectionThatIsTooOldIsNotUsed() async throws {
        var limits = Self.limits()
        limits.ageMax = .milliseconds(1)
        try await withUpstream([.reply(Self.five)], limits: limits) { rig, upstream in
            for number in 1...3 {
                let got = try await rig.run()
                UpstreamConnectionTests.expectComplete(got, "hello")
                #expect(got.reused == false && upstream.state.connections == number)
                // The age of the one that was just made.
                try await Task.sleep(for: .milliseconds(3))
            }
        }
    }

    /// The borrower can decide to try again: it may have met a connection that upstream had given up.
    @Test func aReusedConnectionThatDiesSaysThatItWasReused() async throws {
        try await withUpstream([.reply(Self.five), .close, .reply(Self.five)]) { rig, _ in
            #expect(try await rig.run().reused == false)
            let second = try await rig.run()
            #expect(second.reused == true && second.status == nil)
            #expect(second.ending == .closed(.closed))
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
        }
    }

    @Test func afterShutdownNothingIsLeased() async throws {
        try await withUpstream([.reply(Self.five)]) { rig, _ in
            _ = try await rig.run()
            try await rig.onLoop { $0.shutdown() }
            #expect(try await rig.run().ending == .failed(.shuttingDown))
            try await rig.eventually("all connections close") { $0.count == 0 && $0.idleCount == 0 }
        }
    }

    /// Upstream restarts: hundreds of idle connections die at once, some are met dead, none is handed out.
    @Test func manyDeathsLeaveNoGhosts() async throws {
        try await withUpstream([.reply(Self.five)]) { rig, upstream in
            var running: [EventLoopFuture<Transcript>] = []
            for _ in 0..<200 {
                running.append(try await rig.borrow(ByteBuffer(string: UpstreamRig.request)).done)
            }
            for future in running { _ = try await future.get() }
            try await rig.eventually("all are idle on both sides") { pool in
                pool.count == pool.idleCount && pool.count == upstream.state.connections
            }
            await upstream.closeAll()
            try await rig.eventually("all are gone") { $0.count == 0 && $0.idleCount == 0 }
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
        }
    }
}

/// A port that refuses connections and stays ours: bound, but nobody listens. A port that was merely free a
/// moment ago may be some other test's by now.
struct RefusingPort {
    struct NoPort: Error {}
    private let descriptor: Int32
    let port: Int

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0 && getsockname(descriptor, generic, &length) == 0
            }
        }
        guard descriptor >= 0, isBound else { throw NoPort() }
        self.descriptor = descriptor
        self.port = Int(UInt16(bigEndian: address.sin_port))
    }

    func release() { close(self.descriptor) }
}
