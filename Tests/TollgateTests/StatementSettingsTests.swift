import Billing
import Foundation
import Testing

@testable import Tollgate

/// A letterhead that cannot be printed is found before anything starts.
@Suite struct StatementSettingsTests {
    private static func read(_ values: [String: String]) -> (StatementSettings, [SettingProblem]) {
        var reader = SettingsReader(get: { values[$0] }, readFile: { _ in "" })
        let settings = StatementSettings(&reader)
        return (settings, reader.problems)
    }

    @Test func anAddressHasLines() {
        let (settings, problems) = Self.read([
            "STATEMENT_NAME": "Example, Inc.", "STATEMENT_ADDRESS": "1 Main St | Springfield\nUSA",
        ])
        #expect(problems.isEmpty)
        #expect(settings.operatorName == "Example, Inc.")
        #expect(settings.address == ["1 Main St", "Springfield", "USA"])
        #expect(Self.read([:]).0.operatorName == "Tollgate")
    }

    @Test(arguments: [
        ("STATEMENT_NAME", String(repeating: "x", count: 201)), ("STATEMENT_NAME", "two\nlines"),
        ("STATEMENT_ADDRESS", "1|2|3|4|5|6|7|8|9"),
        ("STATEMENT_ADDRESS", String(repeating: "x", count: 201)),
        ("STATEMENT_LOGO", "/nowhere/logo.png"), ("STATEMENT_LOGO", "/etc/hostname"),
    ])
    func whatCannotBePrintedIsRefused(name: String, value: String) {
        #expect(Self.read([name: value]).1.map(\.name) == [name])
    }

    @Test func aBoundedNumberOfDocumentsIsUnderWay() {
        var load = PrinterLoad(queues: 2, perQueueMax: 2)
        #expect((0..<4).map { _ in load.enter() } == [0, 1, 0, 1])
        #expect(load.enter() == nil)
        load.leave(1)
        #expect(load.enter() == 1)
        #expect(load.enter() == nil)
    }

    @Test func aPrinterPrintsAndRefusesWhatIsTooMuch() async throws {
        let month = try #require(UTCMonth(year: 2026, month: 3))
        let statement = try Statement(
            account: 1, userID: "ada", month: month, opening: .zero, purchases: [], usage: [],
            movements: [:], closing: .zero)
        let issued = IssuedStatement(statement: statement, issued: month.lastDay)
        let bytes = try await StatementPrinter(Self.read([:]).0).pdf(issued)
        #expect(bytes.starts(with: Array("%PDF".utf8)))
        let full = StatementPrinter(Self.read([:]).0, waitingMax: 0)
        await #expect(throws: StatementPrintingFailure.busy) { try await full.pdf(issued) }
        let (noLogo, _) = Self.read(["STATEMENT_LOGO": "/nowhere/logo.png"])
        await #expect(throws: StatementPrintingFailure.self) {
            try await StatementPrinter(noLogo).pdf(issued)
        }
    }
}
