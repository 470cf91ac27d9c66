import Metering
import NIOCore
import Testing

@testable import Proxy

/// A client leaves, by FIN or by RST, at each point of an exchange. It is seen at once, comes to one outcome,
/// and the audit at the end of each test finds nothing left behind.
@Suite(.timeLimit(.minutes(10))) struct ServerDisconnectTests {
    typealias F = ServerFixtures

    enum Leaving: Sendable, CaseIterable {
        case fin, reset

        func callAsFunction(_ clients: [WireClient]) async throws {
            for client in clients {
                switch self {
                case .fin: try await client.finish()
                case .reset: await client.reset()
                }
            }
        }
    }

    /// Enough that an order in which they are looked at does not hide a leak.
    static let crowd = 8

    static func crowd(_ rig: ServerRig, sends bytes: String) async throws -> [WireClient] {
        var clients: [WireClient] = []
        for _ in 0..<self.crowd { clients.append(try await rig.send(bytes)) }
        return clients
    }

    static func expectAllGone(_ rig: ServerRig) async throws {
        try await rig.eventually("all connections are closed") { rig.connectionsOpen == 0 }
        try await rig.eventually("no exchange runs") { rig.exchangesRunning == 0 }
    }

    // MARK: Before the hold

    @Test(arguments: Leaving.allCases) func inTheMiddleOfAHead(_ leave: Leaving) async throws {
        try await ServerRig.with { rig in
            let clients = try await Self.crowd(rig, sends: String(F.chat.prefix(60)))
            try await rig.eventually("all are there") { rig.connectionsOpen == Self.crowd }
            try await leave(clients)
            try await Self.expectAllGone(rig)
            #expect(clients.allSatisfy { $0.state.bytesReceived == 0 })
        }
    }

    @Test(arguments: Leaving.allCases) func inTheMiddleOfABody(_ leave: Leaving) async throws {
        try await ServerRig.with { rig in
            for request in [F.chat, F.chunkedChat, F.post(to: "/api/echo", F.chatBody)] {
                let clients = try await Self.crowd(rig, sends: String(request.dropLast(15)))
                try await rig.eventually("all are there") { rig.connectionsOpen == Self.crowd }
                try await leave(clients)
                try await Self.expectAllGone(rig)
            }
            #expect(rig.count(status: Status.clientClosed) == 2 * Self.crowd)
            #expect(rig.store.watched.state.placed == 0 && rig.control.watched.state.requests.isEmpty)
        }
    }

    @Test(arguments: Leaving.allCases) func whileItsKeyIsLookedUp(_ leave: Leaving) async throws {
        try await ServerRig.with { rig in
            rig.directory.watched.update { $0 = .init(isCold: true, isHeld: true) }
            let clients = try await Self.crowd(rig, sends: F.chat)
            #expect(await rig.directory.watched.until { $0.lookups == Self.crowd })
            try await leave(clients)
            try await Self.expectAllGone(rig)
            rig.directory.answerHeld()
            // The answers have been through the loop when a request behind them was answered.
            #expect(try await rig.ask(F.health).status == 200)
            #expect(rig.store.watched.state.placed == 0)
        }
    }

    /// The answer of the hold store comes to nobody, and must not leave a hold behind.
    @Test(arguments: Leaving.allCases) func whileItsHoldIsPlaced(_ leave: Leaving) async throws {
        try await ServerRig.with { rig in
            rig.store.watched.update { $0.isClosed = true }
            let clients = try await Self.crowd(rig, sends: F.stream)
            #expect(await rig.store.watched.until { $0.waiting == Self.crowd })
            try await leave(clients)
            try await rig.eventually("all connections are closed") { rig.connectionsOpen == 0 }
            try await rig.store.openGate()
            #expect(await rig.store.watched.until { $0.released.count == Self.crowd })
            try await Self.expectAllGone(rig)
            #expect(rig.settlements.watched.state.settlements.isEmpty && rig.upstream.state.connections == 0)
        }
    }

    // MARK: On the way to upstream

    @Test(arguments: Leaving.allCases) func whileItWaitsForAnUpstreamConnection(_ leave: Leaving) async throws
    {
        let full = try HeldPort(.full)
        defer { full.release() }
        try await ServerRig.with(configure: {
            $0.upstream = try UpstreamOrigin.parse("http://127.0.0.1:\(full.port)/v1")
        }) { rig in
            let clients =
                try await Self.crowd(rig, sends: F.stream) + Self.crowd(rig, sends: F.chat)
            #expect(await rig.store.watched.until { $0.open.count == 2 * Self.crowd })
            try await leave(clients)
            try await Self.expectAllGone(rig)
            let settlements = try await rig.settled(2 * Self.crowd)
            #expect(settlements.allSatisfy { $0.kind == .void }, "nothing was sent, so nothing is charged")
        }
    }

    @Test(arguments: Leaving.allCases) func beforeTheFirstByteOfAStream(_ leave: Leaving) async throws {
        try await ServerRig.with { rig in
            let clients = try await Self.crowd(rig, sends: F.stream)
            _ = try await rig.upstream.call(Self.crowd - 1)
            try await leave(clients)
            let settlements = try await rig.settled(Self.crowd)
            #expect(settlements.allSatisfy { $0.estimatedBecause == .clientGone && $0.usage.output == 0 })
            #expect(settlements.allSatisfy { $0.charge.amount > .zero }, "hanging up early is not free")
            #expect(await rig.upstream.watched.until { $0.open == 0 }, "upstream is told at once")
            try await Self.expectAllGone(rig)
        }
    }

    /// Only the whole reply tells its cost: it is read to its end for nobody.
    @Test func aWholeReplyIsReadOnAfterAReset() async throws {
        try await ServerRig.with { rig in
            let clients = try await Self.crowd(rig, sends: F.chat)
            _ = try await rig.upstream.call(Self.crowd - 1)
            try await Leaving.reset(clients)
            try await rig.eventually("all connections are closed") { rig.connectionsOpen == 0 }
            #expect(rig.exchangesRunning == Self.crowd)
            for call in rig.upstream.state.calls { call.reply(F.reply) }
            let settlements = try await rig.settled(Self.crowd)
            #expect(settlements.allSatisfy { $0.charge.amount.value == F.usageCharge })
            #expect(settlements.allSatisfy { $0.estimatedBecause == nil })
            try await Self.expectAllGone(rig)
            #expect(rig.count(status: Status.clientClosed) == Self.crowd)
        }
    }

    @Test func readingOnForNobodyHasItsTime() async throws {
        try await ServerRig.with(configure: { $0.timeouts.drain = .milliseconds(300) }) { rig in
            let clients = try await Self.crowd(rig, sends: F.chat)
            _ = try await rig.upstream.call(Self.crowd - 1)
            try await Leaving.reset(clients)
            let settlements = try await rig.settled(Self.crowd)
            #expect(settlements.allSatisfy { $0.estimatedBecause == .upstreamTimeout })
            #expect(await rig.upstream.watched.until { $0.open == 0 })
        }
    }

    // MARK: In the reply

    @Test(arguments: Leaving.allCases) func inTheMiddleOfAStream(_ leave: Leaving) async throws {
        try await ServerRig.with { rig in
            let clients = try await Self.crowd(rig, sends: F.stream)
            _ = try await rig.upstream.call(Self.crowd - 1)
            for call in rig.upstream.state.calls {
                call.send(F.streamHead + F.chunk(F.frame("a")) + F.chunk(F.frame("b")))
            }
            for client in clients { try await client.received("\"b\"") }
            try await leave(clients)
            let settlements = try await rig.settled(Self.crowd)
            #expect(settlements.allSatisfy { $0.estimatedBecause == .clientGone && $0.usage.output == 2 })
            #expect(await rig.upstream.watched.until { $0.open == 0 }, "upstream is told at once")
            try await Self.expectAllGone(rig)
        }
    }

    @Test func aStreamThatIsDrainedIsChargedForItsReport() async throws {
        try await ServerRig.with(onDisconnect: .drain) { rig in
            let clients = try await Self.crowd(rig, sends: F.stream)
            _ = try await rig.upstream.call(Self.crowd - 1)
            for call in rig.upstream.state.calls { call.send(F.streamHead + F.chunk(F.frame("a"))) }
            for client in clients { try await client.received("\"a\"") }
            try await Leaving.reset(clients)
            try await rig.eventually("all connections are closed") { rig.connectionsOpen == 0 }
            for call in rig.upstream.state.calls { call.reply(F.streamEnd) }
            let settlements = try await rig.settled(Self.crowd)
            #expect(settlements.allSatisfy { $0.charge.amount.value == F.usageCharge })
        }
    }

    @Test(arguments: Leaving.allCases) func whileItTakesNothingOfItsStream(_ leave: Leaving) async throws {
        try await ServerRig.with { rig in
            let client = try await Self.stalled(rig)
            try await leave([client])
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.estimatedBecause == .clientGone && settlement.usage.output > 0)
            #expect(await rig.upstream.watched.until { $0.open == 0 })
        }
    }

    /// Upstream was held back for a client that is gone; for nobody it is read as fast as it comes.
    @Test func aStalledStreamIsDrainedWhenItsClientIsGone() async throws {
        try await ServerRig.with(onDisconnect: .drain) { rig in
            let client = try await Self.stalled(rig)
            try await Leaving.reset([client])
            #expect(await rig.upstream.watched.until { $0.bytesPumped.values.first == Self.stallBytes })
            try await rig.upstream.call().reply(F.streamEnd)
            #expect(try await rig.settled(1)[0].charge.amount.value == F.usageCharge)
        }
    }

    static let stallPieces = 500
    static let stallBytes = stallPieces * F.bulk.chunk.readableBytes

    /// A client whose stream is held back.
    /// A reset that is found while its reply is written: what comes behind is read on for the charge, not held back for
    /// a client that is not there.
    @Test func aReplyIsReadOnWhenItsClientIsFoundGoneInTheWrite() async throws {
        try await ServerRig.with(onDisconnect: .drain) { rig in
            let client = try await rig.send(F.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead + F.chunk(F.frame("hi")))
            try await client.received("hi")
            try await rig.whileLoopIsHeld {
                call.pump(F.bulk.chunk, times: 8)
                #expect(
                    await rig.upstream.watched.until {
                        $0.bytesPumped[call.connection] == 8 * F.bulk.chunk.readableBytes
                    })
                await client.reset()
            }
            call.reply(F.streamEnd)
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.estimatedBecause == nil && settlement.charge.amount.value == F.usageCharge)
        }
    }

    static func stalled(_ rig: ServerRig) async throws -> WireClient {
        let client = try await rig.connect(receiveBuffer: 4096, keepsBytes: false)
        try await client.send(F.stream)
        let call = try await rig.upstream.call()
        call.send(F.streamHead)
        #expect(await client.watched.until { $0.bytesReceived > 0 })
        try await client.pause()
        call.pump(F.bulk.chunk, times: Self.stallPieces)
        let pumped = try await rig.upstream.stalls(call.connection)
        #expect(pumped < Self.stallBytes, "it stands before its end")
        return client
    }

    @Test(arguments: Leaving.allCases) func afterTheLastByte(_ leave: Leaving) async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            for request in [F.chat, F.stream] {
                let clients = try await Self.crowd(rig, sends: request)
                for client in clients { #expect(try await client.reply().status == 200) }
                try await leave(clients)
                try await Self.expectAllGone(rig)
            }
            let settlements = try await rig.settled(2 * Self.crowd)
            #expect(settlements.allSatisfy { $0.charge.amount.value == F.usageCharge })
        }
    }

    /// Any order of anything: requests of all kinds, left at any moment.
    @Test func aCrowdThatLeavesAtRandom() async throws {
        let seed = UInt64.random(in: .min ... .max)
        print("ServerDisconnectTests.aCrowdThatLeavesAtRandom, seed \(seed)")
        var dice = SplitMix(state: seed)
        try await ServerRig.with(threads: 2, onCall: F.answering) { rig in
            rig.directory.watched.update { $0.isCold = true }
            let requests = [
                F.chat, F.stream, F.chunkedChat, F.health, F.get("/v1/models"), F.get("/api/chunked"),
            ]
            for _ in 0..<150 {
                let bytes = (0..<Int.random(in: 1...3, using: &dice))
                    .map { _ in requests.randomElement(using: &dice) ?? F.chat }.joined()
                let client = try await rig.connect()
                client.offer(Array(bytes.utf8.prefix(Int.random(in: 1...bytes.utf8.count, using: &dice))))
                if Bool.random(using: &dice) {
                    _ = await client.watched.until(within: .milliseconds(1)) { $0.bytesReceived > 100 }
                }
                try await (Bool.random(using: &dice) ? Leaving.fin : .reset)([client])
            }
            // A FIN behind a whole request leaves the client there to read.
            await rig.closeClients()
            try await Self.expectAllGone(rig)
        }
    }
}

/// SplitMix64: small, seeded, the same everywhere.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = self.state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
