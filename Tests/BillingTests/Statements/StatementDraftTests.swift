import Metering
import Testing

@testable import Billing

/// Every line of the ledger finds its section.
@Suite struct StatementDraftTests {
    private static let day = UTCDay(year: 2026, month: 3, day: 9)!
    private static let bought = StatementLine.Bought(package: "Starter", receiptURL: "https://r")

    private static func draft(closing: Int64) -> StatementDraft {
        StatementDraft(
            account: 1, userID: "ada", month: day.month, opening: .zero, closing: Millicredits(closing),
            isFinal: true)
    }

    @Test(
        arguments: [
            (.refund, -5, bought, .init(cause: .refund, cents: 3), .refunds, "Refund"),
            (
                .refund, 5, bought, .init(cause: .refund, cents: -3), .refunds,
                "Refund failed, credits returned"
            ),
            (.adjustment, -5, bought, .init(cause: .dispute, cents: 3), .disputes, "Dispute lost"),
            (
                .adjustment, 5, bought, .init(cause: .dispute, cents: -3), .disputes,
                "Dispute overturned, credits returned"
            ),
            (.adjustment, 5, bought, nil, .refunds, "Credit refund"),
            (.refund, 5, nil, nil, .refunds, "Refund"),
            (.adjustment, -5, nil, nil, .adjustments, "Adjustment"),
            (.promotional, 5, nil, nil, .adjustments, "Promotional credits"),
            (.trial, 5, nil, nil, .adjustments, "Trial credits"),
            (.purchase, -5, nil, nil, .adjustments, "Purchase taken back"),
            (.deduction, -5, nil, nil, .adjustments, "Deduction"),
        ]
            as [(
                LedgerLineType, Int64, StatementLine.Bought?, StatementLine.Reversed?,
                Statement.MovementSection,
                String
            )])
    func eachLineHasASection(
        type: LedgerLineType, amount: Int64, purchase: StatementLine.Bought?,
        reversal: StatementLine.Reversed?, section: Statement.MovementSection, text: String
    ) throws {
        var draft = Self.draft(closing: amount)
        #expect(!draft.isBlank || amount == 0)
        draft.add(
            StatementLine(
                day: Self.day, type: type, amount: Millicredits(amount), reference: "r", purchase: purchase,
                reversal: reversal))
        let statement = try draft.statement()
        let row = Statement.Movement(
            day: Self.day, text: text, reference: "r", amount: Millicredits(amount),
            cashCents: reversal?.cents)
        #expect(statement.movements == [section: [row]])
    }

    @Test func aPurchaseHasItsPackageAndReceipt() throws {
        var draft = Self.draft(closing: 10)
        let line = StatementLine(
            day: Self.day, type: .purchase, amount: Millicredits(10), reference: "r", paidCents: 1,
            purchase: Self.bought)
        draft.add(line)
        let row = try #require(try draft.statement().purchases.first)
        #expect(row.package == "Starter" && row.receiptURL == "https://r" && row.paidCents == 1)
        draft.add(line)
        #expect(throws: StatementFailure.doesNotAdd(rows: 20, closing: Millicredits(10))) {
            try draft.statement()
        }
    }

    @Test func anAccountWithoutALineIsBlank() {
        #expect(Self.draft(closing: 0).isBlank)
        var draft = Self.draft(closing: 0)
        draft.add(
            correctionOf: HoldID(high: 1, low: 2), model: "m", charged: Millicredits(5), day: Self.day)
        #expect(!draft.isBlank)
        #expect(throws: StatementFailure.doesNotAdd(rows: -5, closing: .zero)) { try draft.statement() }
    }
}
