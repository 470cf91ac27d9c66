import NIOCore
import Testing

@testable import Proxy

/// Every bound is on memory or descriptors; each is refused in words that a client can act on, and given free
/// again.
@Suite(.timeLimit(.minutes(10))) struct ServerLimitTests {
    typealias F = ServerFixtures

    // MARK: Heads and bodies

    @Test func aHeadTooLargeIsA431() async throws {
        try await ServerRig.with(configure: { $0.limits.headBytesMax = 1024 }) { rig in
            let fits = "x-fill: \(String(repeating: "x", count: 700))\r\n"
            #expect(try await rig.ask(F.get("/v1/models", fields: fits)).status == 200)
            // Whether the end of the head came with it or not.
            let open = "GET /v1/models HTTP/1.1\r\nx-fill: \(String(repeating: "x", count: 1024))"
            for request in [F.get("/v1/models", fields: fits + fits), open] {
                let client = try await rig.send(request)
                let reply = try await client.reply()
                #expect(reply.status == 431 && reply.closes && reply.code == "head_too_large")
                #expect(try await client.end() == "")
            }
        }
    }

    @Test func tooManyFieldsAreA431() async throws {
        try await ServerRig.with(configure: { $0.limits.headFieldsMax = 8 }) { rig in
            let fields = (0..<6).map { "x-\($0): y\r\n" }.joined()
            #expect(try await rig.ask(F.get("/v1/models", fields: fields)).status == 200)
            let client = try await rig.send(F.get("/v1/models", fields: fields + "x: y\r\n"))
            let reply = try await client.reply()
            #expect(reply.status == 431 && reply.closes)
            #expect(try await client.end() == "")
        }
    }

    /// Said on the head alone; none of the bytes need to be sent.
    @Test(arguments: ["/v1/chat/completions", "/api/ai/chat", "/api/echo"])
    func aLengthTooLargeIsA413BeforeTheBody(target: String) async throws {
        try await ServerRig.with(configure: {
            $0.limits.jsonBodyBytesMax = 1000
            $0.limits.controlBodyBytesMax = 1000
        }) { rig in
            let client = try await rig.send(F.head(target, fields: "content-length: 1001\r\n"))
            let reply = try await client.reply()
            #expect(reply.status == 413 && reply.closes && reply.code == "body_too_large")
            #expect(try await client.end() == "")
        }
    }

    /// One limit for cards would let anybody send as much to any route before a credential is looked at.
    @Test func onlyACardMayBeAsLargeAsACard() async throws {
        try await ServerRig.with(configure: {
            $0.limits.controlBodyBytesMax = 1000
            $0.limits.rateCardBodyBytesMax = 2000
        }) { rig in
            for (target, count, isTooLarge) in [
                ("/api/admin/rate-cards/review", 2001, true), ("/admin/rate-card-editor", 2001, true),
                ("/admin/rate-cards", 1001, true), ("/api/admin/rate-cards", 2000, false),
            ] {
                let reply = try await rig.ask(F.post(to: target, String(repeating: "x", count: count)))
                #expect((reply.status == 413) == isTooLarge, "\(target)")
            }
        }
    }

    @Test(arguments: ["/v1/chat/completions", "/api/echo"])
    func chunksBeyondTheLimitAreA413AtOnce(target: String) async throws {
        try await ServerRig.with(configure: {
            $0.limits.jsonBodyBytesMax = 1000
            $0.limits.controlBodyBytesMax = 1000
        }) { rig in
            let client = try await rig.send(F.head(target, fields: "transfer-encoding: chunked\r\n"))
            try await client.send(F.chunk(String(repeating: "x", count: 1000)))
            #expect(await !client.watched.until(within: .milliseconds(50)) { $0.bytesReceived > 0 })
            try await client.send("1\r\ny")
            let reply = try await client.reply()
            #expect(reply.status == 413 && reply.closes && reply.code == "body_too_large")
            #expect(try await client.end() == "")
        }
    }

    /// The limits are of the body, not of what TCP makes of it.
    @Test func aBodyOfExactlyTheLimitIsTaken() async throws {
        try await ServerRig.with(onCall: F.answering, configure: { $0.limits.jsonBodyBytesMax = 1000 }) {
            rig in
            let body = F.chatBody + String(repeating: " ", count: 1000 - F.chatBody.utf8.count)
            let whole = try await rig.ask(F.post(body))
            #expect(whole.status == 200)
            let chunks = F.chunk(body.prefix(900)) + F.chunk(body.dropFirst(900)) + "0\r\n\r\n"
            let chunked = try await rig.ask(F.head(fields: "transfer-encoding: chunked\r\n") + chunks)
            #expect(chunked.status == 200)
        }
    }

    @Test func theBodiesOfAllConnectionsShareOneBudget() async throws {
        let size = 600_000
        try await ServerRig.with(
            threads: 2, onCall: F.answering,
            configure: {
                $0.limits.bufferedBodyBytesMax = 1_000_000
            }
        ) { rig in
            let body = F.chatBody + String(repeating: " ", count: size - F.chatBody.utf8.count)
            let first = try await rig.send(String(F.post(body).dropLast(10)))
            try await rig.eventually("the first body is there") {
                rig.server.budget.usedBytes == size - 10
            }
            let refused = try await rig.send(String(F.post(body).dropLast(10))).reply()
            #expect(refused.status == 503 && refused.code == "overloaded" && refused.closes)
            #expect(refused["retry-after"] != nil)
            // A small one needs none.
            #expect(try await rig.ask(F.chat).status == 200)
            await first.close()
            try await rig.eventually("both are gone") { rig.server.budget.usedBytes == 0 }
            for _ in 0..<3 {
                #expect(try await rig.ask(F.post(body)).status == 200)
                // Its bytes are given back behind the reply, on a loop that need not be the next one's.
                try await rig.eventually("its bytes are given back") { rig.server.budget.usedBytes == 0 }
            }
        }
    }

    // MARK: Exchanges and connections

    @Test func oneExchangeTooManyIsA503ThatSaysWhenToComeAgain() async throws {
        try await ServerRig.with(configure: { $0.limits.exchangesMax = 2 }) { rig in
            let first = try await rig.send(F.stream)
            let second = try await rig.send(F.chat)
            _ = try await rig.upstream.call(1)
            let third = try await rig.send(F.chat)
            let refused = try await third.reply()
            #expect(refused.status == 503 && refused.code == "overloaded" && refused["retry-after"] != nil)
            #expect(!refused.closes, "its body was there: the connection is good for another try")
            #expect(try await rig.ask(F.health).status == 200, "the control plane goes on")
            for call in rig.upstream.state.calls { F.answering(call) }
            #expect(try await first.reply().status == 200)
            #expect(try await second.reply().status == 200)
            try await third.send(F.chat)
            try await rig.upstream.call(2).reply(F.reply)
            #expect(try await third.reply().status == 200)
        }
    }

    @Test func aConnectionTooManyOfOneAddressIsA503AndAClose() async throws {
        try await Self.expectRefusedConnection { $0.limits.connectionsPerAddressMax = 2 }
    }

    @Test func aConnectionTooManyOfAllIsA503AndAClose() async throws {
        try await Self.expectRefusedConnection {
            $0.limits.connectionsMax = 2
            $0.limits.connectionsPerAddressMax = 0
        }
    }

    /// Two fit, the third does not, and one that leaves makes room.
    private static func expectRefusedConnection(
        _ configure: (inout DataPlaneConfiguration) -> Void
    ) async throws {
        try await ServerRig.with(threads: 2, configure: configure) { rig in
            let kept = try await rig.send(F.health)
            #expect(try await kept.reply().status == 200)
            let leaving = try await rig.connect()
            try await rig.eventually("both are counted") { rig.connectionsOpen == 2 }
            for _ in 0..<3 {
                let refused = try await rig.connect()
                let reply = try await refused.reply()
                #expect(reply.status == 503 && reply.closes && reply.code == "overloaded")
                #expect(try await refused.end() == "")
                await refused.close()
            }
            await leaving.close()
            try await rig.eventually("one is left") { rig.connectionsOpen == 1 }
            let reply = try await rig.ask(F.health)
            #expect(reply.status == 200, "\(reply.text)")
            try await kept.send(F.health)
            #expect(try await kept.reply().status == 200)
        }
    }

    /// Being told so costs a descriptor for a while; a flood of those who are told must not cost what the limit saves.
    @Test func aFloodOfRefusedConnectionsIsCutShort() async throws {
        try await ServerRig.with(configure: { $0.limits.connectionsPerAddressMax = 1 }) { rig in
            let kept = try await rig.send(F.health)
            #expect(try await kept.reply().status == 200)
            var refused: [WireClient] = []
            for _ in 0..<200 { refused.append(try await rig.connect()) }
            for client in refused { _ = try await client.end() }
            let told = refused.count { $0.state.bytesReceived > 0 }
            #expect((1...64).contains(told), "\(told) were told so")
            try await rig.eventually("few are open") { rig.connectionsOpen <= 1 + 64 }
            for client in refused { await client.close() }
            try await rig.eventually("one is open") { rig.connectionsOpen == 1 }
            #expect(try await rig.connect().reply().status == 503)
        }
    }

    /// A load balancer brings the connections of all its clients.
    @Test func aTrustedPeerIsNotCountedPerAddress() async throws {
        let trusted = try TrustedPeers(parsing: "127.0.0.0/8")
        try await ServerRig.with(configure: {
            $0.limits.connectionsPerAddressMax = 1
            $0.trustedPeers = trusted
        }) { rig in
            for _ in 0..<5 {
                let client = try await rig.send(F.health)
                #expect(try await client.reply().status == 200)
            }
        }
    }
}
