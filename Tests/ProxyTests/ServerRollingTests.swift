import Metering
import NIOCore
import Testing

@testable import Proxy

/// Streams whose hold grows as they go on.
@Suite(.timeLimit(.minutes(10))) struct ServerRollingTests {
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

    /// An upstream that puts many tokens into one delta is limited by their text.
    @Test func largeDeltasCountByTheirText() async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            let first = try #require(rig.store.watched.state.open.values.first)
            // 100 tokens more than the first 20; each frame has 60.
            rig.store.watched.update { $0.balance = Millicredits(first.value + 100 * FakePrices.outputRate) }
            let large = F.frame(String(repeating: "x", count: 300))
            call.reply(F.streamHead)
            for _ in 0..<4 { call.send(F.chunk(large)) }
            let reply = try await client.reply()
            #expect(reply.text.hasPrefix(large + large + "data: {\"error\""), "\(reply.text.utf8.count)")
            let settled = try #require(rig.settlements.watched.state.settlements.first)
            #expect(settled.usage.output == 120 && settled.estimatedBecause == .creditsEnded)
        }
    }

    /// The report had come when the credits ended: it is charged, and not above what was set aside.
    @Test(arguments: [5, 500]) func theUsageThatCameIsCharged(tokens: Int64) async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            let first = try #require(rig.store.watched.state.open.values.first)
            rig.store.watched.update { $0.balance = first }
            let usage =
                "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":\(tokens),\"total_tokens\":\(tokens + 9)}"
            call.reply(
                F.streamHead
                    + F.chunk(
                        // 20 tokens, of which 15 are paid for.
                        Self.frames(0..<5) + F.frame(String(repeating: "x", count: 100))
                            + "data: {\"choices\":[],\(usage)}\n\ndata: [DONE]\n\n")
                    + "0\r\n\r\n")
            let reply = try await client.reply()
            #expect(
                reply.text.hasPrefix(Self.frames(0..<5) + "data: {\"error\"") && !reply.text.holds("[DONE]"))
            let settled = try #require(rig.settlements.watched.state.settlements.first)
            #expect(settled.usage.output == tokens && settled.usage.input == 9)
            #expect(settled.estimatedBecause == .creditsEnded)
            let charge = 9 * FakePrices.inputRate + tokens * FakePrices.outputRate
            #expect(settled.charge.amount.value == min(charge, first.value))
        }
    }

    /// It is not upstream that is late.
    @Test func whoWaitsForCreditsUntilItsTimeIsOverIsToldSo() async throws {
        // Upstream answers in time, and the store no more from then on, however busy the test is.
        let store = Watched<FakeHoldStore?>(nil)
        let onCall: @Sendable (UpstreamCall) -> Void = { call in
            store.state?.watched.update { $0.isClosed = true }
            call.reply(F.streamHead + F.chunk(Self.frames(0..<50)))
        }
        try await ServerRig.with(
            onCall: onCall,
            configure: {
                $0.limits.rollingStepTokens = 20
                $0.timeouts.exchange = .seconds(3)
            }
        ) { rig in
            store.update { [held = rig.store] in $0 = held }
            let client = try await rig.send(Self.stream)
            let reply = try await client.reply()
            #expect(reply.text.hasPrefix(Self.frames(0..<20)) && !reply.text.holds("w20\""))
            #expect(reply.text.holds("holds_unavailable") && !reply.text.holds("upstream_timeout"))
            let settled = try #require(rig.settlements.watched.state.settlements.first)
            #expect(settled.usage.output == 20 && settled.estimatedBecause == .creditsEnded)
            try await rig.store.openGate()
        }
    }

    /// A hold store that is away for a while ends no stream whose hold still lasts.
    @Test func answersThatAreNotKnownEndNothingWhileTheHoldLasts() async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            rig.store.watched.update { $0.extendsWith = .unknown }
            call.reply(F.streamHead)
            for index in 0..<20 {
                call.send(F.chunk(Self.frames(index..<index + 1)))
                try await client.received("w\(index)\"")
            }
            rig.store.watched.update { $0.extendsWith = nil }
            call.send(F.chunk(Self.frames(20..<60)) + F.streamEnd)
            #expect(try await client.reply().text == Self.frames(0..<60) + "data: [DONE]\n\n")
        }
    }

    /// Strict: what goes on after a wait, and in it the end, waits for the disk as any other end, half a line included.
    @Test(arguments: [0, 30]) func whatGoesOnAfterAWaitIsSafeBeforeItsEnd(heldBytes: Int) async throws {
        try await Self.with { rig in
            rig.settlements.watched.update { $0.isStrict = true }
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            rig.store.watched.update { $0.isClosed = true }
            let last = Self.frames(50..<51)
            call.reply(F.streamHead + F.chunk(Self.frames(0..<50) + last.prefix(heldBytes)))
            try await client.received("w19\"")
            #expect(await rig.store.watched.until { $0.waiting == 1 })
            try await rig.store.openGate()
            try await client.received("w49\"")
            call.send(F.chunk(last.dropFirst(heldBytes)) + F.streamEnd)
            _ = try await rig.settled(1)
            try await rig.loopsAreThrough()
            try await client.looksAgain()
            #expect(!String(decoding: client.state.bytes, as: UTF8.self).holds("[DONE]"))
            rig.settlements.becameSafe()
            #expect(try await client.reply().text == Self.frames(0..<51) + "data: [DONE]\n\n")
        }
    }

    /// The same with everything there when the wait ends.
    @Test func aWholeStreamThatWaitedIsSafeBeforeItsEnd() async throws {
        try await Self.with { rig in
            rig.settlements.watched.update { $0.isStrict = true }
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            rig.store.watched.update { $0.isClosed = true }
            call.reply(F.streamHead + F.chunk(Self.frames(0..<50)) + F.streamEnd)
            try await client.received("w19\"")
            #expect(await rig.store.watched.until { $0.waiting == 1 })
            try await rig.store.openGate()
            _ = try await rig.settled(1)
            try await rig.loopsAreThrough()
            try await client.looksAgain()
            #expect(!String(decoding: client.state.bytes, as: UTF8.self).holds("[DONE]"))
            rig.settlements.becameSafe()
            #expect(try await client.reply().text == Self.frames(0..<50) + "data: [DONE]\n\n")
        }
    }
}
