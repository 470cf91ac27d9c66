import NIOCore
import Testing

@testable import Proxy

/// A reply that was handed over is not yet one that was read: until then its connection begins nothing new, and
/// nothing of ours cuts it.
@Suite(.timeLimit(.minutes(10))) struct ServerUnreadReplyTests {
    typealias F = ServerFixtures

    /// Each request costs its sender 30 bytes and us a reply of hundreds. Whoever reads none of them must not fill our
    /// memory; it needs no key.
    @Test(arguments: ["/v1/models", "/v1/none"])
    func aClientThatPipelinesAndReadsNothingIsLeftInItsSocket(target: String) async throws {
        try await ServerRig.with { rig in
            let client = try await rig.connect(receiveBuffer: 4096)
            try await client.pause()
            let request = "GET \(target) HTTP/1.1\r\nhost: x\r\n\r\n"
            let piece = Array(String(repeating: request, count: (64 << 10) / request.utf8.count).utf8)
            for _ in 0..<(64 << 20) / piece.count { client.offer(piece) }
            let taken = await client.stalls()
            #expect(taken < ServerBackPressureTests.inFlightMax, "\(taken) bytes are under way")
        }
    }

    /// Nothing of that is lost once it reads again.
    @Test func whatWasHeldBackIsAnswered() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.connect(receiveBuffer: 4096)
            try await client.pause()
            let count = 20_000
            client.offer(Array(String(repeating: F.get("/v1/none"), count: count).utf8))
            let taken = await client.stalls()
            try await client.resume()
            try await rig.eventually("all are answered") { rig.count(status: 404) == count }
            try await client.finish()
            let end = try await client.end()
            // Each has one blank line, between head and body.
            let replies = end.utf8.split(separator: 10).count { $0.elementsEqual([13]) }
            #expect(replies == count, "\(replies) replies; \(taken) bytes were taken before it read")
        }
    }

    /// As for a reply that is being written: who takes nothing of the one before has its time.
    @Test func whoTakesNothingOfTheReplyBeforeIsClosed() async throws {
        try await ServerRig.with(configure: {
            $0.timeouts.clientWrite = .seconds(3)
            $0.limits.gatheredReplyBytesMax = 64 << 20
        }) { rig in
            let client = try await rig.connect(receiveBuffer: 4096)
            try await client.pause()
            try await client.send(F.chat)
            try await rig.upstream.call().reply(Self.largeReply)
            _ = try await rig.settled(1)
            // The second one must not begin: nobody would be there for it.
            client.offer(Array(F.stream.utf8))
            try await rig.eventually("it is closed") { rig.connectionsOpen == 0 }
            #expect(rig.upstream.state.calls.count == 1)
        }
    }

    private static let largeBody =
        "{\"choices\":[],\"x\":\"\(String(repeating: "x", count: 16 << 20))\",\(F.usage)}"
    private static let largeReply = F.upstreamReply(largeBody)

    enum Event: CaseIterable, Sendable {
        case keepAliveTime, halfClose, drain, requestBehindAFIN
    }

    /// It was charged: what is on its way is delivered, whatever ends the connection behind it.
    @Test(arguments: Event.allCases) func aReplyOnItsWayIsNotCut(event: Event) async throws {
        try await ServerRig.with(configure: {
            $0.limits.gatheredReplyBytesMax = 64 << 20
            if event == .keepAliveTime { $0.timeouts.keepAlive = .milliseconds(300) }
            $0.timeouts.lastRequests = .milliseconds(10)
        }) { rig in
            let client = try await rig.connect(receiveBuffer: 4096)
            try await client.pause()
            try await client.send(F.chat)
            try await rig.upstream.call().reply(Self.largeReply)
            _ = try await rig.settled(1)
            try await withThrowingTaskGroup(of: Void.self) { group in
                switch event {
                case .keepAliveTime: break
                case .halfClose: try await client.finish()
                case .drain: group.addTask { await rig.server.stop() }
                case .requestBehindAFIN:
                    try await client.send(F.chat)
                    try await client.finish()
                }
                #expect(await !client.watched.until(within: .milliseconds(700)) { $0.sawEnd || $0.sawReset })
                try await client.resume()
                let reply = try await client.reply()
                #expect(reply.status == 200 && reply.body.count == Self.largeBody.utf8.count)
                #expect(try await client.end() == "")
                try await group.waitForAll()
            }
            #expect(rig.upstream.state.calls.count == 1)
        }
    }

    /// A thousand requests in one packet are one client's: others have their turn between them.
    @Test func aBurstOfRequestsIsServedInTurns() async throws {
        try await ServerRig.with { rig in
            let greedy = try await rig.connect(keepsBytes: false)
            let other = try await rig.connect()
            let count = 4000
            let others = F.get("/v1/models").replacing(FakeDirectory.key, with: FakeDirectory.suspendedKey)
            // Both are in the kernel before the one loop looks; the burst came first.
            try await rig.whileLoopIsHeld {
                try await greedy.send(String(repeating: F.get("/v1/models"), count: count))
                try await other.send(others)
            }
            #expect(try await other.reply().status == 403)
            try await rig.eventually("all of it is answered") { rig.count(status: 200) == count }
            let asked = rig.directory.watched.state.keysAsked
            let before = try #require(asked.firstIndex(of: 2))
            #expect(asked.count == count + 1 && before < 100, "\(before) had their turn before the other")
        }
    }
}
