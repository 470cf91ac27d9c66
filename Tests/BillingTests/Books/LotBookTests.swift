import Metering
import Testing

@testable import Billing

/// Revenue recognition by example: the figures of these tests were computed by hand.
@Suite struct LotBookTests {
    private static let day = UTCDay(year: 2026, month: 3, day: 9)!

    /// Lines of an account, one after the other, on one day.
    private struct Account {
        var book = LotBook(account: 42)
        var entries: [JournalEntry] = []

        @discardableResult
        mutating func line(_ amount: Int64, _ effect: LotLine.Effect) throws -> LotChanges {
            let changes = try self.book.run([self.next(amount, effect)])
            self.entries += changes.entries
            return changes
        }

        func next(_ amount: Int64, _ effect: LotLine.Effect) -> LotLine {
            LotLine(
                version: self.book.version + 1, day: LotBookTests.day, amount: Millicredits(amount),
                balanceAfter: Millicredits(self.book.balance.value + amount), effect: effect)
        }

        mutating func buy(_ name: String, _ credits: Int64, cents: Int64) throws {
            try self.line(credits, .grant(sourceRef: name, kind: .purchase, paidCents: cents))
        }

        func sum(_ account: BookAccount) -> Int128 { TrialBalance(self.entries)[account] }
    }

    /// The professional package has bonus credits: 52,490 credits for 49.99 USD. Each use recognises its
    /// share, rounded down over all uses so far, and the last one recognises exactly what is left.
    @Test func aFinishedLotHasRecognisedExactlyWhatWasPaid() throws {
        var account = Account()
        try account.buy("a", 52_490_000, cents: 4999)
        try account.line(-1, .usage)
        #expect(account.book.lots[0].recognisedCents == 0)
        try account.line(-26_244_999, .usage)
        #expect(account.book.lots[0].recognisedCents == 2499)
        #expect(account.book.lots[0].deferredCents == 2500)
        try account.line(-26_245_000, .usage)
        #expect(account.book.lots[0].recognisedCents == 4999)
        #expect(account.sum(.usageRevenue) == -49_990_000)
        #expect(account.sum(.deferredRevenue) == 49_990_000)
    }

    @Test func lotsAreUsedFirstInFirstOut() throws {
        var account = Account()
        try account.line(1000, .grant(sourceRef: "gift", kind: .promotional, paidCents: 0))
        try account.buy("a", 20_000, cents: 2)
        let changes = try account.line(-1001, .usage)
        #expect(changes.lots.map(\.used) == [Millicredits(1000), Millicredits(1)])
        // What nobody paid for is contra revenue at its nominal value; half a cent is not yet revenue.
        #expect(
            changes.entries.map(\.lines) == [
                [.init(.usageRevenue, MicroUSD(-1000)), .init(.promotional, MicroUSD(1000))]
            ])
    }

    /// A debt is no revenue: nobody paid for it. The next purchase does, and repays it first.
    @Test func theNextPurchaseRepaysTheDebtFirst() throws {
        var account = Account()
        try account.line(-30_000, .usage)
        #expect(account.book.debt.used == Millicredits(30_000))
        #expect(account.entries.isEmpty)
        try account.buy("a", 100_000, cents: 10)
        #expect(account.book.debt == .none)
        #expect(account.book.lots[0].used == Millicredits(30_000))
        #expect(account.entries.map(\.kind) == [.debtRepaid])
        #expect(account.entries.map(\.key) == ["lots:42:2"])
        #expect(account.sum(.usageRevenue) == -30_000)
    }

    /// Settlements that were too high are given back: to the debt first, then to the lots used last.
    @Test func aCorrectionGivesBackWhatWasUsedLast() throws {
        var account = Account()
        try account.buy("a", 10_000, cents: 1)
        try account.buy("b", 10_000, cents: 1)
        try account.line(-25_000, .usage)
        try account.line(12_000, .usage)
        #expect(account.book.debt == .none)
        #expect(account.book.lots.map(\.used) == [Millicredits(10_000), Millicredits(3000)])
        #expect(account.sum(.usageRevenue) == -10_000)
    }

    /// A refund of credits that were used: the revenue is given back first, and what was used falls on the
    /// next lot, then becomes a debt.
    @Test func usedCreditsThatAreClawedBackFallOnTheNextLotThenBecomeADebt() throws {
        var account = Account()
        try account.buy("a", 100_000, cents: 10)
        try account.buy("b", 30_000, cents: 3)
        try account.line(-90_000, .usage)
        try account.line(
            -100_000, .clawBack(sourceRef: "a", clawed: Millicredits(100_000), reversedCents: 10))
        #expect(account.book.lots.map(\.used) == [.zero, Millicredits(30_000)])
        #expect(account.book.debt.used == Millicredits(60_000))
        #expect(account.book.lots.map(\.recognisedCents) == [0, 3])
        #expect(account.entries.map(\.kind) == [.consumption, .clawBack])
        // 9 cents given back, 3 earned from the next lot.
        #expect(account.entries[1].lines.map(\.amount) == [MicroUSD(-60_000), MicroUSD(60_000)])
        // The refund fails after all.
        try account.line(100_000, .clawBack(sourceRef: "a", clawed: .zero, reversedCents: 0))
        #expect(account.book.debt == .none)
        #expect(account.book.lots.map(\.remaining) == [Millicredits(40_000), .zero])
        #expect(account.sum(.usageRevenue) == -90_000)
    }

    /// Half refunded: what is left of the price is spread over what is left of the credits.
    @Test func aPartialRefundKeepsTheRestOfThePrice() throws {
        var account = Account()
        try account.buy("a", 9_990_000, cents: 999)
        try account.line(
            -3_330_000, .clawBack(sourceRef: "a", clawed: Millicredits(3_330_000), reversedCents: 333))
        try account.line(-6_659_999, .usage)
        #expect(account.book.lots[0].recognisedCents == 665)
        try account.line(-1, .usage)
        #expect(account.book.lots[0].recognisedCents == 666)
        #expect(account.book.lots[0].deferredCents == 0)
    }

    /// All credits are gone and a cent of the price is not: there is nothing left to serve for it.
    @Test func whatIsKeptOfALotWithoutCreditsIsEarned() throws {
        var account = Account()
        try account.buy("a", 100_000, cents: 10)
        try account.line(
            -100_000, .clawBack(sourceRef: "a", clawed: Millicredits(100_000), reversedCents: 9))
        #expect(account.book.lots[0].recognisedCents == 1)
        #expect(account.book.lots[0].deferredCents == 0)
        #expect(account.sum(.usageRevenue) == -10_000)
    }

    @Test func creditsThatAnAdministratorTakesBackAreBreakage() throws {
        var account = Account()
        try account.buy("a", 100_000, cents: 10)
        try account.line(-50_000, .usage)
        try account.line(-50_000, .withdrawal)
        #expect(account.sum(.usageRevenue) == -50_000)
        #expect(account.sum(.breakage) == -50_000)
        // Gifts that are taken back unused were never anybody's money.
        try account.line(5000, .grant(sourceRef: "gift", kind: .trial, paidCents: 0))
        #expect(try account.line(-5000, .withdrawal).entries.isEmpty)
    }

    /// An account that is settled thousands of times a day has a few entries, and each its own key.
    @Test func aRunHasOneEntryPerDayAndKind() throws {
        var account = Account()
        try account.buy("a", 10_000_000, cents: 1000)
        var lines: [LotLine] = []
        for step in 1...1000 {
            let line = account.next(-1000, .usage)
            lines.append(
                LotLine(
                    version: line.version + Int64(step - 1), day: line.day, amount: line.amount,
                    balanceAfter: Millicredits(10_000_000 - Int64(step) * 1000), effect: .usage))
        }
        let changes = try account.book.run(lines)
        #expect(changes.entries.map(\.key) == ["lots:42:1001"])
        #expect(
            changes.entries.flatMap(\.lines).map(\.amount) == [MicroUSD(1_000_000), MicroUSD(-1_000_000)])
        #expect(changes.lots.map(\.used) == [Millicredits(1_000_000)])
    }

    /// After a crash the same lines may come again.
    @Test func linesThatWereTakenBeforeArePassedOver() throws {
        var account = Account()
        let lines = [account.next(10_000, .grant(sourceRef: "a", kind: .purchase, paidCents: 1))]
        _ = try account.book.run(lines)
        let book = account.book
        #expect(try account.book.run(lines) == LotChanges(lots: [], entries: []))
        #expect(account.book == book)
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var line: LotLine
        var failure: LotBookFailure
    }

    private static func line(
        _ amount: Int64, _ effect: LotLine.Effect, version: Int64 = 3, after: Int64? = nil
    ) -> LotLine {
        LotLine(
            version: version, day: Self.day, amount: Millicredits(amount),
            balanceAfter: Millicredits(after ?? 60_000 + amount), effect: effect)
    }

    @Test(arguments: [
        Refusal(
            testDescription: "a line is missing", line: line(-1, .usage, version: 4),
            failure: .gap(expected: 3, found: 4)),
        Refusal(
            testDescription: "the ledger's balance is another", line: line(-1, .usage, after: 59_998),
            failure: .balanceDisagrees(expected: 59_999, found: 59_998)),
        Refusal(
            testDescription: "a grant takes",
            line: line(-1, .grant(sourceRef: "b", kind: .trial, paidCents: 0)),
            failure: .impossibleLot("b", .creditsOutOfRange)),
        Refusal(
            testDescription: "a grant comes twice",
            line: line(1, .grant(sourceRef: "a", kind: .purchase, paidCents: 1)), failure: .lotTwice("a")),
        Refusal(
            testDescription: "a price beyond all money",
            line: line(1, .grant(sourceRef: "b", kind: .purchase, paidCents: .max)),
            failure: .impossibleLot("b", .centsOutOfRange)),
        Refusal(
            testDescription: "a withdrawal gives", line: line(1, .withdrawal),
            failure: .amountDisagrees(version: 3)),
        Refusal(
            testDescription: "more is given back than was used", line: line(40_001, .usage),
            failure: .moreGivenBackThanUsed(version: 3)),
        Refusal(
            testDescription: "claw-back of an unknown lot",
            line: line(-1, .clawBack(sourceRef: "b", clawed: Millicredits(1), reversedCents: 1)),
            failure: .noSuchLot("b")),
        Refusal(
            testDescription: "claw-back whose amount is not its totals'",
            line: line(-1, .clawBack(sourceRef: "a", clawed: Millicredits(2), reversedCents: 1)),
            failure: .amountDisagrees(version: 3)),
        Refusal(
            testDescription: "claw-back of more than the lot",
            line: line(-100_001, .clawBack(sourceRef: "a", clawed: Millicredits(100_001), reversedCents: 10)),
            failure: .impossibleLot("a", .clawedOutOfRange)),
        Refusal(
            testDescription: "more reversed than paid",
            line: line(-1, .clawBack(sourceRef: "a", clawed: Millicredits(1), reversedCents: 11)),
            failure: .impossibleLot("a", .reversedOutOfRange)),
    ])
    func aLineThatCannotFollowChangesNothing(_ refusal: Refusal) throws {
        var account = Account()
        try account.buy("a", 100_000, cents: 10)
        try account.line(-40_000, .usage)
        let before = account.book
        let good = account.next(-5, .usage)
        let lines = refusal.line.version == 3 ? [refusal.line] : [refusal.line, good]
        #expect(throws: refusal.failure) { try account.book.run(lines) }
        #expect(account.book == before)
        // Nor do the good lines before it in the same run.
        let later = LotLine(
            version: 5, day: Self.day, amount: Millicredits(-1), balanceAfter: .zero, effect: .usage)
        #expect(throws: LotBookFailure.gap(expected: 4, found: 5)) { try account.book.run([good, later]) }
        #expect(account.book == before)
    }

    @Test func aBookThatWasStoredWronglyIsRefused() throws {
        let lot = try CreditLot(sourceRef: "a", kind: .purchase, credits: Millicredits(10), paidCents: 1)
        #expect(throws: LotBookFailure.storedStateDisagrees) {
            try LotBook(account: 1, version: 1, balance: Millicredits(9), lots: [lot], debt: .none)
        }
        #expect(throws: LotBookFailure.storedStateDisagrees) {
            try LotBook(
                account: 1, version: 1, balance: Millicredits(9), lots: [lot],
                debt: .init(used: Millicredits(1), withdrawn: .zero))
        }
        #expect(throws: LotBookFailure.lotTwice("a")) {
            try LotBook(account: 1, version: 1, balance: Millicredits(20), lots: [lot, lot], debt: .none)
        }
        #expect(throws: CreditLot.Failure.consumedOutOfRange) {
            try CreditLot(
                sourceRef: "a", kind: .purchase, credits: Millicredits(10), paidCents: 1,
                clawed: Millicredits(5), reversedCents: 0, used: Millicredits(3), withdrawn: Millicredits(3))
        }
    }

    /// The largest amounts that the ledger and the books know do not overflow anything.
    @Test func theLargestLotIsRecognisedExactly() throws {
        var account = Account()
        try account.buy("a", Millicredits.magnitudeMax, cents: MicroUSD.centsMax)
        try account.line(-Millicredits.magnitudeMax + 1, .usage)
        #expect(account.book.lots[0].deferredCents == 1)
        try account.line(-1, .usage)
        #expect(account.sum(.usageRevenue) == -Int128(MicroUSD(cents: MicroUSD.centsMax).value))
    }
}
