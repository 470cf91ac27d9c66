import Foundation
import Metering
import Testing

@testable import Billing

/// The books are believed when a program that others wrote and trust comes to the same balances.
@Suite struct HledgerTests {
    /// All kinds of entries, of a random history and of every movement of cash.
    private static func entries(using dice: inout BooksDice) throws -> [JournalEntry] {
        let history = LotHistory(lineCount: 200, using: &dice)
        var book = LotBook(account: 7)
        var entries = history.cash
        for line in history.lines { entries += try book.run([line]).entries }
        let day = try #require(UTCDay(text: "2026-05-04"))
        for (index, movement) in CashMovement.allCases.enumerated() {
            let key = "stripe:payment:pi_x, y:\(index)"
            entries.append(try JournalEntry(movement, cents: Int64(index + 1), key: key, day: day))
        }
        let cost = JournalEntry(costOf: day, target: MicroUSD(1_234_567), posted: .zero, revision: 1)
        entries.append(try #require(cost))
        return entries.enumerated().sorted { ($0.element.day, $0.offset) < ($1.element.day, $1.offset) }
            .map(\.element)
    }

    private static func journal(_ entries: [JournalEntry]) throws -> String {
        var journal = HledgerJournal()
        var text = journal.head
        for entry in entries { text += try journal.text(entry) }
        return text + journal.foot
    }

    @Test func hledgerAcceptsTheExportAndComesToTheSameBalances() throws {
        let hledger = try #require(
            AccountingProgram("hledger"), "apt-get install hledger (scripts/bootstrap.sh test does)")
        let seed = LotHistory.seed()
        print("HledgerTests, seed \(seed)")
        var dice = BooksDice(state: seed)
        let entries = try Self.entries(using: &dice)
        let scratch = try ScratchFolder()
        try scratch.write(try Self.journal(entries), to: "books.journal")

        let checks = ["check", "--strict", "ordereddates", "payees"]
        let checked = try hledger.run(["-f", "books.journal"] + checks, in: scratch.url)
        #expect(checked.status == 0 && checked.text.isEmpty, "seed \(seed): \(checked.text.prefix(600))")

        let balances = try hledger.run(
            ["-f", "books.journal", "balance", "-N", "-E", "-O", "csv"], in: scratch.url)
        let trial = TrialBalance(entries)
        for (account, sum) in trial.rows {
            let amount = FixedDecimal.text(sum, decimals: 6, grouping: ",")
            let row = sum == 0 ? "\"\(account.rawValue)\",\"0\"" : "\"\(account.rawValue)\",\"USD \(amount)\""
            #expect(balances.text.contains(row + "\n"), "seed \(seed): \(row) in \(balances.text)")
        }
        #expect(trial.isBalanced)

        let sheet = try hledger.run(["-f", "books.journal", "balancesheet"], in: scratch.url)
        #expect(sheet.status == 0)
        #expect(sheet.text.contains("liabilities:deferred revenue"))
        #expect(!sheet.text.contains("revenue:usage"))
        // Contra revenue lowers what was earned, it is no expense.
        let income = try hledger.run(["-f", "books.journal", "incomestatement"], in: scratch.url)
        let expenses = try #require(income.text.range(of: "Expenses"))
        #expect(income.text[..<expenses.lowerBound].contains("contra:promotional"))
    }

    /// The check above can fail: a cent that is changed in the text is found.
    @Test func hledgerRefusesAJournalThatSomebodyEdited() throws {
        let hledger = try #require(
            AccountingProgram("hledger"), "apt-get install hledger (scripts/bootstrap.sh test does)")
        let day = try #require(UTCDay(text: "2026-05-04"))
        let entry = try JournalEntry(.received, cents: 999, key: "stripe:payment:pi_1", day: day)
        let text = try Self.journal([entry])
        let scratch = try ScratchFolder()
        let edits = [
            text.replacing("stripe  USD 9.990000", with: "stripe  USD 9.980000"),
            text.replacing("USD 9.990000\n", with: "USD 8.990000\n").replacing("USD -9.99", with: "USD -8.99")
                .replacing("= USD 8.99", with: "= USD 9.99"),
            text.replacing("liabilities:deferred revenue  USD -", with: "liabilities:deferred  USD -"),
        ]
        for (index, edit) in edits.enumerated() {
            #expect(edit != text)
            try scratch.write(edit, to: "\(index).journal")
            let checked = try hledger.run(["-f", "\(index).journal", "check", "--strict"], in: scratch.url)
            #expect(checked.status != 0, "edit \(index)")
        }
    }

    @Test func anEntryOfAnEarlierDayIsRefused() throws {
        let days = try ["2026-05-04", "2026-05-03"].map { try #require(UTCDay(text: $0)) }
        var journal = HledgerJournal()
        #expect(journal.foot.isEmpty)
        _ = try journal.text(JournalEntry(.fee, cents: 1, key: "a", day: days[0]))
        let early = try JournalEntry(.fee, cents: 1, key: "b", day: days[1])
        #expect(throws: HledgerJournal.Failure.dayBefore(days[0])) { try journal.text(early) }
    }
}
