import Billing
import Metering

/// The head of the first page: who, for whom, when, and the summary. Measured before it is drawn, because the
/// pages depend on its height.
struct StatementHead {
    /// Where the tables begin.
    let bottom: Double

    private let statement: Statement
    private let letterhead: Letterhead
    private let logo: LogoImage?
    private let canvas: PDFCanvas
    private let left: Double
    private let right: Double
    private let top: Double
    private let facts: [Fact]
    private let summaryTop: Double

    private static let logoHeight = 44.0
    private static let addressLine = 11.5
    private static let factWidth = 250.0
    private static let factNameWidth = 84.0
    private static let summaryRow = 16.0

    private struct Fact {
        var name: String
        var text: String
        /// From the top of all facts.
        var y: Double
    }

    init(
        _ statement: Statement, _ letterhead: Letterhead, _ logo: LogoImage?, on canvas: PDFCanvas,
        left: Double,
        right: Double, top: Double
    ) {
        self.statement = statement
        self.letterhead = letterhead
        self.logo = logo
        self.canvas = canvas
        self.left = left
        self.right = right
        self.top = top

        var facts: [Fact] = []
        var y = 0.0
        for (name, text) in Self.facts(statement, letterhead) {
            facts.append(Fact(name: name, text: text, y: y))
            y +=
                canvas.height(text, Self.factFont, width: Self.factWidth - Self.factNameWidth, Self.factFit)
                + 4
        }
        self.facts = facts
        let lines = letterhead.address.count + 1
        let blocks = max(Double(lines) * Self.addressLine, y)
        self.summaryTop = top + Self.logoHeight + 22 + blocks + 16
        // Opening, totals and closing, the panel's edges, and the note under it.
        self.bottom = self.summaryTop + Double(statement.totals.count + 3) * Self.summaryRow + 16 + 16
    }

    func draw() {
        self.drawTitle()
        let y = self.top + Self.logoHeight + 22
        self.drawAddress(y: y)
        for fact in self.facts {
            let x = self.right - Self.factWidth
            self.canvas.draw(
                fact.name, PDFCanvas.Font(size: 8, colour: .grey),
                in: .init(x: x, y: y + fact.y, width: Self.factNameWidth - 6))
            self.canvas.draw(
                fact.text, Self.factFont,
                in: .init(
                    x: x + Self.factNameWidth, y: y + fact.y, width: Self.factWidth - Self.factNameWidth),
                .left, Self.factFit)
        }
        self.drawSummary()
    }

    private static let factFont = PDFCanvas.Font(size: 8)
    private static let factFit = PDFCanvas.Fit.wrap(lines: 3)

    private static func facts(_ statement: Statement, _ letterhead: Letterhead) -> [(String, String)] {
        let status = statement.isFinal ? [] : [("Status", "Not final: the month is not over.")]
        return [
            ("Statement no.", statement.number),
            ("Account", PrintableText.clean(statement.userID)),
            ("Period", "\(statement.month.firstDay) to \(statement.month.lastDay), UTC"),
            ("Issued", letterhead.issued.description),
        ] + status
    }

    private func drawTitle() {
        let width = self.right - self.left - 170
        if let logo = self.logo {
            self.canvas.draw(logo, x: self.left, y: self.top, width: 150, height: Self.logoHeight)
        } else {
            self.canvas.draw(
                PrintableText.clean(self.letterhead.operatorName),
                PDFCanvas.Font(size: 15, isBold: true, colour: .accent),
                in: .init(x: self.left, y: self.top, width: self.right - self.left - 190))
        }
        let box = PDFCanvas.Box(x: self.right - width, y: self.top - 3, width: width)
        self.canvas.draw("Statement", PDFCanvas.Font(size: 19, isBold: true), in: box, .right)
        self.canvas.draw(
            self.statement.month.name, PDFCanvas.Font(size: 11, colour: .grey),
            in: .init(x: box.x, y: self.top + 23, width: width), .right)
        self.canvas.rule(
            y: self.top + Self.logoHeight + 9, from: self.left, to: self.right, width: 0.9, .accent)
    }

    private func drawAddress(y: Double) {
        let width = self.right - self.left - Self.factWidth - 16
        var y = y
        self.canvas.draw(
            PrintableText.clean(self.letterhead.operatorName), PDFCanvas.Font(size: 8, isBold: true),
            in: .init(x: self.left, y: y, width: width))
        for line in self.letterhead.address {
            y += Self.addressLine
            self.canvas.draw(
                PrintableText.clean(line), PDFCanvas.Font(size: 8),
                in: .init(x: self.left, y: y, width: width))
        }
    }

    private func drawSummary() {
        let rows = self.statement.totals
        let height = Double(rows.count + 3) * Self.summaryRow + 10
        var y = self.summaryTop
        self.canvas.panel(x: self.left, y: y, width: self.right - self.left, height: height)
        self.canvas.panel(x: self.left, y: y, width: 3, height: height, .accent)
        y += 6
        let small = PDFCanvas.Font(size: 7, isBold: true, colour: .grey)
        self.drawSummaryRow(("Summary", "Credits", "Value (USD)"), small, y: y)
        y += Self.summaryRow
        self.drawSummaryRow("Opening balance", Int128(self.statement.opening.value), y: y)
        for row in rows {
            y += Self.summaryRow
            self.drawSummaryRow(StatementTables.title(ofTotal: row.name), row.amount, y: y)
        }
        y += Self.summaryRow
        self.canvas.rule(y: y - 2, from: self.left + 14, to: self.right - 12, width: 0.9, .ink)
        self.drawSummaryRow("Closing balance", Int128(self.statement.closing.value), isBold: true, y: y + 1)
        self.canvas.draw(
            "1,000 credits are worth 1 USD. Credits are prepaid. No figure of this statement is rounded.",
            PDFCanvas.Font(size: 7, colour: .grey),
            in: .init(x: self.left, y: self.summaryTop + height + 6, width: self.right - self.left))
    }

    private func drawSummaryRow(_ name: String, _ millicredits: Int128, isBold: Bool = false, y: Double) {
        let cells = (name, Figures.credits(millicredits), Figures.dollars(millicredits))
        self.drawSummaryRow(cells, PDFCanvas.Font(size: isBold ? 9 : 8.5, isBold: isBold), y: y)
    }

    private func drawSummaryRow(_ cells: (String, String, String), _ font: PDFCanvas.Font, y: Double) {
        let number = 120.0
        let edge = self.right - 12
        self.canvas.draw(cells.0, font, in: .init(x: self.left + 14, y: y, width: 220))
        self.canvas.draw(
            cells.1, font, in: .init(x: edge - 2 * number - 12, y: y, width: number), .right, .shrink)
        self.canvas.draw(cells.2, font, in: .init(x: edge - number, y: y, width: number), .right, .shrink)
    }
}
