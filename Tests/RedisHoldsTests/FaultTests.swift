import Logging
import Metering
import MoneyPath
import NIOCore
import NIOSSL
import Testing

@testable import RedisHolds

/// Rules K1–K5 with a network that delays, cuts and delivers late; and a Redis that forgets.
@Suite struct FaultTests {
    private func warmRig(
        server: TestRedis = .shared,
        _ adjust: @escaping @Sendable (inout HoldSessionSettings) -> Void = { _ in }
    ) async throws -> SessionRig {
        let rig = try await SessionRig(server: server, faults: true) { settings in
            settings.session.breakerFailuresMax = 3
            // Connections end where a test cuts them, however long it waits for its turn.
            settings.stallTimeout = .hours(1)
        }
        rig.ledger.set(rig.account, balance: 1000)
        try await rig.placeAndRelease()
        await rig.adjust(adjust)
        return rig
    }

    private func relay(_ rig: SessionRig) throws -> FaultRelay { try #require(rig.relay) }

    /// K2: the client has its 503, the grant comes later.
    @Test(arguments: [true, false]) func aLateGrantIsReleased(_ commandsWait: Bool) async throws {
        let rig = try await self.warmRig { $0.placeDeadline = .milliseconds(50) }
        let relay = try self.relay(rig)
        if commandsWait { try await relay.holdCommands() } else { try await relay.holdReplies() }
        #expect(await rig.place(rig.request(400)) == .unavailable(.deadline))
        #expect(await rig.liveCount() == 1)
        try await relay.letGo()
        try await rig.settled()
        #expect(await rig.liveCount() == 0)
        #expect(try await rig.sums() == [0, 0, 1000])
        #expect(rig.holds.counters.lateGrantsReleased.now == 1)
        #expect(rig.sink.recorded.isEmpty)
        await rig.close()
    }

    /// A2: the connection died with a PLACE on its way. It is executed after the RELEASE, and must do
    /// nothing.
    @Test func aPlaceOfADeadConnectionArrivesLateAndIsFenced() async throws {
        let rig = try await self.warmRig()
        let relay = try self.relay(rig)
        try await relay.holdCommands()
        let hold = freshHold()
        let pending = await rig.start(rig.request(400, hold: hold))
        await rig.session.onLoop { _ in }
        // The bytes must have reached the relay before it cuts.
        try await Task.sleep(for: .milliseconds(30))
        try await rig.cut()
        #expect(await pending.answer() == .unavailable(.disconnected))
        try await rig.settled()
        try await relay.deliverLate()
        // A command of our own, after the late one on the same server, shows that it was handled.
        try await Task.sleep(for: .milliseconds(30))
        #expect(try await rig.sums() == [0, 0, 1000])
        // K4: nothing was there, so a reaper may have settled it.
        let voids = rig.sink.recorded
        #expect(voids.count == 1 && voids.first?.hold == hold && voids.first?.kind == .void)
        #expect(voids.first?.authority == .owner && voids.first?.modelRequested == "gpt-4o|mini")
        await rig.close()
    }

    /// The PLACE was executed, its answer was lost.
    @Test func aGrantWhoseAnswerWasLostIsReleased() async throws {
        let rig = try await self.warmRig()
        let relay = try self.relay(rig)
        try await relay.holdReplies()
        let pending = await rig.start(rig.request(400))
        try await eventually("Redis granted it") { try await rig.sums() == [400, 0, 1000] }
        try await rig.cut()
        #expect(await pending.answer() == .unavailable(.disconnected))
        try await rig.settled()
        #expect(try await rig.sums() == [0, 0, 1000])
        #expect(rig.sink.recorded.isEmpty)
        #expect(await rig.liveCount() == 0)
        await rig.close()
    }

    /// The answer was given up first, then the connection died.
    @Test func anAbandonedPlaceIsReleasedAfterAReconnect() async throws {
        let rig = try await self.warmRig { $0.placeDeadline = .milliseconds(50) }
        let relay = try self.relay(rig)
        try await relay.holdReplies()
        #expect(await rig.place(rig.request(400)) == .unavailable(.deadline))
        try await rig.cut()
        try await rig.settled()
        #expect(try await rig.sums() == [0, 0, 1000])
        await rig.close()
    }

    /// C2, K4: meanwhile a reaper took the hold over; it stays the reaper's, and a VOID corrects its
    /// estimate.
    @Test func anUnknownPlaceThatAReaperTookIsVoided() async throws {
        let rig = try await self.warmRig()
        let relay = try self.relay(rig)
        try await relay.holdReplies()
        let hold = freshHold()
        let pending = await rig.start(rig.request(400, hold: hold))
        try await eventually("Redis granted it") { try await rig.sums() == [400, 0, 1000] }
        try await relay.refuseConnections(true)
        try await rig.cut()
        #expect(await pending.answer() == .unavailable(.disconnected))
        let value = try #require(try await rig.client.hash(rig.account)["h:\(hold)"])
        _ = try await rig.client.command(
            "HSET", "a:{\(rig.account)}", "h:\(hold)", value.replacing("\(bootA)", with: "reaper"))
        try await relay.refuseConnections(false)
        try await rig.settled()
        #expect(try await rig.sums() == [400, 0, 1000])
        #expect(rig.sink.recorded.map(\.hold) == [hold])
        #expect(rig.sink.recorded.map(\.kind) == [.void])
        await rig.close()
    }

    @Test func aHeldHoldIsPutBackAfterAReconnect() async throws {
        let rig = try await self.warmRig()
        let relay = try self.relay(rig)
        let hold = freshHold()
        _ = await rig.place(rig.request(400, hold: hold))
        try await relay.refuseConnections(true)
        try await rig.cut()
        _ = try await rig.client.command("DEL", "a:{\(rig.account)}")
        try await relay.refuseConnections(false)
        try await rig.settled()
        #expect(try await rig.sums() == [400, 0, nil])
        // The account itself is cold: the next PLACE loads it, and counts the hold.
        #expect(await rig.place(rig.request(601)) == .short(available: Millicredits(600)))
        await rig.capture(hold, 30)
        try await rig.settled()
        #expect(try await rig.sums() == [0, 30, 1000])
        await rig.close()
    }

    /// A3: captured while disconnected, or with the answer lost: sent again, once in effect.
    @Test(arguments: [true, false]) func aCaptureIsRepeatedUntilItIsAcknowledged(_ executed: Bool)
        async throws
    {
        let rig = try await self.warmRig()
        let relay = try self.relay(rig)
        let hold = freshHold()
        _ = await rig.place(rig.request(400, hold: hold))
        if executed { try await relay.holdReplies() } else { try await relay.holdCommands() }
        await rig.capture(hold, 70)
        if executed {
            try await eventually("Redis captured it") { try await rig.sums() == [0, 70, 1000] }
        } else {
            try await Task.sleep(for: .milliseconds(30))
        }
        try await rig.cut()
        try await rig.settled()
        #expect(try await rig.sums() == [0, 70, 1000])
        // The old CAPTURE comes after POSTED: fenced, and without a hold anyway.
        try await rig.post(hold, 70, version: 2, balance: 930)
        try await relay.deliverLate()
        try await Task.sleep(for: .milliseconds(30))
        #expect(try await rig.sums() == [0, 0, 930])
        #expect(await rig.liveCount() == 0)
        await rig.close()
    }

    @Test func aReleaseIsRepeatedUntilItIsAcknowledged() async throws {
        let rig = try await self.warmRig()
        let relay = try self.relay(rig)
        let hold = freshHold()
        _ = await rig.place(rig.request(400, hold: hold))
        try await relay.holdCommands()
        await rig.release(hold)
        try await Task.sleep(for: .milliseconds(30))
        try await rig.cut()
        try await rig.settled()
        #expect(try await rig.sums() == [0, 0, 1000])
        // Its exchange recorded the VOID itself.
        #expect(rig.sink.recorded.isEmpty)
        await rig.close()
    }

    /// A3, K6: POSTED came between a REASSERT and the CAPTURE behind it, so u: would stay for ever.
    @Test func aCaptureBehindAReassertIsVerifiedWithTheLedger() async throws {
        let rig = try await self.warmRig()
        let relay = try self.relay(rig)
        let hold = freshHold()
        _ = await rig.place(rig.request(400, hold: hold))
        try await relay.refuseConnections(true)
        try await rig.cut()
        _ = try await rig.client.command("HDEL", "a:{\(rig.account)}", "h:\(hold)")
        _ = try await rig.client.command("HSET", "a:{\(rig.account)}", "H", "0")
        try await relay.refuseConnections(false)
        // Catch the moment in which REASSERT is sent: commands wait from the end of the greeting on.
        let session = rig.session
        try await eventually("the session is back") { await session.onLoop { $0.link.isReady } }
        try await relay.holdCommands()
        await session.onLoop { session in
            session.machine.sendReassert(hold, raise: false, now: .now)
            session.perform()
        }
        await rig.capture(hold, 70)
        // The ledger has it and POSTED has passed, while both commands wait.
        rig.ledger.settle(rig.account, hold, 70)
        rig.ledger.set(rig.account, balance: 930, version: 2)
        _ = try await rig.client.run(.posted, rig.account, "1", "2", "930", "\(hold)", "70", "70", "2")
        try await relay.letGo()
        try await rig.settled()
        try await eventually("the capture is gone again") { try await rig.sums() == [0, 0, 930] }
        await rig.close()
    }

    @Test func lostScriptsAreLoadedAgainAndNothingIsLost() async throws {
        let rig = try await self.warmRig(server: TestRedis())
        let (kept, spent) = (freshHold(), freshHold())
        _ = await rig.place(rig.request(100, hold: kept))
        _ = await rig.place(rig.request(100, hold: spent))
        _ = try await rig.client.command("SCRIPT", "FLUSH")
        await rig.capture(spent, 40)
        #expect(
            await rig.place(rig.request(10)) == .granted(amount: Millicredits(10), balance: Millicredits(960))
        )
        try await rig.settled()
        #expect(try await rig.sums() == [110, 40, 1000])
        _ = try await rig.client.command("SCRIPT", "FLUSH")
        try await rig.post(spent, 40, version: 2, balance: 960)
        #expect(try await rig.sums() == [110, 0, 960])
        await rig.close()
    }

    /// FLUSHALL changes neither run_id nor replication id: the epoch key tells.
    @Test func aFlushedRedisIsLoadedAgainWithItsLiveHolds() async throws {
        let server = try TestRedis()
        let rig = try await SessionRig(server: server)
        rig.ledger.set(rig.account, balance: 1000)
        let hold = freshHold()
        _ = await rig.place(rig.request(400, hold: hold))
        _ = try await rig.client.command("FLUSHALL")
        // Whoever comes before all holds are back is told to come again; on a slow machine they may be back already.
        let early = freshHold()
        let answer = await rig.place(rig.request(1, hold: early))
        if answer != .unavailable(.recovering) {
            #expect(answer == .granted(amount: Millicredits(1), balance: Millicredits(1000)))
            await rig.release(early)
            try await rig.settled()
        }
        try await rig.recovered()
        #expect(await rig.place(rig.request(601)) == .short(available: Millicredits(600)))
        #expect(
            await rig.place(rig.request(600))
                == .granted(amount: Millicredits(600), balance: Millicredits(1000)))
        #expect(try await rig.sums() == [1000, 0, 1000])
        #expect(rig.holds.counters.epochChanges.now == 1)
        await rig.close()
    }

    @Test func aRestartedRedisIsFoundAgain() async throws {
        let server = try TestRedis()
        let rig = try await SessionRig(server: server)
        rig.ledger.set(rig.account, balance: 1000)
        let (held, spent) = (freshHold(), freshHold())
        _ = await rig.place(rig.request(400, hold: held))
        _ = await rig.place(rig.request(100, hold: spent))
        server.stop()
        let session = rig.session
        try await eventually("the loss is noticed") { await session.onLoop { !$0.link.isReady } }
        #expect(await rig.place(rig.request(1)) == .unavailable(.disconnected))
        await rig.capture(spent, 60)
        try server.restart()
        try await rig.settled()
        try await rig.recovered()
        let client = try await ScriptClient(server.url)
        let audit = try await client.audit(rig.account)
        // The ledger does not have the outcome that was decided meanwhile: it counts, by force (S4).
        #expect(audit.problems == [] && audit.held == 400 && audit.captured == 60)
        #expect(
            await rig.place(rig.request(540))
                == .granted(amount: Millicredits(540), balance: Millicredits(940)))
        await rig.close()
    }

    @Test func aSilentStoreOpensTheBreakerAndAProbeClosesIt() async throws {
        let rig = try await self.warmRig {
            $0.placeDeadline = .milliseconds(40)
        }
        let relay = try self.relay(rig)
        try await relay.holdReplies()
        for _ in 0..<3 { #expect(await rig.place(rig.request(1)) == .unavailable(.deadline)) }
        // On a busy machine a probe may be due already; its deadline opens the breaker for longer.
        try await eventually("the breaker opens") {
            await rig.place(rig.request(1)) == .unavailable(.breakerOpen)
        }
        #expect(!rig.holds.isHealthy)
        try await relay.letGo()
        try await eventually("a probe closes it") {
            if case .granted = await rig.place(rig.request(1)) { true } else { false }
        }
        try await rig.settled()
        #expect(rig.holds.isHealthy)
        await rig.close()
    }

    @Test func aConnectionThatSaysNothingIsGivenUp() async throws {
        let rig = try await SessionRig(faults: true) { $0.stallTimeout = .seconds(2) }
        rig.ledger.set(rig.account, balance: 1000)
        // A machine that stands still for two seconds gives a connection up as well.
        try await eventually("the account is loaded") { (try? await rig.placeAndRelease()) != nil }
        try await rig.settled()
        await rig.adjust { $0.placeDeadline = .milliseconds(40) }
        let relay = try self.relay(rig)
        try await relay.holdReplies()
        #expect(await rig.place(rig.request(400)) == .unavailable(.deadline))
        let counters = rig.holds.counters
        // The relay keeps holding replies, so the first new connection cannot greet either; then it is free.
        try await eventually("the connection is given up") { counters.connectionsLost.now >= 1 }
        try await relay.letGo()
        try await rig.settled()
        #expect(try await rig.sums() == [0, 0, 1000])
        await rig.close()
    }

    @Test func definiteErrorsHoldNothingAndEndsAreRepeated() async throws {
        let server = try TestRedis()
        let rig = try await SessionRig(server: server)
        rig.ledger.set(rig.account, balance: 1000)
        let hold = freshHold()
        _ = await rig.place(rig.request(100, hold: hold))
        _ = try await rig.client.command("CONFIG", "SET", "maxmemory", "1")
        #expect(await rig.place(rig.request(1)) == .unavailable(.storeRefused))
        _ = try await rig.client.command("CONFIG", "SET", "maxmemory", "0")
        #expect(await rig.liveCount() == 1)
        _ = try await rig.client.command("CONFIG", "SET", "min-replicas-to-write", "1")
        await rig.capture(hold, 20)
        let session = rig.session
        try await eventually("CAPTURE was refused") {
            await session.onLoop { $0.machine.live[hold].map { $0.failures > 0 } ?? false }
        }
        _ = try await rig.client.command("CONFIG", "SET", "min-replicas-to-write", "0")
        try await rig.settled()
        #expect(try await rig.sums() == [0, 20, 1000])
        await rig.close()
    }

    /// The nonce of LOAD: whoever loaded an account that was forgotten meanwhile must load again.
    @Test func aLoadOfAForgottenAccountBeginsAgain() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000)
        rig.ledger.state.withLock { $0.isHeldBack = true }
        let pending = await rig.start(rig.request(10))
        try await eventually("the ledger is asked") { rig.ledger.reads == 1 }
        _ = try await rig.client.command("DEL", "a:{\(rig.account)}")
        rig.ledger.answerAll()
        #expect(await pending.answer() == .granted(amount: Millicredits(10), balance: Millicredits(1000)))
        #expect(rig.ledger.reads == 2)
        await rig.close()
    }

    /// A process with a session per core must not wait a moment for each of them, one after the other.
    @Test func allSessionsWaitForTheirLastAcknowledgementsTogether() async throws {
        let rig = try await SessionRig(faults: true) { settings in
            settings.shutdownGrace = .hours(1)
            settings.stallTimeout = .hours(1)
        }
        rig.ledger.set(rig.account, balance: 1000)
        let others = [
            try await rig.holds.makeSession(on: ScriptClient.group.next()),
            try await rig.holds.makeSession(on: ScriptClient.group.next()),
        ]
        let hold = freshHold()
        _ = await rig.place(rig.request(100, hold: hold))
        let relay = try self.relay(rig)
        try await relay.holdReplies()
        await rig.capture(hold, 7)
        async let end: Void = rig.holds.shutdown()
        await #expect(throws: Never.self, "the others end while the first one waits") {
            try await eventually("all sessions are shutting down") {
                for other in others where await !other.onLoop({ $0.isShuttingDown }) { return false }
                return true
            }
        }
        #expect(await rig.liveCount() == 1)
        try await relay.letGo()
        await end
        await rig.close()
    }

    @Test func redissSpeaksTLSAndTrustsOnlyWhatItShould() async throws {
        let server = try TestRedis(tls: true)
        let roots = try NIOSSLCertificate.fromPEMFile(server.certificate)
        let rig = try await SessionRig(server: server) { settings in
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .certificates(roots)
            settings.tls = tls
        }
        rig.ledger.set(rig.account, balance: 1000)
        let granted = PlaceAnswer.granted(amount: Millicredits(10), balance: Millicredits(1000))
        #expect(await rig.place(rig.request(10)) == granted)
        let stranger = try RedisHolds(
            url: server.url, boot: bootA, accounts: rig.ledger, sink: rig.sink, group: ScriptClient.group,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let session = try await stranger.makeSession(on: ScriptClient.group.next())
        try await eventually("some attempts were refused") { await session.onLoop { $0.link.attempt >= 3 } }
        #expect(!stranger.isHealthy)
        await stranger.shutdown()
        await rig.close()
    }

    @Test func aPosterWithoutAConnectionSaysSo() async throws {
        let server = try TestRedis()
        let rig = try await SessionRig(server: server)
        server.stop()
        let balance = LedgerBalance(account: rig.account, generation: 1, version: 2, balance: Millicredits(1))
        try await eventually("the poster notices") {
            do {
                try await rig.holds.poster.posted([PostedAccount(balance: balance, settled: [])])
                return false
            } catch RedisPostFailure.disconnected { return true }
        }
        await rig.close()
    }
}
