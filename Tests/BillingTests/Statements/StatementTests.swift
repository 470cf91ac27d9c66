import Foundation
import Metering
import Testing

@testable import Billing

/// A statement adds up or it does not exist.
@Suite struct StatementTests {
    static let purchase = Statement.Purchased(
        day: UTCDay(year: 2026, month: 3, day: 2)!, package: "Professional", paidCents: 4999,
        credits: Millicredits(52_490_000), reference: "pur_1", receiptURL: "https://pay.stripe.com/receipts/x"
    )
    static let used = Statement.Used(
        day: UTCDay(year: 2026, month: 3, day: 3)!, model: "gpt-4o-mini", calls: 3, inputTokens: 1200,
        cachedInputTokens: 1000, outputTokens: 80, charged: Millicredits(1_234_567))
    static let refund = Statement.Movement(
        day: UTCDay(year: 2026, month: 3, day: 31)!, text: "Refund of Professional", reference: "pur_1",
        amount: Millicredits(-10_498_000), cashCents: 1000)
    static let gift = Statement.Movement(
        day: UTCDay(year: 2026, month: 3, day: 1)!, text: "=Welcome, \"you\"", reference: "promo",
        amount: Millicredits(5000))

    static func statement(
        opening: Int64 = -1000, purchases: [Statement.Purchased] = [purchase],
        usage: [Statement.Used] = [used],
        movements: [Statement.MovementSection: [Statement.Movement]] = [
            .refunds: [refund], .adjustments: [gift], .corrections: [],
        ], closing: Int64 = -1000 + 52_490_000 - 1_234_567 - 10_498_000 + 5000
    ) throws(StatementFailure) -> Statement {
        try Statement(
            account: 42, userID: "ada", month: UTCMonth(year: 2026, month: 3)!,
            opening: Millicredits(opening), purchases: purchases, usage: usage, movements: movements,
            closing: Millicredits(closing))
    }

    @Test func openingAndAllSectionsComeToClosing() throws {
        let statement = try Self.statement()
        #expect(statement.totals.map(\.name) == ["purchases", "usage", "refunds", "adjustments"])
        let sum = statement.totals.reduce(Int128(statement.opening.value)) { $0 + $1.amount }
        #expect(sum == Int128(statement.closing.value))
        #expect(statement.number == "2026-03-000042")
        #expect(statement.paidCents == 4999)
    }

    @Test func whatIsOffByOneMillicreditIsNoStatement() {
        #expect(
            throws: StatementFailure.doesNotAdd(rows: 40_761_433, closing: Millicredits(40_761_434))
        ) { try Self.statement(closing: 40_761_434) }
    }

    @Test func rowsBelongToTheMonth() throws {
        let april = try #require(UTCDay(year: 2026, month: 4, day: 1))
        let before = try #require(UTCDay(year: 2026, month: 2, day: 28))
        var (purchase, used, refund) = (Self.purchase, Self.used, Self.refund)
        purchase.day = april
        used.day = before
        refund.day = april
        #expect(throws: StatementFailure.dayOutsideMonth(april)) { try Self.statement(purchases: [purchase]) }
        #expect(throws: StatementFailure.dayOutsideMonth(before)) { try Self.statement(usage: [used]) }
        #expect(throws: StatementFailure.dayOutsideMonth(april)) {
            try Self.statement(movements: [.disputes: [refund]])
        }
    }

    @Test func rowsThatMeanNothingAreRefused() {
        var (purchase, used) = (Self.purchase, Self.used)
        purchase.credits = .zero
        #expect(throws: StatementFailure.impossibleRow("pur_1")) { try Self.statement(purchases: [purchase]) }
        used.cachedInputTokens = 1201
        #expect(throws: StatementFailure.impossibleRow("2026-03-03 gpt-4o-mini")) {
            try Self.statement(usage: [used])
        }
        used = Self.used
        used.charged = Millicredits(-1)
        #expect(throws: StatementFailure.self) { try Self.statement(usage: [used]) }
    }

    /// The database may answer in any order; the file is the same.
    @Test func theOrderOfRowsDoesNotMatter() throws {
        var other = Self.used
        other.model = "gpt-4o"
        let closing: Int64 = 40_761_433 - 1_234_567
        let one = try Self.statement(usage: [Self.used, other], closing: closing)
        let two = try Self.statement(usage: [other, Self.used], closing: closing)
        #expect(one.csv == two.csv)
        #expect(one.json == two.json)
        #expect(one.usageByModel.map(\.model) == ["gpt-4o", "gpt-4o-mini"])
        #expect(one.usageTotal.charged == 2_469_134)
    }

    @Test func theCSVIsReAddedByASpreadsheet() throws {
        let statement = try Self.statement()
        #expect(
            statement.csv == """
                section,day,text,model,calls,input_tokens,cached_input_tokens,output_tokens,\
                amount_millicredits,amount_credits,cash_usd,reference,receipt_url\r
                opening,,,,,,,,-1000,-1.000,,,\r
                purchases,2026-03-02,Professional,,,,,,52490000,52490.000,49.99,pur_1,\
                https://pay.stripe.com/receipts/x\r
                usage,2026-03-03,,gpt-4o-mini,3,1200,1000,80,-1234567,-1234.567,,,\r
                refunds,2026-03-31,Refund of Professional,,,,,,-10498000,-10498.000,10.00,pur_1,\r
                adjustments,2026-03-01,"'=Welcome, ""you\""",,,,,,5000,5.000,,promo,\r
                closing,,,,,,,,40761433,40761.433,,,\r

                """)
    }

    /// Millicredits as strings, credits and dollars as numbers: read by another reader than ours.
    @Test func theJSONIsReadBack() throws {
        var movement = Self.gift
        movement.text = "tab\t quote\" back\\ \u{1}\u{2028} é 🧾"
        let statement = try Self.statement(movements: [.refunds: [Self.refund], .adjustments: [movement]])
        let json = statement.json
        let any = try JSONSerialization.jsonObject(with: Data(json.utf8))
        let object = try #require(any as? [String: Any])
        #expect(object["openingMillicredits"] as? String == "-1000")
        #expect(object["closingCredits"] as? Double == 40_761.433)
        #expect(object["month"] as? String == "2026-03")
        let adjustments = try #require(object["adjustments"] as? [[String: Any]])
        #expect(adjustments[0]["text"] as? String == movement.text)
        #expect(adjustments[0]["cashUsd"] is NSNull)
        let usage = try #require(object["usage"] as? [[String: Any]])
        #expect(usage[0]["chargedMillicredits"] as? String == "1234567")
        #expect(json.contains("\"chargedUsd\":1.234567,") || json.contains("\"chargedUsd\":1.234567}"))
        #expect(json.contains("\"paidUsd\":49.99,"))
        let totals = try #require(object["totals"] as? [String: Any])
        #expect(totals["refundsMillicredits"] as? String == "-10498000")
        #expect(object["disputes"] as? [String] == [])
    }

    @Test func anAccountWithoutAnyLinesHasAStatement() throws {
        let statement = try Self.statement(opening: 7, purchases: [], usage: [], movements: [:], closing: 7)
        #expect(statement.totals.map(\.amount) == [0, 0])
        #expect(statement.csv.split(separator: "\r\n").count == 3)
    }
}
