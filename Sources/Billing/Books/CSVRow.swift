/// A line of CSV (RFC 4180: CRLF, quotes where needed) that a spreadsheet shows and never runs.
public struct CSVRow: Sendable, Hashable {
    private var cells: [String] = []

    public init() {}

    /// Words of our own, such as headings.
    public static func heading(_ names: [String]) -> String { names.joined(separator: ",") + "\r\n" }

    /// Text that somebody else chose. One that a spreadsheet would take for a formula gets an apostrophe in
    /// front (OWASP, "CSV Injection").
    public mutating func add(text: String) {
        let first = text.unicodeScalars.first { $0 != " " && $0 != "\u{a0}" && $0 != "\u{feff}" }
        let starts: Set<Unicode.Scalar> = [
            "=", "+", "-", "@", "\t", "\r", "\n", "\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}",
        ]
        let isFormula = first.map { starts.contains($0) } ?? false
        self.cells.append(Self.quoted(isFormula ? "'" + text : text))
    }

    /// A number that we print; a minus in front is one.
    public mutating func add(number: String) {
        precondition(
            number.utf8.allSatisfy { $0 >= 48 && $0 <= 57 || $0 == 45 || $0 == 46 }, "CSVRow: not a number")
        self.cells.append(number)
    }

    public mutating func addEmpty(_ count: Int = 1) {
        for _ in 0..<count { self.cells.append("") }
    }

    /// With its end of line.
    public var text: String { self.cells.joined(separator: ",") + "\r\n" }

    private static func quoted(_ text: String) -> String {
        let special: Set<Unicode.Scalar> = [",", "\"", "\r", "\n"]
        let bare =
            text.unicodeScalars.allSatisfy { !special.contains($0) } && text.first != " " && text.last != " "
        guard !bare else { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" { quoted += "\"" }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + "\""
    }
}
