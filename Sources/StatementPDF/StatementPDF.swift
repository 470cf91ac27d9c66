import Billing
import Metering

/// A statement as a document that a company files: A4, vector text, tables that go on over pages.
///
/// Rendering takes milliseconds and blocks; a server calls it off its event loops. Needs a font:
/// `fonts-dejavu-core`.
public struct StatementPDF {
    private let statement: Statement
    private let letterhead: Letterhead
    private let canvas: PDFCanvas
    private let logo: LogoImage?
    private let tables: [PageTable]

    private static let left = 48.0
    private static let right = PDFCanvas.width - 48
    private static let textWidth = Self.right - Self.left
    private static let top = 48.0
    /// Upper edge of the footer.
    private static let bottom = PDFCanvas.height - 58
    /// Of the pages after the first.
    private static let laterTop = Self.top + 14

    /// The whole file.
    public static func render(
        _ statement: Statement, _ letterhead: Letterhead
    ) throws(StatementPDFFailure) -> [UInt8] {
        let document = try StatementPDF(statement, letterhead)
        document.draw()
        return try document.canvas.finish()
    }

    private init(_ statement: Statement, _ letterhead: Letterhead) throws(StatementPDFFailure) {
        self.statement = statement
        self.letterhead = letterhead
        self.tables = StatementTables.all(statement)
        if let path = letterhead.logoPath {
            self.logo = try LogoImage(path: path)
        } else {
            self.logo = nil
        }
        self.canvas = try PDFCanvas(
            .init(
                title: "Statement \(statement.number), \(PrintableText.clean(statement.userID))",
                author: PrintableText.clean(letterhead.operatorName),
                created: "\(letterhead.issued)T00:00:00Z"))
    }

    private func draw() {
        let head = StatementHead(
            self.statement, self.letterhead, self.logo, on: self.canvas, left: Self.left, right: Self.right,
            top: Self.top)
        let flow = PageFlow(
            rowCounts: self.tables.map(\.rows.count), firstSpace: Self.bottom - head.bottom,
            laterSpace: Self.bottom - Self.laterTop)
        for (index, page) in flow.pages.enumerated() {
            var y = head.bottom
            if index == 0 {
                head.draw()
            } else {
                self.drawRunningHead()
                y = Self.laterTop
            }
            for block in page {
                self.draw(block, y: y)
                y += flow.height(of: block)
            }
            self.drawFooter(page: index + 1, of: flow.pages.count)
            self.canvas.endPage()
        }
    }

    private func drawRunningHead() {
        let font = PDFCanvas.Font(size: 7.5, colour: .grey)
        let half = Self.textWidth / 2 - 8
        self.canvas.draw(
            PrintableText.clean(self.letterhead.operatorName), font,
            in: .init(x: Self.left, y: Self.top - 6, width: half))
        self.canvas.draw(
            "Statement \(self.statement.month.name)", font,
            in: .init(x: Self.right - half, y: Self.top - 6, width: half), .right)
        self.canvas.rule(y: Self.top + 8, from: Self.left, to: Self.right)
    }

    private func drawFooter(page: Int, of pages: Int) {
        let y = PDFCanvas.height - 48
        let font = PDFCanvas.Font(size: 7, colour: .grey)
        self.canvas.rule(y: y, from: Self.left, to: Self.right)
        self.canvas.draw(
            "\(self.statement.number) · \(PrintableText.clean(self.statement.userID))", font,
            in: .init(x: Self.left, y: y + 6, width: Self.textWidth - 110), .left, .middleEllipsis)
        self.canvas.draw(
            "Page \(page) of \(pages)", font, in: .init(x: Self.right - 100, y: y + 6, width: 100), .right)
    }

    private func draw(_ block: PageFlow.Block, y: Double) {
        switch block {
        case .title(let table, let isContinued):
            let title = self.tables[table].title
            self.canvas.draw(
                isContinued ? "\(title) (continued)" : title,
                PDFCanvas.Font(size: 10.5, isBold: true, colour: .accent),
                in: .init(x: Self.left, y: y + 14, width: Self.textWidth))
        case .heading(let table):
            let columns = self.tables[table].columns
            let font = PDFCanvas.Font(size: 7, isBold: true, colour: .grey)
            self.draw(columns.map { .init($0.title) }, columns, font, y: y + 2.5)
            self.canvas.rule(y: y + 15, from: Self.left, to: Self.right, width: 0.9, .accent)
        case .row(let table, let row):
            let content = self.tables[table]
            self.draw(content.rows[row], content.columns, PDFCanvas.Font(size: 7.5), y: y + 1.5)
            self.canvas.rule(y: y + 12.8, from: Self.left, to: Self.right, width: 0.4)
        case .total(let table):
            let content = self.tables[table]
            self.canvas.rule(y: y, from: Self.left, to: Self.right, width: 0.9, .ink)
            self.draw(content.total, content.columns, PDFCanvas.Font(size: 7.5, isBold: true), y: y + 4)
        }
    }

    private func draw(
        _ cells: [PageTable.Cell], _ columns: [PageTable.Column], _ font: PDFCanvas.Font, y: Double
    ) {
        let gap = 6.0
        var x = Self.left
        for (cell, column) in zip(cells, columns) {
            // The gap is on the side that the text does not lean to; the outer edges line up with the rules.
            let isNumber = column.kind == .number
            let box = PDFCanvas.Box(x: isNumber ? x + gap : x, y: y, width: column.width - gap)
            var font = font
            if cell.link != nil { font.colour = .accent }
            self.canvas.draw(
                PrintableText.clean(cell.text), font, in: box, isNumber ? .right : .left, column.kind.fit,
                link: cell.link)
            x += column.width
        }
    }
}
