import Logging
import Metering
import MoneyPath
import NIOCore
import Synchronization
import Testing

@testable import RedisHolds

/// Changes of epoch on a real Redis: what tells of them, and what has to be back before the gate opens.
@Suite struct EpochFaultTests {
    /// O1: the first replica changes `master_replid` under live connections; run id and epoch key stay. One session
    /// that connects again must not leave the others behind.
    @Test(arguments: [true, false]) func aFirstReplicaChangesTheEpochOfEverySession(reconnects: Bool)
        async throws
    {
        let (server, replica) = (try TestRedis(), try TestRedis())
        let rig = try await SessionRig(server: server)
        rig.ledger.set(rig.account, balance: 1000)
        let other = try await rig.holds.makeSession(on: ScriptClient.group.next())
        let hold = freshHold()
        _ = await rig.place(rig.request(400, hold: hold))
        let before = await rig.session.onLoop { $0.machine.node }
        let copy = try await ScriptClient(replica.url)
        _ = try await copy.command("CONFIG", "SET", "masterauth", "test-secret")
        _ = try await copy.command("REPLICAOF", "127.0.0.1", "\(server.port)")
        try await eventually("the replica attaches") {
            let changes = rig.holds.counters.epochChanges.now
            if reconnects { await other.onLoop { if changes == 0 { $0.link.reconnect() } } }
            return changes >= 1
        }
        let session = rig.session
        try await eventually("both sessions admit under the new epoch") {
            let first = await session.onLoop {
                ($0.machine.isReady && $0.machine.isAdmitting, $0.machine.node)
            }
            let second = await other.onLoop {
                ($0.machine.isReady && $0.machine.isAdmitting, $0.machine.node)
            }
            return first.0 && second.0 && first.1 == second.1 && first.1 != before
        }
        #expect(rig.holds.isHealthy)
        #expect(
            await rig.place(rig.request(600))
                == .granted(amount: Millicredits(600), balance: Millicredits(1000)))
        #expect(try await rig.sums() == [1000, 0, 1000])
        await copy.close()
        await rig.close()
    }

    /// O1: who cannot place holds is not healthy.
    @Test func aSessionThatIsNotUnderTheOpenEpochIsNotHealthyAndComesBack() async throws {
        let rig = try await SessionRig()
        let (session, counters) = (rig.session, rig.holds.counters)
        let healthy = await session.onLoop { session in
            session.machine.open("an epoch that this node does not have")
            session.perform()
            return counters.sessionsAdmitting.now
        }
        #expect(healthy == 0)
        // Its upkeep reads the epoch that is open; if it had not, the node's answer would make it connect again.
        try await eventually("it admits again") { rig.holds.isHealthy }
        await rig.close()
    }

    /// S3: a store that refuses CAPTURE is not back, and the gate stays shut until its patience ends.
    @Test func aRefusedRecaptureIsRepeatedUntilTheStoreTakesIt() async throws {
        let server = try TestRedis()
        let rig = try await SessionRig(server: server)
        rig.ledger.set(rig.account, balance: 1000)
        try await rig.placeAndRelease()
        let outcome = rig.settlement(freshHold(), 70)
        rig.sink.waiting.withLock { $0 = [outcome] }
        _ = try await rig.client.commands([
            ["CONFIG", "SET", "min-replicas-to-write", "1"], ["DEL", "a:{\(rig.account)}"],
            ["SCRIPT", "FLUSH"],
        ])
        let poster = rig.holds.poster
        let epoch = try #require(rig.holds.admittedEpoch)
        try await poster.loop.submit {
            poster.perform(poster.recapture.begin(epoch, poster.unposted(), now: .now))
        }.get()
        try await eventually("the scripts are back, and the store refuses") {
            guard case .error("NOREPLICAS") = try await rig.client.run(.posted, rig.account, "1", "2", "1")
            else { return false }
            return true
        }
        #expect(try await poster.loop.submit { poster.recapture.isUnderWay }.get())
        _ = try await rig.client.command("CONFIG", "SET", "min-replicas-to-write", "0")
        try await eventually("the capture is there") { try await rig.sums()[1] == 70 }
        try await eventually("and acknowledged") {
            try await poster.loop.submit { !poster.recapture.isUnderWay }.get()
        }
        await rig.close()
    }

    /// S4: the flush took the hold, and nobody knew when its exchange ended.
    @Test func anOutcomeThatIsDecidedWhileTheStoreForgetsIsCapturedAllTheSame() async throws {
        let server = try TestRedis()
        let rig = try await SessionRig(server: server)
        rig.ledger.set(rig.account, balance: 1000)
        let hold = freshHold()
        _ = await rig.place(rig.request(400, hold: hold))
        _ = try await rig.client.command("FLUSHALL")
        await rig.capture(hold, 70)
        try await rig.settled()
        #expect(try await rig.sums() == [0, 70, nil])
        await rig.close()
    }

    /// O6: what waits on a silent connection would be executed in front of its own repetition.
    @Test func aPostingThatIsNotAnsweredInTimeGivesUpItsConnection() async throws {
        let rig = try await SessionRig(faults: true) { settings in
            settings.postDeadline = .milliseconds(200)
            settings.stallTimeout = .hours(1)
        }
        let relay = try #require(rig.relay)
        let poster = rig.holds.poster
        let balance = LedgerBalance(account: rig.account, generation: 1, version: 2, balance: .zero)
        var attempt = 0
        // Every posting has that deadline, those of before as well: what a slow machine missed of them takes the
        // connection away, and the next one is waited for.
        try await eventually("it is not answered in time") {
            try await relay.letGo()
            let ready = try await poster.loop.submit { poster.link.isReady ? poster.link.attempt : nil }.get()
            guard let ready else { return false }
            attempt = ready
            try await relay.holdReplies()
            do {
                try await poster.posted([PostedAccount(balance: balance, settled: [])])
                Issue.record("it was acknowledged")
            } catch RedisPostFailure.disconnected {
                return false
            } catch RedisPostFailure.deadline {}
            return true
        }
        let last = attempt
        try await relay.letGo()
        try await eventually("the poster connects again") {
            try await poster.loop.submit { poster.link.attempt > last && poster.link.isReady }.get()
        }
        await rig.close()
    }

    /// O6: one key of another type says nothing about the others.
    @Test func aRefusedAccountIsNamedAndTheOthersAreTold() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000)
        try await rig.placeAndRelease()
        let broken = freshAccount()
        _ = try await rig.client.command("SET", "a:{\(broken)}", "no hash")
        let postings = [broken, rig.account].map { account in
            PostedAccount(
                balance: LedgerBalance(account: account, generation: 1, version: 2, balance: Millicredits(7)),
                settled: [])
        }
        let refused = await #expect(throws: PostingRefused.self) {
            try await rig.holds.poster.posted(postings)
        }
        #expect(refused?.accounts == [broken])
        #expect(try await rig.sums() == [0, 0, 7])
        await rig.close()
    }
}

/// O5, L1: what the gate asks of the sessions waits for no connection, and what is open is read, not told.
@Suite struct EpochWatchTests {
    private final class Followers: EpochFollowers {
        let checks = Atomic(0)
        let opened = Atomic(0)
        func checkEpoch() { self.checks.add(1) }
        func gateOpened() { self.opened.add(1) }
    }

    @Test func sessionsAreAskedWithoutThePoster() {
        let (watch, followers) = (EpochWatch(boot: bootA, counters: RedisHoldCounters()), Followers())
        watch.follow(followers)
        watch.live([bootA])
        watch.add(session: 0)
        watch.saw("e", session: 0)
        #expect(followers.checks.now == 1 && watch.admittedEpoch == nil)
        watch.joined("e", session: 0)
        watch.recaptured("e")
        watch.members("e", [bootA])
        #expect(followers.opened.now == 1 && watch.admittedEpoch == "e")
        #expect(!watch.takeActions().contains(.checkSessions))
        watch.saw("f", session: 0)
        #expect(watch.admittedEpoch == nil, "the gate is shut again")
    }

    /// Without a connection the poster takes nothing for hours.
    @Test func whatThePosterDoesNotTakeIsKeptOnce() {
        let watch = EpochWatch(boot: bootA, counters: RedisHoldCounters())
        watch.add(session: 0)
        for _ in 0..<10 {
            watch.saw("e", session: 0)
            watch.saw("f", session: 0)
        }
        #expect(watch.takeActions() == [.recapture(epoch: "e"), .recapture(epoch: "f")])
        #expect(watch.takeActions() == [])
    }
}
