import Metering
import Testing

@testable import Billing

/// The real books behind the postings of some payments, with usage in between: what `Payments` hands over must be
/// what `Books` takes.
struct PaymentBooks {
    private(set) var lots = LotBook(account: 7)
    private(set) var used: Int64 = 0
    private var journal: [BookAccount: Int64] = [:]
    private var keys: Set<String> = []
    private let day: UTCDay

    init() throws { self.day = try #require(UTCDay(daysSinceEpoch: 20_000)) }

    mutating func use(_ millicredits: Int64) throws {
        self.used += millicredits
        try self.line(-millicredits, .usage)
    }

    mutating func post(_ posting: PaymentPosting) throws {
        switch posting.effect {
        case .grant(let amount, let paidCents):
            try self.line(
                amount.value, .grant(sourceRef: posting.key, kind: .purchase, paidCents: paidCents))
        case .reversal(let reversal):
            try self.line(
                reversal.amount.value,
                .clawBack(
                    sourceRef: reversal.lot, clawed: reversal.clawed, reversedCents: reversal.reversedCents))
        case .cash(let movement, let cents):
            try self.enter(JournalEntry(movement, cents: cents, key: posting.key, day: self.day))
        case .gate: break
        }
    }

    private mutating func line(_ amount: Int64, _ effect: LotLine.Effect) throws {
        let line = LotLine(
            version: self.lots.version + 1, day: self.day, amount: Millicredits(amount),
            balanceAfter: Millicredits(self.lots.balance.value + amount), effect: effect)
        for entry in try self.lots.run([line]).entries { try self.enter(entry) }
    }

    private mutating func enter(_ entry: JournalEntry) throws {
        try #require(self.keys.insert(entry.key).inserted, "\(entry.key) was entered before")
        for line in entry.lines { self.journal[line.account, default: 0] += line.amount.value }
    }

    /// After each commit.
    func check() throws {
        try #require(self.journal.values.reduce(0, +) == 0)
        for lot in self.lots.lots {
            try #require(lot.recognisedCents + lot.deferredCents + lot.reversedCents == lot.paidCents)
        }
        let deferred = self.lots.lots.reduce(0) { $0 + $1.deferredCents }
        try #require(self.journal[.deferredRevenue, default: 0] == -deferred * MicroUSD.perCent)
        let earned = self.lots.lots.reduce(0) { $0 + $1.recognisedCents }
        try #require(self.journal[.usageRevenue, default: 0] == -earned * MicroUSD.perCent)
    }
}
