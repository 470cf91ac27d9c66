/// The tables for a terminal.
public struct TextReport: Sendable {
    private let baseline: String?
    private let direct: String

    public init(baseline: String?, direct: String = "direct") {
        self.baseline = baseline
        self.direct = direct
    }

    /// Ends with a newline, scenarios have an empty line between them.
    public func text(_ suite: SuiteResult) -> String {
        suite.scenarios.map(self.text).joined(separator: "\n")
    }

    /// A table; below it CPU and memory by process, errors by kind where there are some, then billing and fidelity. For one
    /// scenario as it ends.
    public func text(_ scenario: ScenarioResult) -> String {
        let summary = ScenarioSummary(scenario, baseline: self.baseline, direct: self.direct)
        var lines = [
            [scenario.name, scenario.summary].filter { !$0.isEmpty }.joined(separator: ": ").onOneLine
        ]
        lines += summary.lanes.isEmpty ? ["no lane was measured"] : Self.lines(summary.table)
        lines += summary.processes.rows.isEmpty ? [] : [""] + Self.lines(summary.processes)
        lines += summary.errors.rows.isEmpty ? [] : [""] + Self.lines(summary.errors)
        lines += summary.verdicts.isEmpty ? [] : [""] + Self.lines(summary.verdicts)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ verdicts: [Verdict]) -> [String] {
        let width = verdicts.map { $0.lane.onOneLine.count }.max() ?? 0
        return verdicts.map { Self.padded($0.lane.onOneLine, to: width, isNumber: false) + "  " + $0.text }
    }

    private static func lines(_ table: ReportTable) -> [String] {
        let heads = [table.columns.map(\.heading), table.columns.map(\.unit)].filter {
            !$0.allSatisfy(\.isEmpty)
        }
        let rows = (heads + table.rows).map { $0.map(\.onOneLine) }
        let widths = table.columns.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in
            row.indices.map { Self.padded(row[$0], to: widths[$0], isNumber: table.columns[$0].isNumber) }
                .joined(separator: "  ").trimmingEnd
        }
        lines.insert(
            widths.map { String(repeating: "─", count: $0) }.joined(separator: "  "), at: heads.count)
        return lines
    }

    private static func padded(_ text: String, to width: Int, isNumber: Bool) -> String {
        let space = String(repeating: " ", count: max(0, width - text.count))
        return isNumber ? space + text : text + space
    }
}

extension String {
    fileprivate var trimmingEnd: String {
        String(self.reversed().drop { $0 == " " }.reversed())
    }
}
