import Foundation

/// Numbers as reports show them: the same in every locale, thousands set apart.
enum Figures {
    static let missing = "–"

    static func whole(_ value: some BinaryInteger) -> String {
        let digits = String(value.magnitude)
        return (value < 0 ? "−" : "") + Self.grouped(digits)
    }

    static func fixed(_ value: Double, places: Int) -> String {
        guard value.isFinite else { return Self.missing }
        let parts = String(format: "%.\(places)f", abs(value)).split(separator: ".")
        let text = ([Self.grouped(String(parts[0]))] + parts.dropFirst().map(String.init)).joined(
            separator: ".")
        let isZero = text.allSatisfy { "0.".contains($0) }
        return value < 0 && !isZero ? "−" + text : text
    }

    /// Three digits that count, as far as they stand behind the point.
    static func short(_ value: Double) -> String {
        switch abs(value) {
        case 99.95...: Self.fixed(value, places: 0)
        case 9.995...: Self.fixed(value, places: 1)
        case 0.9995...: Self.fixed(value, places: 2)
        case 0: "0"
        default: Self.fixed(value, places: 3)
        }
    }

    /// Of an axis: no digits that say nothing.
    static func mark(_ value: Double) -> String {
        var text = Self.fixed(value, places: 3)
        while text.hasSuffix("0") { text.removeLast() }
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }

    static func milliseconds(_ microseconds: some BinaryInteger) -> String {
        Self.short(Double(microseconds) / 1000)
    }

    static func megabytes(_ bytes: some BinaryInteger) -> String {
        Self.fixed(Double(bytes) / 1_000_000, places: 1)
    }

    static func signed(_ value: some BinaryInteger) -> String {
        (value > 0 ? "+" : "") + Self.whole(value)
    }

    /// Of ratios: `0.72 (0.70–0.74)`.
    static func spread(_ spread: LaneComparison.Spread) -> String {
        let places = spread.median >= 10 ? 1 : spread.median >= 0.1 ? 2 : 4
        let (median, low, high) = (
            Self.fixed(spread.median, places: places), Self.fixed(spread.low, places: places),
            Self.fixed(spread.high, places: places)
        )
        return low == high ? median : "\(median) (\(low)–\(high))"
    }

    static func count(_ value: some BinaryInteger, _ one: String, _ many: String) -> String {
        "\(Self.whole(value)) \(value == 1 ? one : many)"
    }

    private static func grouped(_ digits: String) -> String {
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0 && (digits.count - index).isMultiple(of: 3) { text.append(",") }
            text.append(digit)
        }
        return text
    }
}

extension String {
    /// Without what moves a terminal's cursor or ends a line, since names come from files and peers.
    var onOneLine: String {
        String(
            String.UnicodeScalarView(
                self.unicodeScalars.map { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .lineSeparator, .paragraphSeparator: "\u{FFFD}"
                    default: scalar
                    }
                }))
    }
}
