import Metering
import NIOCore
import Testing

@testable import Proxy

/// The texts of requests are counted before the hold, in slices that let the loop go on.
@Suite(.timeLimit(.minutes(3))) struct ServerCountingTests {
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
        try await ServerRig.with(model: "gpt-4o", encodings: SmallEncodings.tables()) { rig in
            let other = try await rig.connect()
            // 600,000 tokens, which the model's context clamps.
            let body = Self.body(String(repeating: "aaaaaaaa1", count: 200_000))
            let client = try await rig.send(F.post(body))
            var served = 0
            while rig.upstream.state.calls.isEmpty {
                try await other.send(F.health)
                #expect(try await other.reply().status == 200)
                served += 1
            }
            // A loop that counted in one go would answer one or two of them, behind the count.
            #expect(served > 5)
            let call = try await rig.upstream.call()
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
