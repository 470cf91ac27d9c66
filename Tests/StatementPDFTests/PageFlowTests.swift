import Testing

@testable import StatementPDF

@Suite struct PageFlowTests {
    private static let heights = PageFlow.Heights(title: 30, heading: 20, row: 10, total: 20)

    private static func flow(_ rows: [Int], first: Double = 400, later: Double = 600) -> PageFlow {
        PageFlow(rowCounts: rows, firstSpace: first, laterSpace: later, heights: Self.heights)
    }

    @Test func aTableThatFitsStaysOnItsPage() {
        let flow = Self.flow([3], first: 100)
        #expect(
            flow.pages == [
                [
                    .title(table: 0, isContinued: false), .heading(table: 0), .row(table: 0, row: 0),
                    .row(table: 0, row: 1), .row(table: 0, row: 2), .total(table: 0),
                ]
            ])
    }

    @Test func aTableOfFortyRowsGoesOnUnderItsHeading() {
        let pages = Self.flow([40], first: 250).pages
        #expect(pages.count == 2)
        #expect(pages[0].count == 2 + 20)
        #expect(pages[1].prefix(2) == [.title(table: 0, isContinued: true), .heading(table: 0)])
        #expect(pages[1].last == .total(table: 0))
    }

    @Test func aTotalNeverStandsAlone() {
        // Title, heading and 20 rows fit exactly; the total would be alone on the next page.
        let pages = Self.flow([20], first: 250).pages
        #expect(
            pages[1] == [
                .title(table: 0, isContinued: true), .heading(table: 0), .row(table: 0, row: 19),
                .total(table: 0),
            ])
    }

    @Test func aTitleNeverStandsAlone() {
        #expect(Self.flow([5], first: 69).pages[0].isEmpty)
        #expect(Self.flow([5], first: 70).pages[0].count == 4)
        // Two rows need their total with them.
        #expect(Self.flow([2], first: 89).pages[0].isEmpty)
    }

    /// Every row once, in order; no page too full; every page begins with what its rows are.
    @Test func everyShapeOfTablesIsPrintedWhole() {
        let seed = UInt64.random(in: .min ... .max)
        print("PageFlowTests, seed \(seed)")
        var state = seed
        func dice(_ sides: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % sides
        }
        for round in 0..<2000 {
            let rows = (0..<dice(6)).map { _ in 1 + dice(70) }
            let (first, later) = (Double(dice(500)), 90 + Double(dice(500)))
            let flow = Self.flow(rows, first: first, later: later)
            let blocks = flow.pages.joined()
            let printed = blocks.compactMap { block -> [Int]? in
                if case .row(let table, let row) = block { [table, row] } else { nil }
            }
            let expected = rows.enumerated().flatMap { table, count in (0..<count).map { [table, $0] } }
            let fits = flow.pages.enumerated().allSatisfy { page, blocks in
                blocks.reduce(0) { $0 + flow.height(of: $1) } <= (page == 0 ? first : later)
            }
            let begins = flow.pages.allSatisfy { blocks in
                guard let start = blocks.first else { return true }
                if case .title = start { return blocks.count >= 3 } else { return false }
            }
            let totals = blocks.count { if case .total = $0 { true } else { false } }
            guard printed == expected, fits, begins, totals == rows.count else {
                Issue.record("seed \(seed) round \(round): rows \(rows), first \(first), later \(later)")
                return
            }
        }
    }
}
