import Metering
import Testing

@testable import Billing

/// What must hold of revenue recognition whatever happened to an account.
@Suite struct LotBookPropertyTests {
    /// The three sentences that an auditor asks about, after every single line.
    @Test func afterEveryLineTheBookAddsUp() throws {
        let seed = LotHistory.seed()
        print("LotBookPropertyTests.adds, seed \(seed)")
        var dice = BooksDice(state: seed)
        var reached = Reached()
        for round in 0..<300 {
            let history = LotHistory(lineCount: 60, using: &dice)
            var book = LotBook(account: 7)
            for line in history.lines {
                let changes = try book.run([line])
                reached.see(book, changes)
                let remaining = book.lots.reduce(0) { $0 + $1.remaining.value }
                let adds =
                    line.balanceAfter.value == remaining - book.debt.total
                    && (remaining == 0 || book.debt.total == 0)
                    && book.lots.allSatisfy(Self.adds)
                    && changes.entries.allSatisfy { $0.lines.reduce(0) { $0 + $1.amount.value } == 0 }
                guard adds else {
                    Issue.record("BOOKS_SEED=\(seed) round \(round) version \(line.version)")
                    return
                }
            }
        }
        #expect(reached == .everything)
    }

    /// A run may stop anywhere, be stored, and go on: no total depends on it.
    @Test func whereTheLinesAreCutDoesNotMatter() throws {
        let seed = LotHistory.seed()
        print("LotBookPropertyTests.cuts, seed \(seed)")
        var dice = BooksDice(state: seed)
        for round in 0..<300 {
            let history = LotHistory(lineCount: 80, using: &dice)
            var whole = LotBook(account: 7)
            let atOnce = try whole.run(history.lines)
            var cut = LotBook(account: 7)
            var entries: [JournalEntry] = []
            var rest = history.lines[...]
            while !rest.isEmpty {
                let count = min(rest.count, Int.random(in: 1...20, using: &dice))
                entries += try cut.run(rest.prefix(count)).entries
                rest = rest.dropFirst(count)
                cut = try LotBook(
                    account: 7, version: cut.version, balance: cut.balance, lots: cut.lots, debt: cut.debt)
            }
            let keys = Set(entries.map(\.key))
            let agrees =
                cut.lots == whole.lots && cut.debt == whole.debt && cut.balance == whole.balance
                && Self.sums(entries) == Self.sums(atOnce.entries) && keys.count == entries.count
                && Self.days(entries) == Self.days(atOnce.entries)
            guard agrees else {
                Issue.record("BOOKS_SEED=\(seed) round \(round)")
                return
            }
        }
    }

    /// The machine moves amounts and differences; the model counts single millicredits and computes revenue
    /// once.
    @Test func theBookAgreesWithCountingMillicredits() throws {
        let seed = LotHistory.seed()
        print("LotBookPropertyTests.counts, seed \(seed)")
        var dice = BooksDice(state: seed)
        for round in 0..<200 {
            let history = LotHistory(lineCount: .random(in: 1...60, using: &dice), using: &dice)
            var book = LotBook(account: 7)
            var journal = TrialBalance(history.cash)
            for entry in try book.run(history.lines).entries { journal.add(entry) }
            let counted = CountedLots(history.lines)
            guard Self.agree(book, journal, counted) else {
                Issue.record("BOOKS_SEED=\(seed) round \(round)")
                return
            }
        }
    }

    private static func agree(_ book: LotBook, _ journal: TrialBalance, _ counted: CountedLots) -> Bool {
        guard book.lots.count == counted.lots.count else { return false }
        var deferred: Int128 = 0
        var recognised: Int128 = 0
        var promotional: Int128 = 0
        for (index, lot) in book.lots.enumerated() {
            guard lot.sourceRef == counted.lots[index].sourceRef,
                lot.used.value == counted.count(index, .used),
                lot.withdrawn.value == counted.count(index, .withdrawn),
                lot.clawed.value == counted.count(index, .clawed),
                lot.recognisedCents == counted.recognisedCents(index)
            else { return false }
            let (paid, reversed) = (counted.lots[index].paidCents, counted.lots[index].reversedCents)
            recognised += Int128(counted.recognisedCents(index)) * 10_000
            deferred += Int128(paid - reversed - counted.recognisedCents(index)) * 10_000
            if paid == 0 { promotional += Int128(counted.count(index, .used)) }
        }
        return book.debt.used.value == counted.owedUsed && book.debt.withdrawn.value == counted.owedWithdrawn
            && journal.isBalanced && journal[.deferredRevenue] == -deferred
            && journal[.promotional] == promotional
            && journal[.usageRevenue] + journal[.breakage] == -recognised - promotional
    }

    private static func adds(_ lot: CreditLot) -> Bool {
        lot.recognisedCents + lot.deferredCents + lot.reversedCents == lot.paidCents
            && lot.usageCents >= 0 && lot.breakageCents >= 0 && lot.deferredCents >= 0
            && (lot.remaining > .zero || lot.deferredCents == 0)
    }

    private static func sums(_ entries: [JournalEntry]) -> [String] {
        TrialBalance(entries).rows.map { "\($0.account) \($0.microUSD)" }
    }

    /// A day's figures are the same, too: they are what a month is closed with.
    private static func days(_ entries: [JournalEntry]) -> [String: [String]] {
        Dictionary(grouping: entries) { "\($0.day) \($0.kind.name)" }.mapValues(Self.sums)
            .filter { _, sums in sums.contains { !$0.hasSuffix(" 0") } }
    }

    /// The histories went where mistakes can be made.
    private struct Reached: Equatable {
        var debt = false
        var withdrawnDebt = false
        var reversedRevenue = false
        var breakage = false
        var emptied = false

        static let everything = Reached(
            debt: true, withdrawnDebt: true, reversedRevenue: true, breakage: true, emptied: true)

        mutating func see(_ book: LotBook, _ changes: LotChanges) {
            self.debt = self.debt || book.debt.used > .zero
            self.withdrawnDebt = self.withdrawnDebt || book.debt.withdrawn > .zero
            self.emptied = self.emptied || book.lots.contains { $0.clawed == $0.credits }
            for line in changes.entries.flatMap(\.lines) {
                if line.account == .deferredRevenue, line.amount < .zero { self.reversedRevenue = true }
                if line.account == .breakage { self.breakage = true }
            }
        }
    }
}
