/// Rows and columns before they are text, Markdown or HTML.
struct ReportTable: Sendable, Equatable {
    struct Column: Sendable, Equatable {
        var heading: String
        /// Empty: it has none.
        var unit = ""
        var isNumber = true
    }

    var columns: [Column]
    var rows: [[String]]

    init(columns: [Column], rows: [[String]]) {
        precondition(
            rows.allSatisfy { $0.count == columns.count }, "each report builds its rows from its columns")
        self.columns = columns
        self.rows = rows
    }

    /// Without columns that say nothing of any lane.
    func withoutEmptyColumns() -> ReportTable {
        let kept = self.columns.indices.filter { index in self.rows.contains { $0[index] != Figures.missing }
        }
        return ReportTable(
            columns: kept.map { self.columns[$0] }, rows: self.rows.map { row in kept.map { row[$0] } })
    }
}
