import Foundation

/// HTML or SVG. What is put into a literal is escaped unless it is markup itself, so text from outside cannot
/// become any.
struct Markup: Sendable, Equatable, ExpressibleByStringInterpolation {
    let source: String

    init(stringLiteral literal: String) { self.source = literal }
    init(stringInterpolation parts: Interpolation) { self.source = parts.source }

    struct Interpolation: StringInterpolationProtocol {
        fileprivate var source = ""

        init(literalCapacity: Int, interpolationCount: Int) { self.source.reserveCapacity(literalCapacity) }

        mutating func appendLiteral(_ literal: String) { self.source += literal }
        mutating func appendInterpolation(_ markup: Markup) { self.source += markup.source }
        mutating func appendInterpolation(_ parts: [Markup]) {
            self.source += parts.map(\.source).joined(separator: "\n")
        }
        mutating func appendInterpolation(_ number: Int) { self.source += String(number) }
        /// Escaped for content and for attributes in either quotes.
        mutating func appendInterpolation(_ text: String) { self.source += Markup.escaped(text) }
        /// A coordinate: one place is a tenth of a pixel.
        mutating func appendInterpolation(_ coordinate: Double) {
            self.source += coordinate.isFinite ? String(format: "%.1f", coordinate) : "0"
        }
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            case "\n", "\t": escaped.unicodeScalars.append(scalar)
            default:
                let isControl = scalar.properties.generalCategory == .control
                escaped.unicodeScalars.append(isControl ? "\u{FFFD}" : scalar)
            }
        }
        return escaped
    }
}

extension ReportTable {
    /// Scrolls by itself where it is wider than the screen; the first column heads its row.
    func markup(caption: String) -> Markup {
        let heads = self.columns.map { column -> Markup in
            let unit: Markup = column.unit.isEmpty ? "" : "<small>\(column.unit)</small>"
            return "<th scope=\"col\"\(Self.alignment(column))>\(column.heading) \(unit)</th>"
        }
        let rows = self.rows.map { row -> Markup in
            let cells = row.indices.map { index -> Markup in
                index == 0
                    ? "<th scope=\"row\">\(row[index])</th>"
                    : "<td\(Self.alignment(self.columns[index]))>\(row[index])</td>"
            }
            return "<tr>\(cells)</tr>"
        }
        return """
            <div class="scroll" tabindex="0" role="region" aria-label="\(caption)"><table>
            <caption>\(caption)</caption>
            <thead><tr>\(heads)</tr></thead>
            <tbody>
            \(rows)
            </tbody></table></div>
            """
    }

    private static func alignment(_ column: Column) -> Markup { column.isNumber ? " class=\"n\"" : "" }
}
