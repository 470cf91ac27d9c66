import Billing
import Metering

/// A page of the console, as its template reads it. A name that is nil in an inner struct is looked up in the outer
/// ones, so no name occurs in two that are nested.
struct ConsoleContent {
    let heading: String
    var lead: String?
    var parts: [ConsolePart]

    init(_ heading: String, lead: String? = nil, _ parts: [ConsolePart]) {
        self.heading = heading
        self.lead = lead
        self.parts = parts.enumerated().map { index, part in
            var part = part
            part.partID = "part-\(index + 1)"
            part.form?.name("f\(index + 1)")
            return part
        }
        for index in self.parts.indices {
            let beside = [index - 1, index + 1].filter(self.parts.indices.contains)
            self.parts[index].isSmall =
                self.parts[index].isShort && beside.contains { self.parts[$0].isShort }
        }
    }
}

/// One section of a page.
struct ConsolePart {
    fileprivate(set) var partID = ""
    let partTitle: String
    /// Beside others of its kind, where the window is wide.
    fileprivate(set) var isSmall = false
    /// The heading of the page says it.
    var isTitleSaid = false
    var partNote: String?
    var facts: [ConsoleFact] = []
    /// Shown as it is, line by line.
    var code: String?
    /// Lines of it with their numbers, which problems lead to.
    var codeLines: [CodeLine] = []
    var codeWords: [String] = []
    var table: ConsoleTable?
    var emptyText: String?
    var form: ConsoleForm?
    var links: [ConsoleLink] = []

    struct CodeLine {
        let lineNumber: Int
        let lineText: String
        /// Lines before it are left out.
        let isGap: Bool
    }

    init(_ title: String, note: String? = nil) {
        self.partTitle = title
        self.partNote = note
    }

    fileprivate var isShort: Bool {
        self.table == nil && self.form == nil && self.code == nil && self.codeLines.isEmpty
    }
}

struct ConsoleLink {
    let linkText: String
    let linkURL: String
}

struct ConsoleFact {
    let factName: String
    let cell: ConsoleCell

    init(_ name: String, _ cell: ConsoleCell) {
        self.factName = name
        self.cell = cell
    }
}

struct ConsoleTable {
    let caption: String
    let columns: [Column]
    let rows: [Row]
    /// Chart.js; nil: the table says it all.
    var chartURL: String?
    var chartKind = "bar"
    var chartUnit = ""
    /// Too wide for a phone.
    var isWide: Bool

    struct Column {
        let columnName: String
        let isNumber: Bool
        /// It is drawn.
        var isSeries = false

        static func text(_ name: String) -> Column { Column(columnName: name, isNumber: false) }
        static func number(_ name: String) -> Column { Column(columnName: name, isNumber: true) }
        static func series(_ name: String) -> Column {
            Column(columnName: name, isNumber: true, isSeries: true)
        }
    }

    struct Row {
        let cells: [ConsoleCell]
    }

    init(_ caption: String, _ columns: [Column], _ rows: [[ConsoleCell]]) {
        self.caption = caption
        self.columns = columns
        self.isWide = columns.count > 4
        self.rows = rows.map { cells in
            Row(
                cells: zip(columns, cells).map { column, cell in
                    var cell = cell
                    cell.cellLabel = column.columnName
                    return cell
                })
        }
    }
}

/// Something that is shown, in a table or beside its name.
struct ConsoleCell {
    let cellText: String
    var cellURL: String?
    /// nil: it is no badge.
    var cellTone: String?
    /// For those who hear the page: what a link is about, where its row tells it to those who see it.
    var cellUnseen: String?
    var cellTime: String?
    var cellFine: String?
    /// What a chart draws.
    var cellValue: String?
    var cellClass = ""
    /// Of its column, where a row is shown as a list.
    fileprivate(set) var cellLabel = ""

    static let none = ConsoleCell.text("–")
    static let noNumber = ConsoleCell.number("–")

    static func text(_ text: String, fine: String? = nil) -> ConsoleCell {
        ConsoleCell(cellText: text, cellFine: fine)
    }

    /// May be broken anywhere.
    static func long(_ text: String) -> ConsoleCell { ConsoleCell(cellText: text, cellClass: "long") }

    /// Is not broken.
    static func name(_ text: String, fine: String? = nil) -> ConsoleCell {
        ConsoleCell(cellText: text, cellFine: fine, cellClass: "name")
    }

    static func link(_ text: String, _ url: String) -> ConsoleCell {
        ConsoleCell(cellText: text, cellURL: url)
    }

    /// What may be done about a row.
    ///
    /// - Parameter subject: which of them it is, for those who hear the page.
    static func action(_ text: String, of subject: String, _ url: String) -> ConsoleCell {
        ConsoleCell(cellText: text, cellURL: url, cellUnseen: subject, cellClass: "name")
    }

    static func badge(_ text: String, _ tone: PageNotice.Tone, fine: String? = nil) -> ConsoleCell {
        ConsoleCell(cellText: text, cellTone: tone.rawValue, cellFine: fine)
    }

    /// - Parameter milliseconds: since 1970.
    static func time(_ milliseconds: Int64?) -> ConsoleCell {
        guard let milliseconds else { return .none }
        let moment = Moment(milliseconds)
        return ConsoleCell(cellText: moment.text, cellTime: moment.machine)
    }

    static func number(_ text: String, value: String? = nil) -> ConsoleCell {
        ConsoleCell(
            cellText: text, cellValue: value, cellClass: text.hasPrefix("−") ? "number negative" : "number")
    }

    static func count(_ count: Int64) -> ConsoleCell {
        .number(Figures.count(count), value: String(count))
    }

    static func credits(_ amount: Millicredits) -> ConsoleCell { .number(Figures.credits(amount)) }

    /// Micro-USD, of which a millicredit is worth one.
    static func dollars(_ microUSD: Int128) -> ConsoleCell {
        let exact = ExactDecimal(coefficient: microUSD, scale: 6)
        return .number(Figures.dollars(exact), value: exact.description)
    }
}
