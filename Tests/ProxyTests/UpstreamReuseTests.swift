import NIOCore
import NIOPosix
import Testing

@testable import Proxy

/// A POST must never be sent twice, and must not be lost to a connection that upstream closed while it was idle.
@Suite(.timeLimit(.minutes(5))) struct UpstreamReuseTests {
    private static var unchecked: UpstreamPool.Limits {
        var limits = UpstreamPool.Limits()
        limits.checksLiveness = false
        return limits
    }

    /// The peer's FIN is in the kernel, but the event loop has not read it yet: the kernel is asked.
    @Test func aConnectionThatUpstreamClosedIsNotUsedAgain() async throws {
        try await withUpstream([.reply(UpstreamConnectionTests.five)]) { rig, upstream in
            for round in 1...10 {
                UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
                await upstream.closeAll()
                try await KernelSockets.noneIsEstablished(to: upstream.port)
                #expect(upstream.state.requests.count == round)
            }
        }
    }

    /// What an upstream says without being asked would be taken for the answer to the next customer's request.
    @Test func aConnectionWithBytesThatNobodyAskedForIsNotUsedAgain() async throws {
        try await withUpstream([.reply(UpstreamConnectionTests.five)]) { rig, upstream in
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            // They are in the kernel, and the loop, which is busy, has not read them.
            let got = try await rig.run(after: {
                upstream.writeToAllNow(UpstreamConnectionTests.ok + "Content-Length: 6\r\n\r\nforged")
                KernelSockets.waitUntilUnread(from: upstream.port)
            })
            UpstreamConnectionTests.expectComplete(got, "hello")
            #expect(got.reused == false && upstream.state.connections == 2)
        }
    }

    /// The first read of a connection is of 64 bytes: the whole first reply, and nothing of what is behind it.
    @Test func aReplyBehindTheReplyIsNobodys() async throws {
        let body = String(repeating: "a", count: 25)
        let first = UpstreamConnectionTests.ok + "Content-Length: 25\r\n\r\n" + body
        try #require(first.utf8.count == 64)
        let forged = UpstreamConnectionTests.ok + "Content-Length: 6\r\n\r\nforged"
        let limits = UpstreamPoolTests.limits(connectionsMax: 1)
        try await withUpstream(
            [.reply(first + forged), .reply(UpstreamConnectionTests.five)], limits: limits
        ) {
            rig, _ in
            let running = [try await rig.begin(), try await rig.begin()]
            UpstreamConnectionTests.expectComplete(try await running[0].get(), body)
            let second = try await running[1].get()
            UpstreamConnectionTests.expectComplete(second, "hello")
            #expect(second.reused == false)
        }
    }

    @Test func whoWaitsForAConnectionThatDiesGetsAnother() async throws {
        let five = UpstreamConnectionTests.five
        let limits = UpstreamPoolTests.limits(connectionsMax: 1)
        try await withUpstream([.replyThenClose(five), .reply(five)], limits: limits) { rig, upstream in
            let request = ByteBuffer(string: UpstreamRig.request)
            let port = upstream.port
            // The FIN is in the kernel when the connection is given back.
            let first = try await rig.borrow(request) {
                $0.onEnd = { KernelSockets.waitUntilNoneIsEstablished(to: port) }
            }
            let second = try await rig.begin()
            for future in [first.done, second] {
                UpstreamConnectionTests.expectComplete(try await future.get(), "hello")
            }
            #expect(upstream.state.connections == 2)
        }
    }

    /// OpenSSL holds the part that came, and the rest would be read as the answer to the next request.
    @Test(arguments: [1, 5, 8]) func halfARecordThatNobodyAskedForIsTheEnd(count: Int) async throws {
        try await UpstreamTLSTests.with([.reply(UpstreamConnectionTests.five)]) { rig, upstream in
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            try await upstream.writeBelowTLS(Array([0x17, 3, 3, 0, 200, 1, 2, 3].prefix(count)))
            // Most times the loop has read it by then; if not, the kernel tells of it.
            try await Task.sleep(for: .milliseconds(100))
            let got = try await rig.run()
            UpstreamConnectionTests.expectComplete(got, "hello")
            #expect(got.reused == false && upstream.state.connections == 2)
        }
    }

    /// Bytes that upstream has read are upstream's: whatever becomes of the connection, there is no second try.
    @Test func whatWasReadIsNeverSaidToBeUntaken() async throws {
        try await withUpstream([.reply(UpstreamConnectionTests.five), .close], limits: Self.unchecked) {
            rig, upstream in
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            let got = try await rig.run()
            #expect(got.reused == true && got.ending == .closed(.closed))
            #expect(upstream.state.requests.count == 2)
        }
    }

    /// Upstream's socket was closed before the request reached it: its FIN acknowledges nothing, and a reset follows.
    @Test func whatMeetsAClosedSocketIsUntaken() async throws {
        let peer = try ClosingPeer()
        try await UpstreamRig.with("http://127.0.0.1:\(peer.port)", limits: Self.unchecked) { rig in
            async let first = rig.run()
            try await peer.answerFirst()
            UpstreamConnectionTests.expectComplete(try await first, "hello")
            // While the loop is busy the peer closes and the request is written: in this order for the kernel, the
            // other way round for the loop.
            let got = try await rig.run(after: {
                peer.closeNow()
                KernelSockets.waitUntilNoneIsEstablished(to: peer.port)
            })
            #expect(got.reused == true && got.ending == .closed(.notAccepted))
            #expect(got.written == .nothing)
        }
    }

    @Test func aFreshLeaseGetsAConnectionThatNobodyUsed() async throws {
        try await withUpstream([.reply(UpstreamConnectionTests.five)]) { rig, upstream in
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            let got = try await rig.run(fresh: true)
            UpstreamConnectionTests.expectComplete(got, "hello")
            #expect(got.reused == false && upstream.state.connections == 2)
        }
    }
}
