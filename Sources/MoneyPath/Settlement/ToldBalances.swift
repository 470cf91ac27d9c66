import Metering

/// Balances that the hold store took a short while ago. After a fail-over another node answers, which may have loaded
/// an account before the charge that the old one was told of: it is told again, or it would admit what is spent already
/// until the account's next settlement. A value.
public struct ToldBalances: Sendable {
    /// A balance is kept for so long, and for twice as long at most.
    static let keptFor: Span = .seconds(60)
    /// Beyond it the oldest are forgotten early.
    static let accountsMax = 32_768
    static let pause: Span = .seconds(1)

    private var young: [AccountID: LedgerBalance] = [:]
    private var old: [AccountID: LedgerBalance] = [:]
    private var turnedAt: Moment = .distantPast
    private var again = UntoldChanges()
    private var underWay: [LedgerBalance] = []
    private var repeatAt: Moment = .distantPast

    public init() {}

    /// The node acknowledged this balance.
    public mutating func told(_ balance: LedgerBalance, now: Moment) {
        self.turn(now: now)
        if let known = self.young[balance.account],
            (known.generation, known.version) > (balance.generation, balance.version)
        {
            return
        }
        self.young[balance.account] = balance
    }

    /// Another node answers, or it may have lost data. Next: `next`.
    public mutating func nodeChanged(now: Moment) {
        self.turn(now: now)
        self.again.putBack(Array(self.old.values))
        self.again.putBack(Array(self.young.values))
        self.repeatAt = .distantPast
    }

    /// What is to be told now; empty while the last of it is under way. Not empty: `ended` comes next.
    public mutating func next(now: Moment) -> [LedgerBalance] {
        guard self.underWay.isEmpty, now >= self.repeatAt else { return [] }
        self.underWay = self.again.takeBalances()
        return self.underWay
    }

    /// - Parameter isDelivered: all of it was acknowledged; if not, it is told again.
    public mutating func ended(isDelivered: Bool, now: Moment) {
        if !isDelivered {
            self.again.putBack(self.underWay)
            self.repeatAt = now + Self.pause
        }
        self.underWay = []
    }

    private mutating func turn(now: Moment) {
        guard now - self.turnedAt >= Self.keptFor || self.young.count >= Self.accountsMax else { return }
        self.old = now - self.turnedAt >= Self.keptFor * 2 ? [:] : self.young
        self.young = [:]
        self.turnedAt = now
    }
}
