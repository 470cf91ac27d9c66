/// A comma-separated table with a header line (RFC 4180: quotes, doubled quotes, CRLF or LF).
struct CSVTable {
    struct Malformed: Error, CustomStringConvertible {
        var line: Int
        var description: String { "the table is malformed at line \(self.line)" }
    }

    /// One dictionary per line, by column; empty cells are absent.
    let rows: [[String: String]]

    init(parsing text: String) throws(Malformed) {
        var lines: [[String]] = []
        var cells: [String] = []
        var cell = ""
        var quoted = false
        var wasQuoted = false
        var iterator = text.unicodeScalars.makeIterator()
        var pending: Unicode.Scalar?
        func endCell() {
            cells.append(cell)
            cell = ""
            wasQuoted = false
        }
        func endLine() {
            endCell()
            if cells != [""] { lines.append(cells) }
            cells = []
        }
        while let scalar = pending ?? iterator.next() {
            pending = nil
            if quoted {
                if scalar != "\"" {
                    cell.unicodeScalars.append(scalar)
                    continue
                }
                let next = iterator.next()
                if next == "\"" {
                    cell.unicodeScalars.append("\"")
                } else {
                    quoted = false
                    wasQuoted = true
                    pending = next
                }
                continue
            }
            switch scalar {
            case "\"" where cell.isEmpty && !wasQuoted: quoted = true
            case ",": endCell()
            case "\n": endLine()
            case "\r": continue
            default: cell.unicodeScalars.append(scalar)
            }
        }
        guard !quoted else { throw Malformed(line: lines.count + 1) }
        if !cell.isEmpty || !cells.isEmpty { endLine() }
        let header = lines.first ?? []
        var rows: [[String: String]] = []
        for (index, line) in lines.dropFirst().enumerated() {
            guard line.count == header.count else { throw Malformed(line: index + 2) }
            rows.append(
                Dictionary(
                    zip(header, line).filter { !$0.1.isEmpty }, uniquingKeysWith: { first, _ in first }))
        }
        self.rows = rows
    }
}
