import Metering
import MoneyPath
import Testing

@testable import RedisHolds

/// Limits from the request of an exchange to Redis and back, over the real wire.
@Suite struct SessionLimitTests {
    private func request(_ rig: SessionRig, _ limits: PlaceLimits, want: Int64 = 10) -> PlaceRequest {
        var request = rig.request(want)
        request.limits = limits
        return request
    }

    @Test func theSecondRequestOfAMinuteIsLimitedAndTold() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000)
        let limits = PlaceLimits(
            keyID: 9_000_000_001, key: RequestLimits(requestsPerMinute: 5, tokensPerMinute: 1000, streams: 9),
            account: RequestLimits(requestsPerMinute: 1, tokensPerMinute: 2000), tokens: 400)
        let first = self.request(rig, limits)
        guard case .granted(_, _, let notes) = await rig.place(first) else {
            Issue.record("the first fits")
            return
        }
        #expect(notes.limits.requests == LimitLevel(limit: 1, used: 60_000))
        #expect(notes.limits.tokens == LimitLevel(limit: 1000, used: 400 * 60_000))
        guard case .limited(let refusal) = await rig.place(self.request(rig, limits)) else {
            Issue.record("the second does not fit")
            return
        }
        #expect(refusal.limit == RequestLimit(.account, .requests) && refusal.value == 1)
        #expect(refusal.fitsInMilliseconds.map { $0 > 0 && $0 <= 60_000 } ?? false)
        #expect(refusal.reading.requests?.remaining == 0)
        // The hold says whose it is, and POSTED, REAP and the sweep read past that.
        let value = try #require(try await rig.client.hash(rig.account)["h:\(first.hold)"])
        #expect(value.hasSuffix("|3,9000000001,400|openai@1/gpt-4o|mini|chat|"))
        let stored = try #require(StoredHold(first.hold, value: value))
        #expect(stored.inputEstimate == Millicredits(3) && stored.priceID == "openai@1/gpt-4o|mini")
        await rig.close()
    }

    /// Counted at admission, put right at the end: 3 of 400 were used.
    @Test func theEndOfAHoldPutsItsTokensRight() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 1000)
        let limits = PlaceLimits(
            keyID: 1, key: RequestLimits(tokensPerMinute: 1000), account: .none, tokens: 900)
        func fits() async -> Bool {
            if case .granted = await rig.place(self.request(rig, limits)) { true } else { false }
        }
        let captured = self.request(rig, limits)
        _ = await rig.place(captured)
        #expect(await !fits())
        let (session, settlement) = (rig.session, rig.settlement(captured.hold, 5))
        try await session.loop.submit { session.capture(settlement) }.get()
        try await eventually("the capture is there") {
            try await rig.client.hash(rig.account)["u:\(captured.hold)"] != nil
        }
        #expect(await fits())
        await rig.close()
    }

    /// CONTRACT §3: a warning at 80 %, of what is spent and held.
    @Test func aGrantThatReachesFourFifthsOfACapWarns() async throws {
        let rig = try await SessionRig()
        rig.ledger.set(rig.account, balance: 10_000, hour: 300, day: 300)
        let caps = SpendCaps(
            request: Millicredits(1000), session: Millicredits(1000), day: Millicredits(2000))
        func near(_ want: Int64) async -> [SpendCap]? {
            if case .granted(_, _, let notes) = await rig.place(rig.request(want, caps: caps)) {
                notes.nearCaps
            } else {
                nil
            }
        }
        #expect(await near(499) == [])
        #expect(await near(1) == [.session])
        await rig.close()
    }
}
