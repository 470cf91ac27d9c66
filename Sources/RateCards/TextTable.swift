/// Columns for a terminal: the first to the left, the others, which are numbers, to the right.
struct TextTable {
    private var rows: [[String]] = []

    init(_ titles: String...) { self.rows = [titles] }

    mutating func add(_ cells: [String]) {
        precondition(cells.count == self.rows[0].count, "the caller names as many cells as titles")
        self.rows.append(cells)
    }

    var text: String {
        let widths = self.rows[0].indices.map { column in self.rows.map { $0[column].count }.max() ?? 0 }
        return self.rows.map { row in
            let cells = row.enumerated().map { column, cell in
                let blank = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + blank : blank + cell
            }
            return cells.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
