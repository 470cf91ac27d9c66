import Metering

/// The operator's own export of OpenAI's costs: CSV with the heading `day,amount_usd`, one row per UTC day, such as
/// `2026-03-31,12.345678`. Decimal digits as they come; at most 12 after the point.
public enum OpenAICostExport {
    public static let heading = "day,amount_usd"

    public struct Row: Sendable, Hashable {
        public var day: UTCDay
        public var amount: MicroUSD

        public init(day: UTCDay, amount: MicroUSD) { (self.day, self.amount) = (day, amount) }
    }

    /// Nothing of a file with one of these is taken over. Lines count from 1.
    public enum Failure: Error, Sendable, Hashable {
        case noHeading
        case notTwoCells(line: Int)
        case notADay(line: Int)
        case notAnAmount(line: Int)
        case dayTwice(line: Int)
        case noRows
    }

    public static func parse(_ text: String) throws(Failure) -> [Row] {
        var lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
            .enumerated().map { (number: $0.offset + 1, text: $0.element) }
        lines.removeAll { $0.text.isEmpty }
        guard let first = lines.first, first.text == Self.heading || first.text == "\u{feff}" + Self.heading
        else { throw .noHeading }
        var rows: [Row] = []
        var days: Set<UTCDay> = []
        for line in lines.dropFirst() {
            let row = try Self.row(line.text, line.number)
            guard days.insert(row.day).inserted else { throw .dayTwice(line: line.number) }
            rows.append(row)
        }
        guard !rows.isEmpty else { throw .noRows }
        return rows
    }

    private static func row(_ text: Substring, _ line: Int) throws(Failure) -> Row {
        let cells = text.split(separator: ",", omittingEmptySubsequences: false)
        guard cells.count == 2 else { throw .notTwoCells(line: line) }
        guard let day = UTCDay(text: cells[0]) else { throw .notADay(line: line) }
        guard let amount = try? ExactDecimal(parsing: String(cells[1])),
            let pico = amount.scaledToInteger(powerOfTen: 12), let rounded = MicroUSD(roundingPicoUSD: pico)
        else { throw .notAnAmount(line: line) }
        return Row(day: day, amount: rounded)
    }
}
