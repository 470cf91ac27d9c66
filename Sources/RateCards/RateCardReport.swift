import Metering

/// What the command line shows of cards, as text; nothing here prints.
public enum RateCardReport {
    /// One stored card of `renderList`.
    public struct Listed: Sendable, Hashable {
        /// `card@version`
        public var identity: String
        /// Milliseconds since 1970, not before 1970.
        public var effectiveFromMilliseconds: Int64
        /// Hexadecimal.
        public var sha256: String
        public var isActive: Bool

        public init(identity: String, effectiveFromMilliseconds: Int64, sha256: String, isActive: Bool) {
            self.identity = identity
            self.effectiveFromMilliseconds = effectiveFromMilliseconds
            self.sha256 = sha256
            self.isActive = isActive
        }
    }

    /// One line per problem, errors first, otherwise in the order found; empty when there is none.
    public static func describe(problems: [RateCardProblem]) -> String {
        let order: [RateCardProblem.Severity] = [.error, .warning, .notice]
        let sorted = order.flatMap { severity in problems.filter { $0.severity == severity } }
        return sorted.map(\.description).joined(separator: "\n")
    }

    /// One line per change, by model, then the problems, if any.
    public static func renderDiff(_ diff: RateCardDiff) -> String {
        var lines = diff.review.map { row in
            switch row.change {
            case .added: "+ \(row.model)" + Self.prices(of: row.model, in: diff)
            case .removed: "- \(row.model)"
            case .changed(let path, let from, let to):
                "~ \(row.model) \(path): \(from) → \(to)" + (row.percent.map { " (\($0))" } ?? "")
                    + (row.margin.map { ", margin \($0)" } ?? "")
            }
        }
        if lines.isEmpty { lines.append("no change") }
        if !diff.problems.isEmpty { lines.append(self.describe(problems: diff.problems)) }
        return lines.joined(separator: "\n")
    }

    /// What a new row is sold for at the standard tier.
    private static func prices(of model: String, in diff: RateCardDiff) -> String {
        let standard = diff.margins.filter { $0.model == model && !$0.path.contains(".") }
        guard !standard.isEmpty else { return "" }
        return ": " + standard.map { "\($0.path) \($0.price)" }.joined(separator: ", ")
    }

    /// One line per model: margin of input and output, and the lowest margin of any of its rates. Fees of
    /// tools that every row has come first, under `(card)`.
    public static func renderMargins(_ diff: RateCardDiff) -> String {
        var lines: [String] = []
        for (model, margins) in self.grouped(diff.margins) {
            func text(_ path: String) -> String { margins.first { $0.path == path }?.text ?? "-" }
            // A rate that costs nothing and is free has no margin to speak of.
            let sold = margins.filter { $0.perMille != nil || $0.isNegative }
            let lowest = sold.min { ($0.perMille ?? .min, $0.path) < ($1.perMille ?? .min, $1.path) }
            let least = lowest.map { "\($0.text) (\($0.path))" } ?? "-"
            let shown = model == "(card)" ? "" : "input \(text("input")), output \(text("output")), "
            lines.append("\(model): \(shown)lowest \(least)")
        }
        return lines.joined(separator: "\n")
    }

    private static func grouped(_ margins: [RateCardMargin]) -> [(String, [RateCardMargin])] {
        Dictionary(grouping: margins, by: \.model).sorted { $0.key < $1.key }
    }

    /// Cards in the order given; `*` marks the active one.
    public static func renderList(_ cards: [Listed]) -> String {
        let rows = cards.map { card in
            let from = UTCInstant.text(milliseconds: max(0, card.effectiveFromMilliseconds))
            return "\(card.isActive ? "*" : " ")\t\(card.identity)\t\(from)\t\(card.sha256.prefix(12))"
        }
        return ([" \tcard\teffective_from\tsha256"] + rows).joined(separator: "\n")
    }

    /// What an import left out, could not express, and doubts: a line each.
    public static func describe(_ draft: RateCardImport) -> String {
        let sections = [
            ("left out", draft.leftOut), ("not expressed", draft.notExpressed),
            ("suspicious", draft.suspicious),
        ]
        return sections.flatMap { title, rows in rows.map { "\(title): \($0.model): \($0.reason)" } }
            .joined(separator: "\n")
    }
}
