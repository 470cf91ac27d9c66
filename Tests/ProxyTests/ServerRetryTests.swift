import Metering
import NIOCore
import Testing

@testable import Proxy

/// A POST is never sent twice. Only where it is proved that upstream took nothing of it does it go out once
/// more, on a fresh connection and under the same hold.
@Suite(.timeLimit(.minutes(10))) struct ServerRetryTests {
    typealias F = ServerFixtures

    /// Brings a kept-alive connection to its end at the moment at which the proxy uses it: its loop is held
    /// while the client's request and upstream's FIN or RST arrive, so that it finds both at once.
    static func sendIntoDeath(_ rig: ServerRig, reset: Bool, request: String = F.chat) async throws
        -> WireClient
    {
        let client = try await rig.send(F.chat)
        let first = try await rig.upstream.call(0)
        first.reply(F.reply)
        #expect(try await client.reply().status == 200)
        _ = try await rig.settled(1)
        try await rig.whileLoopIsHeld {
            try await client.send(request)
            if reset { first.reset() } else { first.close() }
            _ = await rig.upstream.watched.until { $0.open == 0 }
            try await KernelSockets.noneIsEstablished(to: rig.upstream.port)
        }
        return client
    }

    @Test(arguments: [false, true]) func aKeptConnectionThatDiedIsReplacedUnseen(reset: Bool) async throws {
        try await ServerRig.with { rig in
            let client = try await Self.sendIntoDeath(rig, reset: reset)
            let again = await rig.upstream.watched.until { $0.calls.count > 1 }
            try #require(again, "the client has: \(String(decoding: client.state.bytes, as: UTF8.self))")
            try await rig.upstream.call(1).reply(F.reply)
            #expect(try await client.reply().text == F.replyBody)
            let settlements = try await rig.settled(2)
            #expect(settlements.allSatisfy { $0.charge.amount.value == F.usageCharge })
            #expect(rig.upstream.state.calls.count == 2, "each request was read once")
            #expect(rig.upstream.state.connections == 2)
            #expect(rig.store.watched.state.placed == 2, "under the hold that it had")
        }
    }

    @Test func aKeptConnectionThatDiedIsReplacedForAStreamToo() async throws {
        try await ServerRig.with { rig in
            let client = try await Self.sendIntoDeath(rig, reset: false, request: F.stream)
            try await rig.upstream.call(1).reply(F.streamReply)
            #expect(try await client.reply().text == F.streamText)
            #expect(rig.upstream.state.calls.count == 2)
        }
    }

    /// Upstream had it: whatever became of it, it may have been served, and is charged as an estimate.
    @Test(arguments: [false, true]) func aRequestThatWasReadIsNeverSentAgain(reset: Bool) async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(F.chat)
            try await rig.upstream.call(0).reply(F.reply)
            #expect(try await client.reply().status == 200)
            for (index, request) in [F.chat, F.stream].enumerated() {
                try await client.send(request)
                let call = try await rig.upstream.call(index + 1)
                if reset { call.reset() } else { call.close() }
                let reply = try await client.reply()
                #expect(reply.status == 502 && reply.code == "upstream_error")
                let settlement = try await rig.settled(index + 2)[index + 1]
                #expect(settlement.kind == .final && settlement.estimatedBecause == .upstreamCut)
            }
            #expect(rig.upstream.state.calls.count == 3)
        }
    }

    /// A stream that ends half way is told so in the stream, and its output is charged.
    @Test func aStreamThatWasBegunIsNeverSentAgain() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(F.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead + F.chunk(F.frame("hi")))
            try await client.received("\"hi\"")
            call.reset()
            let reply = try await client.reply()
            #expect(reply.status == 200 && reply.code == "upstream_error")
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.estimatedBecause == .upstreamCut && settlement.usage.output == 1)
            #expect(rig.upstream.state.calls.count == 1)
        }
    }

    /// Nobody is there: a 502 without a charge, for as many as ask.
    @Test func anUpstreamThatRefusesConnectionsIsA502ForFree() async throws {
        let refusing = try HeldPort(.refusing)
        defer { refusing.release() }
        try await ServerRig.with(configure: {
            $0.upstream = try UpstreamOrigin.parse("http://127.0.0.1:\(refusing.port)/v1")
        }) { rig in
            for index in 0..<5 {
                let reply = try await rig.ask(index.isMultiple(of: 2) ? F.chat : F.stream)
                #expect(reply.status == 502 && reply.code == "upstream_error")
                #expect(try await rig.settled(index + 1)[index].kind == .void)
            }
        }
    }

    /// Every order of the FIN and the next request that the two kernels come up with.
    @Test func aConnectionThatUpstreamClosesBehindEachReplyIsNeverFatal() async throws {
        let onCall: @Sendable (UpstreamCall) -> Void = { call in
            call.reply(F.reply)
            call.close()
        }
        try await ServerRig.with(onCall: onCall) { rig in
            let client = try await rig.connect()
            var answered = 0
            let rounds = 150
            for round in 0..<rounds {
                try await client.send(F.post(F.chatBody.replacing("hello", with: "<\(round)>")))
                let status = try await client.reply().status
                #expect(status == 200 || status == 502)
                if status == 200 { answered += 1 }
            }
            let bodies = rig.upstream.state.calls.map(\.body)
            #expect(Set(bodies).count == bodies.count, "none was read twice")
            #expect(bodies.count == answered, "none was served and not delivered")
            // A connection that is being closed may take a request into its kernel: that one cannot be sent
            // again. How many do is the kernels' affair.
            #expect(answered > 0)
            let settlements = try await rig.settled(rounds)
            #expect(settlements.count { $0.estimatedBecause == nil && $0.kind == .final } == answered)
        }
    }
}
