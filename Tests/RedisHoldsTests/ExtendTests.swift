import Metering
import Testing

@testable import RedisHolds

/// A hold that grows, through the real script.
@Suite struct ExtendTests {
    private func extend(_ rig: SessionRig, _ hold: HoldID, to total: Int64) async throws -> ExtendAnswer {
        let session = rig.session
        let promise = session.loop.makePromise(of: ExtendAnswer.self)
        await session.onLoop { session in
            session.extend(hold, to: Millicredits(total)) { promise.succeed($0) }
        }
        return try await promise.futureResult.get()
    }

    @Test func aHoldGrowsWithinBalanceAndCaps() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000)
        let hold = freshHold()
        _ = await rig.place(rig.request(100, hold: hold, caps: SpendCaps(request: Millicredits(800))))
        #expect(try await self.extend(rig, hold, to: 300) == .granted(total: Millicredits(300)))
        #expect(try await rig.sums() == [300, 0, 1000])
        #expect(
            try await self.extend(rig, hold, to: 900)
                == .capReached(.request, limit: Millicredits(800), resetsAtMilliseconds: 0))
        let other = freshHold()
        _ = await rig.place(rig.request(650, hold: other))
        #expect(try await self.extend(rig, hold, to: 700) == .short(available: Millicredits(50)))
        await rig.capture(hold, 250)
        try await rig.settled()
        #expect(try await rig.sums() == [650, 250, 1000])
        #expect(try await self.extend(rig, hold, to: 400) == .unknown, "it has ended")
        await rig.close()
    }

    /// G4: what was paid and not told to the store counts.
    @Test func whoHasPaidMeanwhileGoesOn() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 100)
        let hold = freshHold()
        _ = await rig.place(rig.request(100, hold: hold))
        rig.ledger.set(rig.account, balance: 1000, version: 50)
        #expect(try await self.extend(rig, hold, to: 300) == .granted(total: Millicredits(300)))
        #expect(try await rig.sums() == [300, 0, 1000])
        await rig.close()
    }

    /// K3: the reply is lost with its connection, and the total goes again.
    @Test func anExtensionIsAnsweredOverALostConnection() async throws {
        let rig = try await SessionRig(faults: true)
        rig.ledger.set(rig.account, balance: 1000)
        let hold = freshHold()
        _ = await rig.place(rig.request(100, hold: hold))
        try await rig.cut()
        #expect(try await self.extend(rig, hold, to: 300) == .granted(total: Millicredits(300)))
        #expect(try await rig.sums() == [300, 0, 1000])
        await rig.close()
    }
}
