import Metering

/// Auto-recharge of one account: at most one charge at a time, none twice, none that nobody wants. A value; it is
/// stored in the transaction of each decision *before* the decision is carried out, so a crash in between repeats
/// the same attempt with the same key. Times are milliseconds since 1970.
public struct Recharge: Sendable, Hashable {
    public let account: AccountID
    /// nil: turned off.
    public private(set) var settings: RechargeSettings?
    public private(set) var state: State = .idle
    /// Number of the last attempt.
    public private(set) var attempts: Int64 = 0
    /// In a row.
    public private(set) var declines = 0
    /// In a row.
    public private(set) var failures = 0
    /// What was charged, or may have been, on this UTC day.
    public private(set) var spent = DailySpend(day: 0, cents: 0)
    /// A balance of an older version is no reason to charge.
    public private(set) var versionLeast: Int64 = 0

    /// Nothing new is begun before.
    public private(set) var restsUntil: Int64 = 0

    /// After the first, second, third and each further failure in a row.
    static let pauses: [Int64] = [60_000, 600_000, 3_600_000]
    public static let declinesMax = 3
    /// Stripe keeps an `Idempotency-Key` for at least 24 hours; asked again later it would charge anew.
    static let keyLifetime: Int64 = 23 * 3_600_000
    /// Who was asked for a purchase without an answer has told of it by then, if there is a payment.
    /// Twice as long as it may have been asked for: a key that fails for a day keeps events from being read as well.
    public static let eventsLateMax: Int64 = 48 * 3_600_000
    /// After a charge: what it brought is seen and used before another one.
    static let rest: Int64 = 60_000
    private static let dayLength: Int64 = 86_400_000

    public init(account: AccountID) { self.account = account }

    /// As it was stored.
    public init(
        account: AccountID, settings: RechargeSettings?, state: State, attempts: Int64, declines: Int,
        failures: Int, spent: DailySpend, versionLeast: Int64, restsUntil: Int64
    ) {
        self.account = account
        self.settings = settings
        self.state = state
        self.attempts = attempts
        self.declines = declines
        self.failures = failures
        self.spent = spent
        self.versionLeast = versionLeast
        self.restsUntil = restsUntil
    }

    // MARK: The user

    /// Also after a stop: the user has seen to the card. What is under way goes on.
    public mutating func turnOn(_ settings: RechargeSettings) {
        self.settings = settings
        switch self.state {
        case .stopped, .pausing:
            self.state = .idle
            self.declines = 0
            self.failures = 0
        case .idle, .asking, .processing: break
        }
    }

    /// What has a purchase goes on: Stripe may have the money already.
    public mutating func turnOff() { self.settings = nil }

    /// With what its owner's wish comes to today; nil: to nothing.
    public func with(_ settings: RechargeSettings?) -> Recharge {
        var recharge = self
        recharge.settings = settings
        return recharge
    }

    // MARK: The balance

    public mutating func saw(_ sight: RechargeSight, now: Int64) -> Action {
        switch self.state {
        case .stopped, .processing: return .nothing
        case .asking: return self.tick(now: now)
        case .pausing(let until) where now < until:
            return self.settings == nil ? .nothing : .wait(until: until)
        case .pausing, .idle: break
        }
        guard let settings, self.isWanted(sight) else { return .nothing }
        guard now >= self.restsUntil else { return .wait(until: self.restsUntil) }
        guard !sight.isPaymentUnderWay else { return .wait(until: now + Self.rest) }
        let day = now / Self.dayLength
        let spentToday = self.spent.day == day ? self.spent.cents : 0
        guard settings.priceUSDCents <= settings.dailyLimitCents - spentToday else {
            return .wait(until: (day + 1) * Self.dayLength)
        }
        // From here on this attempt counts.
        self.attempts += 1
        self.spent = DailySpend(day: day, cents: spentToday + settings.priceUSDCents)
        let attempt = RechargeAttempt(
            number: self.attempts, cents: settings.priceUSDCents, startedAt: now)
        self.state = .asking(attempt, retryAt: now + Self.pauses[0])
        return .start(attempt)
    }

    /// Time passed, or the process started: an attempt whose answer never came is asked for again.
    public mutating func tick(now: Int64) -> Action {
        guard case .asking(let attempt, let retryAt) = self.state else { return .nothing }
        guard now - attempt.startedAt < Self.keyLifetime else { return self.stop(.outcomeUnknown) }
        guard now >= retryAt else { return .wait(until: retryAt) }
        self.state = .asking(attempt, retryAt: now + self.pause)
        return .start(attempt)
    }

    // MARK: Stripe

    /// Stripe made the payment, and its outcome is still open.
    public mutating func started(_ number: Int64) -> Action {
        guard case .asking(let attempt, _) = self.state, attempt.number == number else { return .nothing }
        self.state = .processing(attempt)
        return .nothing
    }

    /// To be told in the transaction that posts the grant.
    /// - Parameter version: of the ledger with the grant in it.
    public mutating func succeeded(_ number: Int64, version: Int64, now: Int64) -> Action {
        self.versionLeast = max(self.versionLeast, version)
        guard let attempt = self.underWay, attempt.number == number else { return .nothing }
        self.declines = 0
        self.failures = 0
        self.state = .idle
        return self.takeRest(now: now)
    }

    public mutating func failed(_ number: Int64, _ failure: RechargeFailure, now: Int64) -> Action {
        guard let attempt = self.underWay, attempt.number == number else { return .nothing }
        if failure == .outcomeUnknown { return self.askAgain(now: now) }
        // No money moved.
        self.giveBack(attempt)
        switch failure {
        case .authenticationRequired: return self.stop(.authenticationRequired)
        case .noPaymentMethod: return self.stop(.noPaymentMethod)
        case .declined:
            self.declines += 1
            guard self.declines < Self.declinesMax else { return self.stop(.declined) }
        case .notWanted:
            self.state = .idle
            return self.takeRest(now: now)
        case .refused, .outcomeUnknown: break
        }
        let until = now + self.pause
        self.failures += 1
        self.state = .pausing(until: until)
        return .wait(until: until)
    }

    /// Money of this account went back, or a bank may take it back. The balance falls by that, and a card is not charged
    /// for what was just returned. An attempt is not asked for again; what Stripe made of it is granted all the same.
    ///
    /// - Parameter isOpened: the last attempt has a purchase; else Stripe cannot have heard of it.
    public mutating func reversed(isOpened: Bool) -> Action {
        switch self.state {
        case .stopped: return .nothing
        case .idle, .pausing: guard self.settings != nil else { return .nothing }
        case .asking(let attempt, _): if !isOpened { self.giveBack(attempt) }
        case .processing: break
        }
        return self.stop(.reversed)
    }

    /// A purchase that is none of its attempts came back from its payment, and is paid: it was made in a past that was
    /// lost, and counts against its day if that is today. To be told once.
    public mutating func recalled(_ purchase: Purchase, now: Int64) {
        let day = now / Self.dayLength
        guard purchase.createdAt / Self.dayLength == day else { return }
        let spentToday = self.spent.day == day ? self.spent.cents : 0
        self.spent = DailySpend(day: day, cents: spentToday + purchase.priceUSDCents)
    }

    // MARK: Steps

    /// Another attempt could charge a second time, so it is the same one that is asked for again.
    private mutating func askAgain(now: Int64) -> Action {
        guard case .asking(let attempt, _) = self.state else { return .nothing }
        let retryAt = now + self.pause
        self.failures += 1
        self.state = .asking(attempt, retryAt: retryAt)
        return .wait(until: retryAt)
    }

    /// What moved no money does not count against its day, unless another day is counted by now.
    private mutating func giveBack(_ attempt: RechargeAttempt) {
        guard self.spent.day == attempt.startedAt / Self.dayLength else { return }
        self.spent.cents -= attempt.cents
    }

    private mutating func takeRest(now: Int64) -> Action {
        self.restsUntil = now + Self.rest
        return .wait(until: self.restsUntil)
    }

    private mutating func stop(_ reason: RechargeStop) -> Action {
        self.state = .stopped(reason)
        return .disable(reason)
    }

    private var underWay: RechargeAttempt? {
        switch self.state {
        case .asking(let attempt, _), .processing(let attempt): attempt
        case .idle, .pausing, .stopped: nil
        }
    }

    private var pause: Int64 { Self.pauses[min(self.failures, Self.pauses.count - 1)] }
}
