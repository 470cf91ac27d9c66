import Metering
import Testing

@testable import Billing

/// A card that nobody is watching: charged when it was agreed, once, and not too often.
@Suite struct RechargeTests {
    private static let day: Int64 = 86_400_000
    /// A noon.
    private static let noon: Int64 = 20_000 * day + day / 2
    private static let minute: Int64 = 60_000

    private func recharge(dailyLimit: Int64 = 3000) throws -> Recharge {
        var recharge = Recharge(account: 7)
        recharge.turnOn(
            try RechargeSettings(
                threshold: Millicredits(1000), packageCode: "starter", priceUSDCents: 999,
                dailyLimitCents: dailyLimit))
        return recharge
    }

    private func low(_ available: Int64 = 999, version: Int64 = 100, isSuspended: Bool = false)
        -> RechargeSight
    {
        RechargeSight(
            available: Millicredits(available), version: version, isSuspended: isSuspended,
            isPaymentUnderWay: false)
    }

    private func attempt(_ number: Int64, at: Int64 = Self.noon) -> RechargeAttempt {
        RechargeAttempt(number: number, cents: 999, startedAt: at)
    }

    @Test func itChargesBelowTheThresholdOnly() throws {
        var recharge = try self.recharge()
        #expect(recharge.saw(self.low(1000), now: Self.noon) == .nothing)
        #expect(recharge.saw(self.low(999), now: Self.noon) == .start(self.attempt(1)))
        #expect(self.attempt(1).key(of: 7) == "recharge:7:1")
    }

    @Test func itDoesNothingWhenOffOrSuspended() throws {
        var off = Recharge(account: 7)
        #expect(off.saw(self.low(), now: Self.noon) == .nothing)
        var recharge = try self.recharge()
        #expect(recharge.saw(self.low(isSuspended: true), now: Self.noon) == .nothing)
        recharge.turnOff()
        #expect(recharge.saw(self.low(), now: Self.noon) == .nothing && recharge.state == .idle)
    }

    @Test func thereIsOneAtATime() throws {
        var recharge = try self.recharge()
        _ = recharge.saw(self.low(), now: Self.noon)
        #expect(recharge.saw(self.low(), now: Self.noon + 1) == .wait(until: Self.noon + Self.minute))
        #expect(recharge.started(1) == .nothing && recharge.state == .processing(self.attempt(1)))
        #expect(recharge.saw(self.low(), now: Self.noon + Self.day) == .nothing)
        #expect(recharge.attempts == 1)
    }

    /// Read before the grant was committed, the balance still looks low.
    @Test func aBalanceFromBeforeTheGrantIsNoReason() throws {
        var recharge = try self.recharge()
        _ = recharge.saw(self.low(version: 100), now: Self.noon)
        _ = recharge.succeeded(1, version: 101, now: Self.noon)
        let later = Self.noon + Self.minute
        #expect(recharge.saw(self.low(version: 100), now: later) == .nothing)
        #expect(
            recharge.saw(self.low(version: 101), now: later + 1)
                == .start(self.attempt(2, at: later + 1)))
    }

    /// Whatever is wrong with a threshold or a balance: cards are charged once a minute at most.
    @Test func aChargeIsFollowedByARest() throws {
        var recharge = try self.recharge()
        _ = recharge.saw(self.low(), now: Self.noon)
        let rested = Self.noon + 5 + Self.minute
        #expect(recharge.succeeded(1, version: 100, now: Self.noon + 5) == .wait(until: rested))
        #expect(recharge.saw(self.low(), now: rested - 1) == .wait(until: rested))
        recharge.turnOn(try #require(recharge.settings))
        #expect(recharge.saw(self.low(), now: rested - 1) == .wait(until: rested))
        #expect(recharge.saw(self.low(), now: rested) == .start(self.attempt(2, at: rested)))
    }

    /// A crash, a time-out, a lost answer: the same attempt again, with the same key and the same cents.
    @Test func whoseOutcomeIsUnknownIsAskedForAgainAndNeverAnew() throws {
        var recharge = try self.recharge()
        _ = recharge.saw(self.low(), now: Self.noon)
        #expect(recharge.tick(now: Self.noon + Self.minute - 1) == .wait(until: Self.noon + Self.minute))
        #expect(recharge.tick(now: Self.noon + Self.minute) == .start(self.attempt(1)))
        var now = Self.noon + Self.minute
        for pause in [1, 10, 60, 60] as [Int64] {
            #expect(recharge.failed(1, .outcomeUnknown, now: now) == .wait(until: now + pause * Self.minute))
            now += pause * Self.minute
            #expect(recharge.saw(self.low(), now: now) == .start(self.attempt(1)))
        }
        #expect(recharge.attempts == 1 && recharge.spent.cents == 999)
    }

    /// Stripe forgets keys after a day; repeated then, the request would be a new charge.
    @Test func anOldUnknownStopsInsteadOfChargingAnew() throws {
        var recharge = try self.recharge()
        _ = recharge.saw(self.low(), now: Self.noon)
        let late = Self.noon + 23 * 60 * Self.minute
        var early = recharge
        #expect(early.tick(now: late - 1) == .start(self.attempt(1)))
        #expect(recharge.tick(now: late) == .disable(.outcomeUnknown))
        #expect(recharge.saw(self.low(), now: late + 1) == .nothing)
    }

    @Test func failuresBackOffLongerEachTime() throws {
        var recharge = try self.recharge(dailyLimit: 99_900)
        var now = Self.noon
        for (number, pause) in [(1, 1), (2, 10), (3, 60), (4, 60)] as [(Int64, Int64)] {
            #expect(recharge.saw(self.low(), now: now) == .start(self.attempt(number, at: now)))
            let until = now + pause * Self.minute
            #expect(recharge.failed(number, .refused, now: now) == .wait(until: until))
            #expect(recharge.saw(self.low(), now: until - 1) == .wait(until: until))
            now = until
        }
    }

    @Test func threeDeclinesInARowStopIt() throws {
        var recharge = try self.recharge()
        var now = Self.noon
        for number in 1...3 as ClosedRange<Int64> {
            #expect(recharge.saw(self.low(), now: now) == .start(self.attempt(number, at: now)))
            let action = recharge.failed(number, .declined, now: now)
            if number == 3 { #expect(action == .disable(.declined)) }
            now += 60 * Self.minute
        }
        #expect(recharge.saw(self.low(), now: now + Self.day) == .nothing)
        #expect(recharge.state == .stopped(.declined))
    }

    @Test func aSuccessBeginsTheCountAnew() throws {
        var recharge = try self.recharge()
        var now = Self.noon
        for number in 1...5 as ClosedRange<Int64> {
            #expect(
                recharge.saw(self.low(version: number * 10), now: now)
                    == .start(self.attempt(number, at: now)))
            if number == 3 {
                #expect(recharge.succeeded(3, version: 30, now: now) == .wait(until: now + Self.minute))
            } else {
                #expect(recharge.failed(number, .declined, now: now) != .disable(.declined))
            }
            now += 10 * Self.minute
        }
        #expect(recharge.declines == 2)
    }

    @Test(arguments: [
        (RechargeFailure.authenticationRequired, RechargeStop.authenticationRequired),
        (.noPaymentMethod, .noPaymentMethod),
    ])
    func whatOnlyTheUserCanMendStopsAtOnce(_ failure: RechargeFailure, _ stop: RechargeStop) throws {
        var recharge = try self.recharge()
        _ = recharge.saw(self.low(), now: Self.noon)
        #expect(recharge.failed(1, failure, now: Self.noon) == .disable(stop))
        #expect(recharge.saw(self.low(), now: Self.noon + 1) == .nothing)
        recharge.turnOn(try #require(recharge.settings))
        #expect(recharge.saw(self.low(), now: Self.noon + 2) == .start(self.attempt(2, at: Self.noon + 2)))
    }

    @Test func theDayHasALimit() throws {
        var recharge = try self.recharge(dailyLimit: 1998)
        var now = Self.noon
        for number in 1...2 as ClosedRange<Int64> {
            _ = recharge.saw(self.low(version: 200), now: now)
            _ = recharge.succeeded(number, version: 100 + number, now: now)
            now += Self.minute
        }
        let midnight = Self.noon + Self.day / 2
        #expect(recharge.saw(self.low(version: 200), now: now) == .wait(until: midnight))
        #expect(recharge.saw(self.low(version: 200), now: midnight - 1) == .wait(until: midnight))
        #expect(recharge.saw(self.low(version: 200), now: midnight) == .start(self.attempt(3, at: midnight)))
    }

    /// The limit is about money, and a declined card moved none; a charge of unknown outcome may have.
    @Test func aDeclineDoesNotCountAgainstTheDay() throws {
        var recharge = try self.recharge(dailyLimit: 999)
        _ = recharge.saw(self.low(), now: Self.noon)
        _ = recharge.failed(1, .declined, now: Self.noon)
        let later = Self.noon + Self.minute
        #expect(recharge.saw(self.low(), now: later) == .start(self.attempt(2, at: later)))
    }

    @Test func aFailureOfYesterdayGivesTodayNothing() throws {
        var recharge = try self.recharge(dailyLimit: 999)
        let evening = Self.noon + Self.day / 2 - 1
        _ = recharge.saw(self.low(), now: evening)
        _ = recharge.started(1)
        #expect(recharge.failed(1, .declined, now: evening + 2) == .wait(until: evening + 2 + Self.minute))
        #expect(recharge.spent == .init(day: 20_000, cents: 0))
        #expect(recharge.saw(self.low(), now: evening + 2 + Self.minute) != .nothing)
        #expect(recharge.spent == .init(day: 20_001, cents: 999))
    }

    @Test func whatWasSaidBeforeChangesNothing() throws {
        var recharge = try self.recharge()
        _ = recharge.saw(self.low(), now: Self.noon)
        _ = recharge.failed(1, .declined, now: Self.noon)
        _ = recharge.saw(self.low(), now: Self.noon + Self.minute)
        let before = recharge
        #expect(recharge.failed(1, .declined, now: Self.noon + Self.minute) == .nothing)
        #expect(recharge.started(1) == .nothing && recharge.started(3) == .nothing)
        #expect(recharge == before)
        _ = recharge.succeeded(2, version: 5, now: Self.noon)
        let after = recharge
        #expect(recharge.succeeded(2, version: 5, now: Self.noon + 1) == .nothing && recharge == after)
    }

    /// Stripe may have the money already.
    @Test func turningItOffDoesNotForgetWhatIsUnderWay() throws {
        var recharge = try self.recharge()
        _ = recharge.saw(self.low(), now: Self.noon)
        recharge.turnOff()
        #expect(recharge.tick(now: Self.noon + Self.minute) == .start(self.attempt(1)))
        _ = recharge.succeeded(1, version: 101, now: Self.noon)
        #expect(recharge.saw(self.low(version: 102), now: Self.noon + 2 * Self.minute) == .nothing)
    }

    @Test func whatIsStoredIsTheWholeOfIt() throws {
        var recharge = try self.recharge()
        _ = recharge.saw(self.low(), now: Self.noon)
        _ = recharge.succeeded(1, version: 101, now: Self.noon)
        _ = recharge.saw(self.low(version: 102), now: Self.noon + Self.minute)
        _ = recharge.failed(2, .declined, now: Self.noon + Self.minute)
        let read = Recharge(
            account: recharge.account, settings: recharge.settings, state: recharge.state,
            attempts: recharge.attempts, declines: recharge.declines, failures: recharge.failures,
            spent: recharge.spent, versionLeast: recharge.versionLeast, restsUntil: recharge.restsUntil)
        #expect(read == recharge)
    }
}
