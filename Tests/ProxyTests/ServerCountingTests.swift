import Metering
import NIOCore
import Testing

@testable import Proxy

/// The texts of requests are counted before the hold, in slices that let the loop go on.
@Suite(.timeLimit(.minutes(10))) struct ServerCountingTests {
    typealias F = ServerFixtures

    private static func body(_ content: String) -> String {
        #"{"model":"gpt-4o","messages":[{"role":"user","content":"\#(content)"}],"max_tokens":5}"#
    }

    /// Tokens of input at `FakePrices`, and 5 of output.
    private static func hold(_ tokens: Int) -> Int64 {
        Int64(tokens) * FakePrices.inputRate + 5 * FakePrices.outputRate
    }

    @Test(arguments: [true, false]) func aHoldIsMadeOfCountedTokensWhereTheyCanBeCounted(_ canCount: Bool)
        async throws
    {
        let encodings = canCount ? try SmallEncodings.tables() : EncodingTables()
        try await ServerRig.with(model: "gpt-4o", encodings: encodings) { rig in
            let body = Self.body(String(repeating: "a", count: 400))
            let client = try await rig.send(F.post(body))
            let call = try await rig.upstream.call()
            let bytes = body.utf8.count
            #expect(rig.store.watched.state.held == Self.hold(canCount ? bytes - 400 + 100 : bytes))
            call.reply(F.reply)
            #expect(try await client.reply().status == 200)
        }
    }

    /// One long prompt must not hold up the others of its loop.
    @Test func othersAreServedWhileALongPromptIsCounted() async throws {
        // Others' replies when the count begins, now, and when upstream is called.
        let served = Watched((before: 0, now: 0, after: 0))
        let onCall: @Sendable (UpstreamCall) -> Void = { _ in served.update { $0.after = $0.now } }
        try await ServerRig.with(model: "gpt-4o", encodings: SmallEncodings.tables(), onCall: onCall) { rig in
            // Asks again at each reply, on loops alone: the tests beside this one keep it waiting for nothing.
            let models = F.get("/v1/models")
            _ = try await rig.connect(saying: models) { watched, channel in
                let reply = watched.update { state -> WireReply? in
                    guard let (reply, count) = WireReply.parse(state.bytes, headOnly: false, atEnd: false)
                    else { return nil }
                    state.bytes.removeFirst(count)
                    return reply
                }
                guard reply?.status == 200, served.state.after == 0 else { return }
                served.update { $0.now += 1 }
                channel.writeAndFlush(ByteBuffer(string: models), promise: nil)
            }
            // 600,000 tokens, which the model's context clamps.
            let body = Self.body(String(repeating: "aaaaaaaa1", count: 200_000))
            let request = F.post(body)
            let client = try await rig.send(String(request.dropLast()))
            try await rig.eventually("all but the end is there") {
                rig.server.budget.usedBytes == body.utf8.count - 1
            }
            try await rig.whileLoopIsHeld {
                try await client.send(String(request.suffix(1)))
                served.update { $0.before = $0.now }
            }
            let call = try await rig.upstream.call()
            // A loop that counted in one go would answer one or two of them, behind the count.
            #expect(await served.until { $0.after - $0.before > 5 }, "\(served.state)")
            #expect(rig.store.watched.state.held == Self.hold(128_000))
            call.reply(F.reply)
            #expect(try await client.reply().status == 200)
        }
    }

    @Test(arguments: ServerDisconnectTests.Leaving.allCases)
    func aClientThatLeavesMeanwhileLeavesNothingBehind(_ leave: ServerDisconnectTests.Leaving) async throws {
        try await ServerRig.with(model: "gpt-4o", encodings: SmallEncodings.tables(), onCall: F.answering) {
            rig in
            let body = Self.body(String(repeating: "b1 ", count: 250_000))
            let clients = [try await rig.send(F.post(body)), try await rig.send(F.post(body))]
            try await leave(clients)
            try await ServerDisconnectTests.expectAllGone(rig)
        }
    }
}
