import Metering
import NIOCore
import Testing

@testable import Proxy

/// What can happen while the end of a reply waits for its outcome to be safe, or for upstream's end behind
/// `[DONE]`: the client leaves, the server stops, time runs out, upstream says more. The outcome stands, and
/// nobody sees a complete reply too early.
@Suite(.timeLimit(.minutes(10))) struct ServerWaitingEndTests {
    typealias F = ServerFixtures
    typealias Order = ServerEndOrderTests

    /// A client whose reply has come to its end and waits to be safe.
    private static func waiting(_ rig: ServerRig, _ request: String, _ reply: String) async throws
        -> WireClient
    {
        rig.settlements.watched.update { $0.isStrict = true }
        let client = try await rig.send(request)
        try await rig.upstream.call().reply(reply)
        _ = try await rig.settled(1)
        try await rig.loopsAreThrough()
        return client
    }

    static let replies: [(request: String, reply: String)] = [
        (F.chat, F.reply), (F.stream, F.streamReply), (F.stream, Order.openEnd),
    ]

    @Test(arguments: replies, [false, true])
    func aClientThatLeavesIsChargedAndForgotten(_ what: (request: String, reply: String), fin: Bool)
        async throws
    {
        try await ServerRig.with { rig in
            let client = try await Self.waiting(rig, what.request, what.reply)
            if fin { await client.close() } else { await client.reset() }
            // A FIN alone does not tell a client that left from one that sends no more; what is written does.
            if fin { rig.settlements.becameSafe() }
            if what.reply == Order.openEnd, fin { try await rig.upstream.call().reply("0\r\n\r\n") }
            try await rig.eventually("no exchange runs") { rig.exchangesRunning == 0 }
            rig.settlements.becameSafe()
            #expect(rig.settlements.watched.state.settlements.map(\.charge.amount.value) == [F.usageCharge])
            #expect(rig.settlements.watched.state.settlements[0].estimatedBecause == nil)
        }
    }

    /// Upstream's connection is not left behind by an exchange that is over before its end.
    @Test(arguments: [false, true]) func whoeverLeavesBehindDoneLeavesNoUpstream(strict: Bool) async throws {
        try await ServerRig.with { rig in
            rig.settlements.watched.update { $0.isStrict = strict }
            let client = try await rig.send(F.stream)
            try await rig.upstream.call().send(Order.openEnd)
            _ = try await rig.settled(1)
            if !strict { try await client.received("[DONE]") }
            await client.reset()
            try await rig.eventually("no exchange runs") { rig.exchangesRunning == 0 }
            #expect(await rig.upstream.watched.until { $0.open == 0 })
            rig.settlements.becameSafe()
        }
    }

    @Test(arguments: replies)
    func aClientThatOnlySendsNoMoreGetsItsReply(_ what: (request: String, reply: String)) async throws {
        try await ServerRig.with { rig in
            let client = try await Self.waiting(rig, what.request, what.reply)
            try await client.finish()
            #expect(try await rig.ask(F.health).status == 200, "the FIN was before this request")
            if what.reply == Order.openEnd { try await rig.upstream.call().reply("0\r\n\r\n") }
            rig.settlements.becameSafe()
            let reply = try await client.reply()
            #expect(reply.text == (what.request == F.chat ? F.replyBody : F.streamText))
            #expect(try await client.end() == "")
        }
    }

    @Test(arguments: replies)
    func aServerThatStopsCompletesNoReplyThatIsNotSafe(_ what: (request: String, reply: String)) async throws
    {
        try await ServerRig.with { rig in
            let client = try await Self.waiting(rig, what.request, what.reply)
            rig.server.stopNow()
            await rig.server.stop()
            let rest = try await client.end()
            #expect(!rest.holds("[DONE]") && !rest.holds(F.usage) && !rest.holds("0\r\n\r\n"))
            // The disk can answer when nobody is there any more.
            rig.settlements.becameSafe()
            try await rig.loopsAreThrough()
            #expect(rig.settlements.watched.state.settlements.map(\.charge.amount.value) == [F.usageCharge])
        }
    }

    /// A server that stops in time waits for the disk.
    @Test func aServerThatDrainsWaitsForWhatIsNotSafe() async throws {
        try await ServerRig.with(configure: { $0.timeouts.lastRequests = .milliseconds(50) }) { rig in
            let client = try await Self.waiting(rig, F.stream, F.streamReply)
            async let stopped: Void = rig.server.stop()
            // The listener is shut, and the exchange runs.
            try await rig.eventually("it stops") { rig.server.port == nil }
            #expect(rig.exchangesRunning == 1)
            try await Order.expectNoEnd(client)
            rig.settlements.becameSafe()
            #expect(try await client.reply().text == F.streamText)
            await stopped
        }
    }

    /// Upstream had its say in time: its silence while the disk is waited for makes no time-out.
    @Test func theDiskIsNotTakenForASlowUpstream() async throws {
        try await ServerRig.with(configure: { $0.timeouts.upstreamIdle = .seconds(1) }) { rig in
            let client = try await Self.waiting(rig, F.stream, F.streamReply)
            // Whoever begins later and is out of time shows that the first one's was over as well.
            let late = try await rig.send(F.stream)
            try await rig.upstream.call(1).send(F.streamHead + F.chunk(F.frame("hi")))
            #expect(try await rig.settled(2)[1].estimatedBecause == .upstreamTimeout)
            try await rig.loopsAreThrough()
            try await Order.expectNoEnd(client)
            try await Order.expectNoEnd(late)
            rig.settlements.becameSafe()
            #expect(try await client.reply().text == F.streamText)
            #expect(try await late.reply().code == "upstream_timeout")
        }
    }

    /// Upstream that says `[DONE]` and nothing more: the reply is whole, and no error stands behind its end.
    @Test(arguments: [false, true]) func silenceBehindDoneIsNoError(strict: Bool) async throws {
        try await ServerRig.with(configure: { $0.timeouts.upstreamIdle = .seconds(1) }) { rig in
            rig.settlements.watched.update { $0.isStrict = strict }
            let client = try await rig.send(F.stream)
            try await rig.upstream.call().send(Order.openEnd)
            _ = try await rig.settled(1)
            #expect(await rig.upstream.watched.until { $0.open == 0 }, "given up")
            try await rig.loopsAreThrough()
            if strict {
                try await Order.expectNoEnd(client)
                rig.settlements.becameSafe()
            }
            #expect(try await client.reply().text == F.streamText)
            #expect(rig.settlements.watched.state.settlements[0].estimatedBecause == nil)
        }
    }

    /// A disk that never answers does not keep a client for ever, nor let it take its reply for complete.
    @Test(arguments: [
        (F.chat, F.reply), (F.stream, F.streamReply), (Order.oldStream, F.streamReply),
    ]) func anExchangeWhoseTimeIsOverIsCut(request: String, reply: String) async throws {
        // Upstream answers in time, however busy the test is.
        try await ServerRig.with(
            onCall: { $0.reply(reply) }, configure: { $0.timeouts.exchange = .seconds(3) }
        ) { rig in
            rig.settlements.watched.update { $0.isStrict = true }
            let client = try await rig.send(request)
            let rest = try await client.end()
            #expect(!rest.holds("[DONE]") && !rest.holds("0\r\n\r\n") && !rest.holds("\"error\""))
            if request == Order.oldStream { #expect(client.state.sawReset, "a FIN would be the end") }
            #expect(rig.exchangesRunning == 0)
            rig.settlements.becameSafe()
            try await rig.loopsAreThrough()
        }
    }

    /// What upstream sends behind `[DONE]` waits with it, and upstream waits for the disk.
    @Test func aFloodBehindDoneIsHeldBack() async throws {
        try await ServerRig.with { rig in
            rig.settlements.watched.update { $0.isStrict = true }
            let client = try await rig.connect(keepsBytes: false)
            try await client.send(F.stream)
            let call = try await rig.upstream.call()
            call.send(Order.openEnd)
            _ = try await rig.settled(1)
            let piece = ByteBuffer(string: F.chunk(": \(String(repeating: "x", count: 64 << 10))\n\n"))
            let pieces = ServerBackPressureTests.total / piece.readableBytes
            call.pump(piece, times: pieces)
            let stalledAt = try await rig.upstream.stalls(call.connection)
            #expect(stalledAt < ServerBackPressureTests.inFlightMax, "\(stalledAt) bytes are under way")
            rig.settlements.becameSafe()
            let all = pieces * piece.readableBytes
            #expect(await rig.upstream.watched.until { $0.bytesPumped[call.connection] == all })
            call.reply("0\r\n\r\n")
            #expect(
                await client.watched.until { $0.bytesReceived > pieces * (64 << 10) }, "every byte arrives")
            try await rig.eventually("no exchange runs") { rig.exchangesRunning == 0 }
        }
    }
}
