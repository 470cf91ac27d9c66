import Metering
import NIOCore
import Testing

@testable import Proxy

/// A FIN says that a client sends no more, not that it does not read. Where the reply is paid for anyway it
/// is still delivered; where only the FIN tells that nobody is there, it is the end (docs/WIRE.md).
@Suite(.timeLimit(.minutes(10))) struct ServerHalfCloseTests {
    typealias F = ServerFixtures

    /// A client that has sent `bytes` and closed its sending side, which the proxy has seen.
    static func finished(_ rig: ServerRig, _ bytes: String) async throws -> WireClient {
        let client = try await rig.send(bytes)
        try await rig.eventually("it is running") {
            rig.upstream.state.calls.count == 1 || rig.control.watched.state.requests.count == 1
        }
        try await client.finish()
        // On the one loop the FIN was before this request.
        #expect(try await rig.ask(F.health).status == 200)
        return client
    }

    @Test func aWholeReplyIsStillDelivered() async throws {
        try await ServerRig.with { rig in
            let client = try await Self.finished(rig, F.chat)
            #expect(!client.state.sawEnd)
            try await rig.upstream.call().reply(F.reply)
            let reply = try await client.reply()
            #expect(reply.status == 200 && reply.text == F.replyBody && reply.closes)
            #expect(try await client.end() == "")
            #expect(try await rig.settled(1)[0].charge.amount.value == F.usageCharge)
            #expect(rig.count(status: 200) == 1 && rig.count(status: Status.clientClosed) == 0)
        }
    }

    @Test func aControlReplyIsStillDelivered() async throws {
        try await ServerRig.with { rig in
            let client = try await Self.finished(rig, F.get("/api/held"))
            rig.control.release()
            let reply = try await client.reply()
            #expect(reply.status == 200 && reply.text == "released")
            #expect(try await client.end() == "")
            #expect(rig.control.watched.state.cancelled == 0)
        }
    }

    /// `printf … | nc`: request and FIN in one go.
    @Test(arguments: ["/v1/models", "/api/health", "/api/chunked"])
    func aReplyOfOurOwnIsDeliveredToWhoeverClosedAtOnce(target: String) async throws {
        try await ServerRig.with { rig in
            for _ in 0..<5 {
                let client = try await rig.send(F.get(target))
                try await client.finish()
                #expect(try await client.reply().status == 200)
                #expect(try await client.end() == "")
            }
        }
    }

    @Test func aDrainedStreamIsStillDelivered() async throws {
        try await ServerRig.with(onDisconnect: .drain) { rig in
            let client = try await Self.finished(rig, F.stream)
            try await rig.upstream.call().reply(F.streamReply)
            let reply = try await client.reply()
            #expect(reply.text == F.streamText && reply.closes)
            #expect(try await client.end() == "")
        }
    }

    @Test func aStreamThatWouldBeCancelledIsCancelled() async throws {
        try await ServerRig.with { rig in
            let client = try await Self.finished(rig, F.stream)
            #expect(try await client.end() == "")
            #expect(try await rig.settled(1)[0].estimatedBecause == .clientGone)
        }
    }

    @Test func beforeTheRequestWentUpstreamItIsTheEnd() async throws {
        try await ServerRig.with { rig in
            rig.store.watched.update { $0.isClosed = true }
            let client = try await rig.send(F.chat)
            #expect(await rig.store.watched.until { $0.waiting == 1 })
            try await client.finish()
            #expect(try await client.end() == "")
            try await rig.store.openGate()
            #expect(await rig.store.watched.until { $0.released.count == 1 })
            #expect(rig.upstream.state.connections == 0)
        }
    }

    /// Pipelined requests were sent, so they are answered; the FIN behind them is for the last one.
    @Test func requestsBehindTheOneThatRunsAreAnsweredToo() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            let client = try await rig.send(F.get("/api/held") + F.get("/api/health"))
            try await rig.eventually("the first runs") { rig.control.watched.state.requests.count == 1 }
            try await client.finish()
            #expect(try await rig.ask(F.health).status == 200)
            rig.control.release()
            #expect(try await client.reply().text == "released")
            #expect(try await client.reply().text == "{\"ok\":true}")
            #expect(try await client.end() == "")
        }
    }

    /// Half a request and a FIN: nobody is there to finish it, and nobody expects an answer.
    @Test func halfARequestAndAFINIsTheEnd() async throws {
        try await ServerRig.with { rig in
            for bytes in ["GET /api/heal", String(F.chat.dropLast(5)), String(F.chunkedChat.dropLast(1))] {
                let client = try await rig.send(bytes)
                try await client.finish()
                #expect(try await client.end() == "")
                try await rig.eventually("it is closed") { rig.connectionsOpen == 0 }
            }
        }
    }
}
