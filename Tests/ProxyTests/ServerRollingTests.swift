import Metering
import NIOCore
import Testing

@testable import Proxy

/// Streams whose hold grows as they go on.
@Suite(.timeLimit(.minutes(3))) struct ServerRollingTests {
    typealias F = ServerFixtures

    static let stream = F.post(F.streamBody.replacing("gpt-test", with: "gpt-rolling"))
    static func frames(_ range: Range<Int>) -> String { range.map { F.frame("w\($0)") }.joined() }
    /// `FakePrices` charges the input by its bytes' bound when it holds, and by its estimate when it settles.
    static let inputEstimate: Int64 = 1

    static func with(_ body: (ServerRig) async throws -> Void) async throws {
        try await ServerRig.with(configure: { $0.limits.rollingStepTokens = 20 }, body)
    }

    @Test func theHoldGrowsWithTheStream() async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            let first = try #require(rig.store.watched.state.open.values.first)
            call.reply(F.streamHead)
            for start in stride(from: 0, to: 200, by: 10) {
                call.send(F.chunk(Self.frames(start..<start + 10)))
                try await client.received("w\(start + 9)\"")
            }
            let grown = try #require(rig.store.watched.state.open.values.first)
            #expect(grown > first && rig.store.watched.state.extended >= 8)
            call.send(F.streamEnd)
            let reply = try await client.reply()
            #expect(reply.text.hasSuffix("data: [DONE]\n\n"))
            let settled = try #require(rig.settlements.watched.state.settlements.first)
            #expect(settled.charge.amount.value == F.usageCharge && settled.estimatedBecause == nil)
        }
    }

    @Test(arguments: [1, 7, 300]) func theMoneyEnds(framesPerWrite: Int) async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            let first = try #require(rig.store.watched.state.open.values.first)
            // 100 tokens more than the first 20.
            rig.store.watched.update { $0.balance = Millicredits(first.value + 100 * FakePrices.outputRate) }
            call.reply(F.streamHead)
            for start in stride(from: 0, to: 300, by: framesPerWrite) {
                call.send(F.chunk(Self.frames(start..<start + framesPerWrite)))
            }
            let reply = try await client.reply()
            #expect(reply.text.hasPrefix(Self.frames(0..<120)) && !reply.text.holds("w120\""))
            #expect(reply.text.holds("data: {\"error\":{\"message\":\"Insufficient credits: they ended"))
            #expect(reply.text.holds("\"code\":\"insufficient_credits\"") && reply.text.hasSuffix("}\n\n"))
            let settled = try #require(rig.settlements.watched.state.settlements.first)
            #expect(settled.usage.output == 120 && settled.estimatedBecause == .creditsEnded)
            #expect(rig.store.watched.state.balance.value >= 0)
            try await rig.eventually("upstream is left") { rig.upstream.state.open == 0 }
        }
    }

    /// Two choices in one frame, and one token left.
    @Test func aFrameThatDoesNotFitEndsTheStream() async throws {
        try await Self.with { rig in
            let body =
                String(F.streamBody.dropLast()).replacing("gpt-test", with: "gpt-rolling") + ",\"n\":2}"
            let client = try await rig.send(F.post(body))
            let call = try await rig.upstream.call()
            let first = try #require(rig.store.watched.state.open.values.first)
            rig.store.watched.update { $0.balance = first }
            let both = F.frame("x").replacing(
                "\"choices\":[", with: "\"choices\":[{\"index\":1,\"delta\":{\"content\":\"y\"}},")
            call.reply(F.streamHead + F.chunk(F.frame("one")))
            for _ in 0..<30 { call.send(F.chunk(both)) }
            let reply = try await client.reply()
            #expect(reply.text.holds("insufficient_credits"))
            #expect(rig.settlements.watched.state.settlements.first?.usage.output == 39)
        }
    }

    @Test func whatIsNoStreamIsNotRelayed() async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.stream)
            try await rig.upstream.call().reply(F.reply)
            #expect(try await client.reply().status == 502)
            #expect(rig.settlements.watched.state.settlements.first?.usage.output == 0)
        }
    }

    /// Upstream's whole message is there before the hold store answered: it waits, and nothing of it is lost.
    @Test func theEndWaitsForTheAnswer() async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            rig.store.watched.update { $0.isClosed = true }
            call.reply(F.streamHead + F.chunk(Self.frames(0..<50)) + F.streamEnd)
            try await client.received("w19\"")
            #expect(await rig.store.watched.until { $0.waiting == 1 })
            #expect(rig.settlements.watched.state.settlements.isEmpty)
            try await rig.store.openGate()
            let reply = try await client.reply()
            #expect(reply.text == Self.frames(0..<50) + "data: [DONE]\n\n")
        }
    }

    @Test func theClientLeavesWhileItWaits() async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            rig.store.watched.update { $0.isClosed = true }
            call.reply(F.streamHead + F.chunk(Self.frames(0..<50)))
            try await client.received("w19\"")
            #expect(await rig.store.watched.until { $0.waiting == 1 })
            await client.reset()
            #expect(await rig.settlements.watched.until { $0.settlements.count == 1 })
            let settled = try #require(rig.settlements.watched.state.settlements.first)
            #expect(settled.usage.output == 20 && settled.estimatedBecause == .clientGone)
            try await rig.store.openGate()
        }
    }

    @Test func upstreamIsCutWhileItWaits() async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            rig.store.watched.update { $0.isClosed = true }
            call.reply(F.streamHead + F.chunk(Self.frames(0..<25)))
            try await client.received("w19\"")
            #expect(await rig.store.watched.until { $0.waiting == 1 })
            call.close()
            try await rig.store.openGate()
            let reply = try await client.reply()
            #expect(reply.text.hasPrefix(Self.frames(0..<25)) && reply.text.holds("upstream_error"))
            #expect(rig.settlements.watched.state.settlements.first?.usage.output == 25)
        }
    }

    @Test func aWholeReplyIsHeldInFull() async throws {
        try await Self.with { rig in
            _ = try await rig.send(F.post(F.chatBody.replacing("gpt-test", with: "gpt-rolling")))
            let call = try await rig.upstream.call()
            let held = try #require(rig.store.watched.state.open.values.first)
            #expect(held.value >= 1000 * FakePrices.outputRate)
            call.reply(F.reply)
        }
    }
}
