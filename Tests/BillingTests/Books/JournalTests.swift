import Metering
import Testing

@testable import Billing

@Suite struct JournalTests {
    private static let day = UTCDay(year: 2026, month: 12, day: 31)!

    struct Pair: Sendable {
        var movement: CashMovement
        var debit: BookAccount
        var credit: BookAccount
    }

    /// The accountant's table: money in, fees, refunds, disputes.
    @Test(arguments: [
        Pair(movement: .received, debit: .stripe, credit: .deferredRevenue),
        Pair(movement: .fee, debit: .stripeFees, credit: .stripe),
        Pair(movement: .refunded, debit: .deferredRevenue, credit: .stripe),
        Pair(movement: .disputeWithdrawn, debit: .disputed, credit: .stripe),
        Pair(movement: .disputeLost, debit: .deferredRevenue, credit: .disputed),
        Pair(movement: .lostBeyondPaid, debit: .badDebt, credit: .disputed),
        Pair(movement: .disputeFee, debit: .disputeFees, credit: .stripe),
    ])
    func everyMovementDebitsAndCredits(_ pair: Pair) throws {
        let entry = try JournalEntry(pair.movement, cents: 999, key: "k", day: Self.day)
        #expect(
            Set(entry.lines) == [
                .init(pair.debit, MicroUSD(9_990_000)), .init(pair.credit, MicroUSD(-9_990_000)),
            ])
        #expect(JournalEntry.Kind(name: entry.kind.name) == entry.kind)
    }

    /// What comes back undoes what went.
    @Test(arguments: [
        (CashMovement.fee, CashMovement.feeReturned), (.refunded, .refundReturned),
        (.disputeWithdrawn, .disputeReturned), (.disputeLost, .disputeLossReturned),
        (.lostBeyondPaid, .lostBeyondPaidReturned), (.disputeFee, .disputeFeeReturned),
    ])
    func whatIsReturnedUndoesTheMovement(_ forth: CashMovement, _ back: CashMovement) {
        #expect(forth.accounts == (back.accounts.credit, back.accounts.debit))
    }

    /// A purchase that is disputed, lost, and cost a fee: nothing stays in clearing accounts but the fees.
    @Test func aLostDisputeLeavesOnlyItsFees() throws {
        let movements: [(CashMovement, Int64)] = [
            (.received, 999), (.fee, 59), (.disputeWithdrawn, 999), (.disputeFee, 1500), (.disputeLost, 999),
        ]
        let trial = TrialBalance(
            try movements.map { try JournalEntry($0.0, cents: $0.1, key: $0.0.rawValue, day: Self.day) })
        #expect(trial.isBalanced)
        #expect(trial[.stripe] == -15_590_000)
        #expect(trial[.disputed] == 0)
        #expect(trial[.deferredRevenue] == 0)
        #expect(trial[.stripeFees] + trial[.disputeFees] == 15_590_000)
    }

    @Test(arguments: [0, -1, MicroUSD.centsMax + 1, .max, .min])
    func cashIsPositiveAndPossible(_ cents: Int64) {
        #expect(throws: JournalEntry.Failure.impossibleAmount(cents)) {
            try JournalEntry(.received, cents: cents, key: "k", day: Self.day)
        }
    }

    @Test func aStoredEntryIsCheckedLikeANewOne() throws {
        let read = { (lines: [JournalEntry.Line]) throws(JournalEntry.Failure) in
            try JournalEntry(reading: "k", day: Self.day, kind: .cost, lines: lines)
        }
        #expect(throws: JournalEntry.Failure.noLines) { try read([]) }
        #expect(throws: JournalEntry.Failure.unbalanced(1)) {
            try read([.init(.stripe, MicroUSD(3)), .init(.badDebt, MicroUSD(-2))])
        }
        #expect(throws: JournalEntry.Failure.accountTwice(.stripe)) {
            try read([.init(.stripe, MicroUSD(3)), .init(.stripe, MicroUSD(-3))])
        }
        #expect(throws: JournalEntry.Failure.lineOfZero(.stripe)) { try read([.init(.stripe, .zero)]) }
        // The sum would wrap around to zero in 64 bits.
        #expect(throws: (any Error).self) {
            try read([
                .init(.stripe, MicroUSD(.max)), .init(.disputed, MicroUSD(.max)),
                .init(.badDebt, MicroUSD(2)),
            ])
        }
    }

    /// The day's cost is a target: the job may run any number of times.
    @Test func aDaysCostIsPostedAsDifferences() throws {
        let first = try #require(
            JournalEntry(costOf: Self.day, target: MicroUSD(700), posted: .zero, revision: 1))
        #expect(first.key == "cost:2026-12-31:1")
        #expect(first.lines == [.init(.openAIPayable, MicroUSD(-700)), .init(.openAICost, MicroUSD(700))])
        #expect(
            JournalEntry(costOf: Self.day, target: MicroUSD(700), posted: MicroUSD(700), revision: 2) == nil)
        let second = JournalEntry(costOf: Self.day, target: MicroUSD(650), posted: MicroUSD(700), revision: 2)
        #expect(TrialBalance([first, try #require(second)])[.openAICost] == 650)
    }

    @Test func costIsRoundedHalfEvenOnceOverTheWholeDay() {
        let cases: [(Int128, Int64?)] = [
            (499_999, 0), (500_000, 0), (500_001, 1), (1_500_000, 2), (2_500_000, 2), (-500_001, -1),
            (Int128(Int64.max) * 1_000_000, .max), (Int128(Int64.max) * 1_000_000 + 500_000, nil),
        ]
        for (pico, micro) in cases { #expect(MicroUSD(roundingPicoUSD: pico)?.value == micro, "\(pico)") }
    }

    /// Deferred revenue is what was paid and not earned; the runbook's figure is nominal and has bonuses and
    /// gifts in it.
    @Test func bothFiguresOfTheLiabilityAreReported() throws {
        var book = LotBook(account: 1)
        let changes = try book.run([
            LotLine(
                version: 1, day: Self.day, amount: Millicredits(52_490_000),
                balanceAfter: Millicredits(52_490_000),
                effect: .grant(sourceRef: "a", kind: .purchase, paidCents: 4999)),
            LotLine(
                version: 2, day: Self.day, amount: Millicredits(1000), balanceAfter: Millicredits(52_491_000),
                effect: .grant(sourceRef: "b", kind: .trial, paidCents: 0)),
            LotLine(
                version: 3, day: Self.day, amount: Millicredits(-26_245_000),
                balanceAfter: Millicredits(26_246_000), effect: .usage),
        ])
        var trial = TrialBalance(changes.entries)
        trial.add(try JournalEntry(.received, cents: 4999, key: "r", day: Self.day))
        var lots = LotTotals()
        for lot in book.lots { lots.add(lot) }
        let report = LiabilityReport(trial, lots)
        #expect(report.deferredRevenue == 25_000_000)
        #expect(report.nominalLiability == 26_246_000)
        #expect(report.deferredDifference == 0)
        #expect(lots.recognisedCents + lots.deferredCents + lots.reversedCents == lots.paidCents)
        trial.add(.deferredRevenue, -1)
        #expect(LiabilityReport(trial, lots).deferredDifference == 1)
        #expect(trial.difference == -1 && !trial.isBalanced)
    }

    @Test func numbersArePrintedFromIntegers() {
        let cases: [(Int128, Int, String, String)] = [
            (0, 2, "", "0.00"), (-5, 2, "", "-0.05"), (1_234_567, 3, ",", "1,234.567"), (999, 0, ",", "999"),
            (-1_000_000, 0, ",", "-1,000,000"), (Int128(Int64.min), 6, "", "-9223372036854.775808"),
        ]
        for (value, decimals, grouping, text) in cases {
            #expect(FixedDecimal.text(value, decimals: decimals, grouping: grouping) == text)
        }
    }
}
