import Metering

import NIOCore
import Synchronization
import Testing

@testable import MoneyPath
@testable import RedisHolds

/// The life of holds without faults of the network.
@Suite struct SessionTests {
    @Test func aColdAccountIsLoadedOnceForAllThatWait() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000, version: 7)
        rig.ledger.state.withLock { $0.isHeldBack = true }
        var waiting: [PendingAnswer] = []
        for _ in 0..<20 { waiting.append(await rig.start(rig.request(10))) }
        try await eventually("the ledger is asked") { rig.ledger.reads == 1 }
        rig.ledger.answerAll()
        for pending in waiting {
            #expect(await pending.answer() == .granted(amount: Millicredits(10), balance: Millicredits(1000)))
        }
        #expect(rig.ledger.reads == 1)
        #expect(try await rig.sums() == [200, 0, 1000])
        await rig.close()
    }

    @Test func aHoldIsCapturedOrReleasedAndPosted() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000)
        let (spent, free) = (freshHold(), freshHold())
        #expect(
            await rig.place(rig.request(400, hold: spent))
                == .granted(amount: Millicredits(400), balance: Millicredits(1000)))
        #expect(
            await rig.place(rig.request(300, hold: free))
                == .granted(amount: Millicredits(300), balance: Millicredits(1000)))
        #expect(try await rig.sums() == [700, 0, 1000])
        #expect(rig.holds.counters.holdsOpen.now == 2)
        await rig.capture(spent, 120)
        await rig.capture(spent, 999)
        await rig.release(free)
        try await rig.settled()
        #expect(try await rig.sums() == [0, 120, 1000])
        // What a peer needs to post it for us, if we die now.
        let stored = try #require(try await rig.client.hash(rig.account)["u:\(spent)"])
        #expect(stored.hasPrefix("120|"))
        let payload = try Settlement(decoding: Array(stored.dropFirst(4).utf8))
        #expect(payload == rig.settlement(spent, 120))
        let balance = LedgerBalance(
            account: rig.account, generation: 1, version: 2, balance: Millicredits(880))
        try await rig.holds.poster.posted([
            PostedAccount(balance: balance, settled: [SettledHold(hold: spent, amount: Millicredits(120))])
        ])
        #expect(try await rig.sums() == [0, 0, 880])
        #expect(rig.holds.counters.holdsOpen.now == 0)
        #expect(await rig.liveCount() == 0)
        await rig.close()
    }

    @Test func anUnreachableLedgerRefusesOnlyColdAccounts() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000)
        _ = await rig.place(rig.request(1))
        rig.ledger.state.withLock { $0.isDown = true }
        let cold = freshAccount()
        #expect(await rig.place(rig.request(1, account: cold)) == .unavailable(.ledgerUnreachable))
        #expect(
            await rig.place(rig.request(5)) == .granted(amount: Millicredits(5), balance: Millicredits(1000)))
        // Short stays short: nothing better is known.
        #expect(await rig.place(rig.request(5000)) == .short(available: Millicredits(994)))
        await rig.close()
    }

    /// B9: the purchase committed, its refresh was lost; without this the payer is blocked for good.
    @Test func aPurchaseWhoseRefreshWasLostIsFoundBeforeA402() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 5)
        #expect(
            await rig.place(rig.request(5)) == .granted(amount: Millicredits(5), balance: Millicredits(5)))
        rig.ledger.set(rig.account, balance: 505, version: 2)
        #expect(
            await rig.place(rig.request(100))
                == .granted(amount: Millicredits(100), balance: Millicredits(505)))
        await rig.close()
    }

    @Test func aLostUnblockOrLoweredFloorIsFoundToo() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 5, blocked: true)
        #expect(await rig.place(rig.request(5)) == .blocked)
        rig.ledger.set(rig.account, balance: 5, floor: -100, gateVersion: 2)
        #expect(
            await rig.place(rig.request(105)) == .granted(amount: Millicredits(105), balance: Millicredits(5))
        )
        await rig.close()
    }

    @Test func manyShortRequestsReadTheLedgerOnce() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 5)
        _ = await rig.place(rig.request(5))
        let before = rig.ledger.reads
        let began = ContinuousClock.now
        rig.ledger.state.withLock { $0.isHeldBack = true }
        var waiting: [PendingAnswer] = []
        for _ in 0..<50 { waiting.append(await rig.start(rig.request(100))) }
        let session = rig.session
        try await eventually("all were found short") {
            await session.onLoop { $0.machine.live.values.count { $0.pendingRefusal != nil } == 50 }
        }
        rig.ledger.answerAll()
        for pending in waiting { #expect(await pending.answer() == .short(available: Millicredits(0))) }
        // Once a second and account, and a loaded machine may need more than one for this.
        let seconds = Int((ContinuousClock.now - began).components.seconds)
        #expect((1...1 + seconds).contains(rig.ledger.reads - before))
        await rig.close()
    }

    @Test func aLedgerThatHangsOnAShortBalanceLeavesA402() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 5)
        _ = await rig.place(rig.request(1))
        await rig.adjust { $0.ledgerDeadline = .milliseconds(60) }
        rig.ledger.state.withLock { $0.isHeldBack = true }
        #expect(await rig.place(rig.request(100)) == .short(available: Millicredits(4)))
        let cold = freshAccount()
        #expect(await rig.place(rig.request(1, account: cold)) == .unavailable(.ledgerUnreachable))
        #expect(await rig.liveCount() == 1)
        await rig.close()
    }

    @Test func capsAreAnsweredByName() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 10_000, hour: 700, day: 900)
        let caps = SpendCaps(request: Millicredits(200), session: Millicredits(1000), day: Millicredits(1100))
        guard case .capReached(.request, let limit, 0) = await rig.place(rig.request(201, caps: caps)) else {
            Issue.record("the request cap was not named")
            return
        }
        #expect(limit == Millicredits(200))
        // Day: 900 spent, 200 left; session: 700 spent, 300 left.
        #expect(
            await rig.place(rig.request(150, caps: caps))
                == .granted(
                    amount: Millicredits(150), balance: Millicredits(10_000),
                    notes: GrantNotes(nearCaps: [.session, .day])))
        guard
            case .capReached(.day, Millicredits(1100), let reset) = await rig.place(
                rig.request(51, caps: caps))
        else {
            Issue.record("the day cap was not named")
            return
        }
        #expect(reset % 86_400_000 == 0)
        // A request without a cap of its own is clamped to what the caps leave.
        #expect(
            await rig.place(rig.request(199, least: 16, caps: caps))
                == .granted(
                    amount: Millicredits(50), balance: Millicredits(10_000),
                    notes: GrantNotes(nearCaps: [.session, .day])))
        let session = SpendCaps(session: Millicredits(901))
        guard case .capReached(.session, _, let sessionReset) = await rig.place(rig.request(2, caps: session))
        else {
            Issue.record("the session cap was not named")
            return
        }
        #expect(sessionReset % 60_000 == 0 && sessionReset > 1_700_000_000_000)
        await rig.close()
    }

    /// A12: check and act in one step, however many ask at once.
    @Test func aThousandConcurrentPlacesShareMoneyForTen() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000)
        let second = try await rig.holds.makeSession(on: ScriptClient.group.next())
        try await eventually("the second session connects") { await second.onLoop { $0.link.isReady } }
        let granted = Mutex<[PlaceAnswer]>([])
        let began = ContinuousClock.now
        for session in [rig.session, second] {
            let requests = (0..<500).map { _ in rig.request(100) }
            await session.onLoop { session in
                for request in requests {
                    session.place(request) { answer in granted.withLock { $0.append(answer) } }
                }
            }
        }
        try await eventually("all are answered") { granted.withLock { $0.count } == 1000 }
        let answers = granted.withLock { $0 }
        #expect(
            answers.count { $0 == .granted(amount: Millicredits(100), balance: Millicredits(1000)) } == 10)
        #expect(answers.count { $0 == .short(available: Millicredits(0)) } == 990)
        #expect(try await rig.sums() == [1000, 0, 1000])
        // Each session asks once a second, and a loaded machine may need more than one for this.
        let seconds = Int((ContinuousClock.now - began).components.seconds)
        #expect(rig.ledger.reads <= 4 + 2 * seconds)
        await rig.close()
    }

    @Test func aTouchRenewsTheLeaseAndPutsBackWhatIsGone() async throws {
        let rig = try await SessionRig { $0.session.touchEvery = .milliseconds(40) }
        rig.ledger.set(rig.account, balance: 1000)
        let hold = freshHold()
        _ = await rig.place(rig.request(100, hold: hold))
        let deadline = { () async throws -> Int64 in
            let value = try await rig.client.hash(rig.account)["h:\(hold)"] ?? "0|0"
            return Int64(value.split(separator: "|")[1]) ?? 0
        }
        let first = try await deadline()
        try await eventually("the lease is renewed") { try await deadline() > first }
        let lose = "redis.call('HDEL', KEYS[1], ARGV[1]); redis.call('HSET', KEYS[1], 'H', '0')"
        _ = try await rig.client.command("EVAL", lose, "1", "a:{\(rig.account)}", "h:\(hold)")
        try await eventually("the hold is put back") { try await rig.sums() == [100, 0, 1000] }
        let value = try #require(try await rig.client.hash(rig.account)["h:\(hold)"])
        #expect(value.hasSuffix("|3|openai@1/gpt-4o|mini|chat|"))
        await rig.close()
    }

    @Test func aLedgerOfAnOlderGenerationIsNotBelieved() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000, generation: 5)
        _ = await rig.place(rig.request(1))
        let other = freshAccount()
        rig.ledger.set(other, balance: 1000, generation: 4)
        #expect(await rig.place(rig.request(1, account: other)) == .unavailable(.ledgerUnreachable))
        await rig.close()
    }

    /// P7: after a restore every account is read again, also by sessions that hear of it only through POSTED.
    @Test func aNewGenerationMakesEveryAccountCold() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000, version: 50)
        _ = await rig.place(rig.request(1))
        let reads = rig.ledger.reads
        rig.ledger.set(rig.account, balance: 400, version: 40, generation: 2)
        let other = LedgerBalance(
            account: freshAccount(), generation: 2, version: 1, balance: Millicredits(0))
        try await rig.holds.poster.posted([PostedAccount(balance: other, settled: [])])
        #expect(
            await rig.place(rig.request(10)) == .granted(amount: Millicredits(10), balance: Millicredits(400))
        )
        #expect(rig.ledger.reads == reads + 1)
        await rig.close()
    }

    @Test func aSecondPlaceOfOneHoldDoesNotHarmTheFirst() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000)
        let request = rig.request(100)
        _ = await rig.place(request)
        #expect(await rig.place(request) == .unavailable(.storeRefused))
        #expect(try await rig.sums() == [100, 0, 1000])
        await rig.close()
    }

    @Test func aSessionIsUsableBeforeItIsConnectedAndSaysSo() async throws {
        let rig = try await SessionRig()
        let holds = try RedisHolds(
            url: "redis://127.0.0.1:1", boot: bootA, accounts: rig.ledger, sink: rig.sink,
            group: ScriptClient.group, logger: .init(label: "test"))
        let session = try await holds.makeSession(on: ScriptClient.group.next())
        let answer = Mutex<PlaceAnswer?>(nil)
        let request = rig.request(1)
        await session.onLoop { $0.place(request) { given in answer.withLock { $0 = given } } }
        #expect(answer.withLock { $0 } == .unavailable(.disconnected))
        #expect(!holds.isHealthy && rig.holds.isHealthy)
        await holds.shutdown()
        await rig.close()
    }
}
