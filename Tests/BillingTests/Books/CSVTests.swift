import Foundation
import Metering
import Testing

@testable import Billing

@Suite struct CSVTests {
    private static func cell(_ text: String) -> String {
        var row = CSVRow()
        row.add(text: text)
        return row.text
    }

    /// A user id or a model name is chosen by somebody else, and opened by our accountant.
    @Test(arguments: [
        "=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\u{ff1d}1", "=HYPERLINK(\"http://x\")",
    ])
    func aSpreadsheetShowsAFormulaAndDoesNotRunIt(_ text: String) {
        let cell = Self.cell(text)
        #expect(cell.hasPrefix("'") || cell.hasPrefix("\"'"))
    }

    @Test func cellsAreQuotedAsTheStandardSays() {
        #expect(Self.cell("plain text") == "plain text\r\n")
        #expect(Self.cell("a,b") == "\"a,b\"\r\n")
        #expect(Self.cell("say \"x\"") == "\"say \"\"x\"\"\"\r\n")
        #expect(Self.cell("two\r\nlines") == "\"two\r\nlines\"\r\n")
        #expect(Self.cell(" x") == "\" x\"\r\n")
        #expect(Self.cell("") == "\r\n")
    }

    @Test func theJournalIsOneRowPerLine() throws {
        let day = try #require(UTCDay(text: "2026-05-04"))
        let entry = try JournalEntry(.fee, cents: 59, key: "stripe:payment:pi_1:2", day: day)
        #expect(
            JournalCSV.rows(entry) == """
                stripe:payment:pi_1:2,2026-05-04,fee,assets:stripe,,0.590000\r
                stripe:payment:pi_1:2,2026-05-04,fee,expenses:stripe fees,0.590000,\r

                """)
        let trial = JournalCSV.trialBalance(TrialBalance([entry]))
        #expect(trial.contains("assets:stripe,asset,-0.590000\r\n"))
        #expect(trial.hasSuffix("difference,,0.000000\r\n"))
        let lot = try CreditLot(
            sourceRef: "a", kind: .purchase, credits: Millicredits(100), paidCents: 10,
            clawed: Millicredits(20), reversedCents: 2, used: Millicredits(30), withdrawn: Millicredits(10))
        #expect(JournalCSV.row(lot) == "a,purchase,100,10,20,2,30,10,40,4,4\r\n")
    }
}
