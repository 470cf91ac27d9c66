import Metering
import Testing

@testable import Proxy

/// Holds are named on the ledger's clock, and not at all on one that cannot be believed (MONEY_PATH C13).
@Suite struct LedgerClockTests {
    /// A host whose clocks go as the test says.
    private final class Host: Sendable {
        struct Clocks: Sendable {
            var wall: Int64 = 1_000_000_000_000
            var steady: Int64 = 5_000
        }
        let clocks = Watched(Clocks())

        var clock: LedgerClock {
            LedgerClock(
                source: .init(wall: { self.clocks.state.wall }, steady: { self.clocks.state.steady }))
        }

        func pass(_ milliseconds: Int64) {
            self.clocks.update {
                $0.wall += milliseconds
                $0.steady += milliseconds
            }
        }
    }

    private let host = Host()

    @Test func beforeTheFirstHeartbeatItIsTheWallClock() {
        let clock = self.host.clock
        #expect(
            clock.nowMilliseconds() == 1_000_000_000_000 && clock.isTrusted && clock.offsetMilliseconds == 0)
        self.host.pass(7)
        #expect(clock.nowMilliseconds() == 1_000_000_000_007)
    }

    /// The ledger read its clock in the middle of the round trip, as far as anybody knows.
    @Test func aHeartbeatCorrectsIt() {
        let clock = self.host.clock
        let asked = clock.askingMilliseconds()
        self.host.pass(100)
        clock.heard(ledgerMilliseconds: 1_000_000_002_000, asked: asked)
        #expect(clock.offsetMilliseconds == 1_950 && clock.isTrusted)
        #expect(clock.nowMilliseconds() == 1_000_000_002_050)
        self.host.pass(10)
        #expect(clock.nowMilliseconds() == 1_000_000_002_060)
    }

    /// What it is asked for there cannot be undone.
    @Test func itVouchesForTheTimeOnlyAfterAHeartbeatThatAgrees() {
        let clock = self.host.clock
        #expect(clock.trustedMilliseconds() == nil)
        clock.heard(ledgerMilliseconds: 1_000_000_000_000, asked: clock.askingMilliseconds())
        #expect(clock.trustedMilliseconds() == 1_000_000_000_000)
        clock.heard(ledgerMilliseconds: 1_000_000_090_000, asked: clock.askingMilliseconds())
        #expect(clock.trustedMilliseconds() == nil)
    }

    /// Between two heartbeats an operator, or NTP, sets the wall clock to another year.
    @Test func aWallClockThatIsSetDoesNotMoveIt() {
        let clock = self.host.clock
        clock.heard(ledgerMilliseconds: 1_000_000_000_000, asked: clock.askingMilliseconds())
        self.host.clocks.update { $0.wall -= 365 * 86_400_000 }
        self.host.pass(1_000)
        #expect(clock.nowMilliseconds() == 1_000_000_001_000 && clock.isTrusted)
        clock.heard(ledgerMilliseconds: 1_000_000_001_000, asked: clock.askingMilliseconds())
        #expect(!clock.isTrusted, "the next heartbeat tells")
    }

    @Test(
        arguments: [
            (30_000, true), (30_001, false), (-30_000, true), (-30_001, false),
            (Int64.max - 2_000_000_000_000, false),
        ] as [(Int64, Bool)])
    func beyondThirtySecondsItIsNotTrusted(offset: Int64, expected: Bool) {
        let clock = self.host.clock
        clock.heard(ledgerMilliseconds: 1_000_000_000_000 + offset, asked: clock.askingMilliseconds())
        #expect(clock.isTrusted == expected && clock.offsetMilliseconds == offset)
        clock.heard(ledgerMilliseconds: 1_000_000_000_000, asked: clock.askingMilliseconds())
        #expect(clock.isTrusted, "it was set right")
    }

    @Test func aHeartbeatThatTookLongSaysNothing() {
        let clock = self.host.clock
        let asked = clock.askingMilliseconds()
        self.host.pass(LedgerClock.roundTripMillisecondsMax + 1)
        clock.heard(ledgerMilliseconds: 1_000_000_050_000, asked: asked)
        #expect(clock.isTrusted && clock.offsetMilliseconds == 0)
    }

    @Test func itIsDistrustedWhenToldSoUntilTheNextHeartbeat() {
        let clock = self.host.clock
        clock.distrust()
        #expect(!clock.isTrusted)
        clock.heard(ledgerMilliseconds: 1_000_000_000_000, asked: clock.askingMilliseconds())
        #expect(clock.isTrusted)
    }

    @Test func theKernelsClocksGoOn() {
        let clock = LedgerClock()
        let before = LoopContext.wallMilliseconds()
        let now = clock.nowMilliseconds()
        #expect((before...LoopContext.wallMilliseconds()).contains(now))
        clock.heard(ledgerMilliseconds: now + 10_000, asked: clock.askingMilliseconds())
        #expect((now + 10_000..<now + 60_000).contains(clock.nowMilliseconds()))
    }
}

/// The same, seen by clients.
@Suite(.timeLimit(.minutes(10))) struct ServerClockTests {
    typealias F = ServerFixtures

    @Test func holdsAreNamedOnTheLedgersClock() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            let ahead: Int64 = 20_000
            let before = LoopContext.wallMilliseconds() + ahead
            rig.clock.heard(ledgerMilliseconds: before, asked: rig.clock.askingMilliseconds())
            let reply = try await rig.ask(F.chat)
            let settlement = try await rig.settled(1)[0]
            let after = LoopContext.wallMilliseconds() + ahead
            // Clocks of the kernel tick apart by a millisecond.
            #expect((before - 2...after + 2).contains(settlement.occurredAtMilliseconds))
            #expect(settlement.hold.millisecondsSinceEpoch == UInt64(settlement.occurredAtMilliseconds))
            #expect(reply["x-tollgate-request-id"] == settlement.hold.description)
        }
    }

    @Test(arguments: [60_000, -60_000, -4_000_000_000_000] as [Int64])
    func aClockThatIsOffPlacesNoHold(offset: Int64) async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            func hears(_ offset: Int64) {
                rig.clock.heard(
                    ledgerMilliseconds: LoopContext.wallMilliseconds() + offset,
                    asked: rig.clock.askingMilliseconds())
            }
            hears(offset)
            let client = try await rig.connect()
            for request in [F.chat, F.stream, F.post(to: "/api/ai/chat", F.chatBody)] {
                try await client.send(request)
                let reply = try await client.reply()
                #expect(reply.status == 503 && reply.code == "holds_unavailable" && !reply.closes)
                #expect(reply["retry-after"] == "2")
            }
            #expect(rig.store.watched.state.placed == 0 && rig.settlements.watched.state.reserved == 0)
            // What needs no hold is served.
            #expect(try await rig.ask(F.get("/v1/models")).status == 200)
            #expect(try await rig.ask(F.health).status == 200)
            hears(0)
            try await client.send(F.chat)
            #expect(try await client.reply().status == 200)
        }
    }

    /// The id was made on the wrong clock, whatever became of the clock meanwhile.
    @Test func anIDFromAnUntrustedClockIsNeverUsed() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            rig.clock.distrust()
            let client = try await rig.send(String(F.chat.dropLast(5)))
            try await rig.eventually("it has begun") { rig.exchangesRunning == 1 }
            rig.clock.heard(
                ledgerMilliseconds: LoopContext.wallMilliseconds(), asked: rig.clock.askingMilliseconds())
            try await client.send(String(F.chat.suffix(5)))
            #expect(try await client.reply().code == "holds_unavailable")
            try await client.send(F.chat)
            #expect(try await client.reply().status == 200)
        }
    }
}
