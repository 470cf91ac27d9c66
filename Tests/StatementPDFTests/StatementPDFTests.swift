import Billing
import Foundation
import Metering
import Testing

@testable import StatementPDF

/// What a company files, read back by poppler.
@Suite struct StatementPDFTests {
    private static func text(_ pdf: [UInt8], page: Int? = nil) throws -> String {
        let tool = try #require(
            Program("pdftotext"), "apt-get install poppler-utils (scripts/bootstrap.sh test does)")
        let pages = page.map { ["-f", String($0), "-l", String($0)] } ?? []
        return try tool.read(pdf, ["-layout"] + pages, suffix: ["-"])
    }

    private static func info(_ pdf: [UInt8]) throws -> String {
        let tool = try #require(
            Program("pdfinfo"), "apt-get install poppler-utils (scripts/bootstrap.sh test does)")
        return try tool.read(pdf)
    }

    /// Written where `STATEMENT_PDF_DIR` says, for people to look at.
    private static func keep(_ pdf: [UInt8], _ name: String) throws {
        guard let folder = ProcessInfo.processInfo.environment["STATEMENT_PDF_DIR"] else { return }
        try Data(pdf).write(to: URL(fileURLWithPath: folder).appendingPathComponent(name))
    }

    @Test func aSmallStatementIsOnePageWithEveryFigure() throws {
        let statement = try Samples.small()
        let pdf = try StatementPDF.render(statement, Samples.letterhead())
        try Self.keep(pdf, "small.pdf")
        let text = try Self.text(pdf)
        #expect(text.contains("Page 1 of 1"))
        let words = [
            "ScholarLink Learning Ltd.", "VAT IE 1234567T", "ada@example.com", "2026-03-000042",
            "2026-03-01 to 2026-03-31, UTC", "2026-04-01", "1,234.567", "52,490.000", "49.99",
        ]
        for word in words { #expect(text.contains(word), "\(word)") }
        #expect(try Self.missing(statement, in: text) == [])
    }

    @Test func aLargeStatementGoesOnOverPagesWithItsHeadings() throws {
        let statement = try Samples.large()
        let pdf = try StatementPDF.render(statement, Samples.letterhead())
        try Self.keep(pdf, "large.pdf")
        #expect(try Self.missing(statement, in: try Self.text(pdf)) == [])
        let info = try Self.info(pdf)
        let pages = try #require(
            info.split(separator: "\n").first { $0.hasPrefix("Pages:") }?.split(separator: " ").last.flatMap {
                Int($0)
            })
        #expect(pages == 6)
        #expect(info.contains("A4"))
        for page in 1...pages {
            let text = try Self.text(pdf, page: page)
            #expect(text.contains("Page \(page) of \(pages)"))
            guard page > 1 else { continue }
            #expect(text.contains("ScholarLink Learning Ltd."))
            // Every page has rows, and what stands above the first of them says what they are.
            #expect(text.contains("Credits"))
            #expect(text.contains("(continued)") || page == pages)
        }
    }

    /// Every figure that the statement has, as it is printed; what is not there.
    private static func missing(_ statement: Statement, in text: String) throws -> [String] {
        var figures = [statement.opening, statement.closing].flatMap {
            [Figures.credits(Int128($0.value)), Figures.dollars(Int128($0.value))]
        }
        figures += statement.totals.flatMap { [Figures.credits($0.amount), Figures.dollars($0.amount)] }
        figures += statement.purchases.flatMap { [Figures.cents(Int128($0.paidCents)), $0.reference] }
        figures.append(Figures.credits(statement.usageTotal.charged))
        let rows = text.split(separator: "\n")
        var missing = figures.filter { !text.contains($0) }
        for row in statement.usage {
            let cells = [
                row.day.description, Figures.count(Int128(row.calls)), Figures.count(Int128(row.inputTokens)),
                Figures.count(Int128(row.cachedInputTokens)), Figures.count(Int128(row.outputTokens)),
                Figures.credits(Int128(row.charged.value)),
            ]
            // On one line, as a reader needs them.
            guard !rows.contains(where: { line in cells.allSatisfy { line.contains($0) } }) else { continue }
            missing.append(cells.joined(separator: " "))
        }
        for row in statement.movements.values.joined() {
            let amount = Figures.credits(Int128(row.amount.value))
            if !rows.contains(where: { $0.contains(row.day.description) && $0.contains(amount) }) {
                missing.append(amount)
            }
        }
        return missing
    }

    /// The same statement is the same file, so that it can be compared and kept by its digest.
    @Test func theSameStatementIsTheSameFile() throws {
        let one = try StatementPDF.render(Samples.large(), Samples.letterhead())
        let two = try StatementPDF.render(Samples.large(), Samples.letterhead())
        #expect(one == two)
        let info = try Self.info(one)
        #expect(info.contains("Title:           Statement 2026-03-000042, team-kings"))
        #expect(info.contains("Author:          ScholarLink Learning Ltd."))
        #expect(info.contains("CreationDate:    Wed Apr  1 00:00:00 2026 UTC"))
        #expect(!info.contains("ModDate"))
    }

    /// Text can be selected, searched and read aloud; the page is no picture. Fonts are in the file.
    @Test func textIsTextInEmbeddedFonts() throws {
        let tool = try #require(
            Program("pdffonts"), "apt-get install poppler-utils (scripts/bootstrap.sh test does)")
        let fonts = try tool.read(try StatementPDF.render(Samples.small(), Samples.letterhead()))
        let lines = fonts.split(separator: "\n").dropFirst(2)
        #expect(lines.count >= 2)
        #expect(lines.allSatisfy { $0.contains("DejaVuSans") && $0.contains("yes yes yes") }, "\(fonts)")
    }

    @Test func aPurchaseLinksToItsReceipt() throws {
        let pdf = try StatementPDF.render(Samples.small(), Samples.letterhead())
        let raw = String(decoding: pdf, as: UTF8.self)
        #expect(raw.contains("https://pay.stripe.com/receipts/payment/CAcaFwoVYWNjdF8x"))
        #expect(PDFCanvas.linkAttributes("https://a.example/x?y=1#z") == "uri='https://a.example/x?y=1#z'")
        let refused = [
            "http://a.example", "javascript:alert(1)", "https://a.example/' dest='x", "https://a.example/\\",
            "https://a.example/é", "https://a.example/ b", "https://a.example/\n",
        ]
        for url in refused { #expect(PDFCanvas.linkAttributes(url) == nil, "\(url)") }
    }

    /// Names are chosen by users and their programs: none of them moves, hides or forges a figure.
    @Test(arguments: [
        String(repeating: "W", count: 256), "evil\u{202e}000.1", "line\nbreak\u{2028}\u{0}\u{7f}",
        "Z" + String(repeating: "\u{301}", count: 200), "<b>markup</b> & 100%", "Ж Ω عربي 7 é", " ",
    ])
    func aStrangeNameDisturbsNothing(_ name: String) throws {
        let statement = try Samples.statement(userID: name, days: 1...3, models: [name])
        let pdf = try StatementPDF.render(statement, Samples.letterhead())
        try Self.keep(pdf, "strange-\(name.utf8.count).pdf")
        let text = try Self.text(pdf)
        #expect(try Self.missing(statement, in: text) == [])
        #expect(text.contains("Page 1 of 1"))
        let bad: [Unicode.Scalar] = ["\u{202e}", "\u{2028}", "\u{0}", "\u{7f}", "\n"]
        #expect(!PrintableText.clean(name).unicodeScalars.contains { bad.contains($0) })
        if name.hasPrefix("<b>") { #expect(text.contains("<b>markup</b> & 100%")) }
    }

    /// A figure that is too wide is printed smaller, never cut.
    @Test func theLargestFiguresAreWhole() throws {
        let used = Statement.Used(
            day: Samples.day(1), model: "gpt-5", calls: .max, inputTokens: .max, cachedInputTokens: .max,
            outputTokens: .max, charged: Millicredits(Millicredits.magnitudeMax))
        let statement = try Statement(
            account: .max, userID: "ada", month: Samples.march, opening: .zero, purchases: [], usage: [used],
            movements: [:], closing: Millicredits(-Millicredits.magnitudeMax))
        let pdf = try StatementPDF.render(statement, Samples.letterhead())
        try Self.keep(pdf, "largest.pdf")
        let text = try Self.text(pdf)
        #expect(text.components(separatedBy: "9,223,372,036,854,775,807").count - 1 >= 4)
        #expect(text.contains("\u{2212}9,000,000,000,000.000"))
        #expect(text.contains("2026-03-9223372036854775807"))
    }

    /// What is cut keeps its whole text in the file, so poppler cannot tell; the canvas can.
    @Test func namesAreCutAndFiguresAreNot() throws {
        let canvas = try PDFCanvas(.init(title: "", author: "", created: ""))
        let font = PDFCanvas.Font(size: 7.5)
        func isCut(_ text: String, _ kind: PageTable.Column.Kind) -> Bool {
            canvas.isCut(text, font, width: 40, kind.fit)
        }
        #expect(!isCut("9,223,372,036,854,775,807", .number))
        #expect(isCut("9,223,372,036,854,775,807", .text))
        #expect(isCut("o4-mini-deep-research", .name))
        #expect(!isCut("gpt-4o-m", .name))
        let tall = canvas.height("wrapped words of a long name", font, width: 40, .wrap(lines: 3))
        #expect(tall > 2.5 * canvas.height("x", font, width: 40, .ellipsis))
    }

    /// An id is copied from paper: what is not in it is not printed, also where it goes on in the next line. A
    /// hyphen would be in no text that poppler extracts, but it makes the line wider.
    @Test func aWrappedIdHasNoHyphens() throws {
        let statement = try Samples.small(userID: String(repeating: "W", count: 60))
        let tool = try #require(
            Program("pdftotext"), "apt-get install poppler-utils (scripts/bootstrap.sh test does)")
        let boxes = try tool.read(
            try StatementPDF.render(statement, Samples.letterhead()), ["-bbox"], suffix: ["-"])
        let line = try #require(
            boxes.split(separator: "\n").first {
                $0.hasSuffix(">" + String(repeating: "W", count: 20) + "</word>")
            })
        let numbers = line.split(separator: "\"").compactMap { Double($0) }
        // Twenty times the width of DejaVu's W at eight points.
        #expect(abs(numbers[2] - numbers[0] - 158.1) < 0.5, "\(line)")
    }

    @Test func aStatementWithoutRowsIsAPage() throws {
        let statement = try Statement(
            account: 1, userID: "ada", month: Samples.march, opening: Millicredits(7), purchases: [],
            usage: [],
            movements: [:], closing: Millicredits(7))
        let pdf = try StatementPDF.render(statement, Samples.letterhead(address: []))
        try Self.keep(pdf, "empty.pdf")
        #expect(try Self.text(pdf).contains("Page 1 of 1"))
    }

    @Test func aLogoIsScaledIntoItsSlot() throws {
        let folder = try LogoFolder()
        let path = try folder.write(PNG.image(width: 1200, height: 300), to: "logo.png")
        let pdf = try StatementPDF.render(Samples.small(), Samples.letterhead(logo: path))
        try Self.keep(pdf, "logo.pdf")
        let tool = try #require(
            Program("pdfimages"), "apt-get install poppler-utils (scripts/bootstrap.sh test does)")
        let images = try tool.read(pdf, ["-list"]).split(separator: "\n").dropFirst(2)
        #expect(images.count == 1)
        let cells = try #require(images.first).split(separator: " ")
        #expect(cells[3] == "1200" && cells[4] == "300")
        // 1200 pixels on 150 points are 576 per inch.
        #expect(cells[12] == "576" && cells[13] == "576", "\(images)")
    }

    @Test func aBadLogoIsNamed() throws {
        let folder = try LogoFolder()
        let text = try folder.write(Array("no picture".utf8), to: "logo.png")
        let huge = try folder.write(PNG.image(width: 4097, height: 1), to: "huge.png")
        for path in [text, huge, "/nowhere/logo.png"] {
            #expect {
                try StatementPDF.render(Samples.small(), Samples.letterhead(logo: path))
            } throws: { error in
                guard case .logo(let named, let reason) = error as? StatementPDFFailure else { return false }
                return named == path && !reason.isEmpty
            }
        }
    }

    @Test func anAddressThatDoesNotFitIsRefused() {
        #expect(throws: StatementPDFFailure.addressTooLong(lines: 9)) {
            try Samples.letterhead(address: Array(repeating: "x", count: 9))
        }
    }
}

/// Files of one test.
private final class LogoFolder {
    private let url: URL

    init() throws {
        self.url = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tollgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: self.url) }

    func write(_ bytes: [UInt8], to name: String) throws -> String {
        let file = self.url.appendingPathComponent(name)
        try Data(bytes).write(to: file)
        return file.path
    }
}
