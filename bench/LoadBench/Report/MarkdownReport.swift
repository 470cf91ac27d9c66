/// What `bench/results/DATE.md` keeps: figures without conclusions, which whoever reviews them adds.
public struct MarkdownReport: Sendable {
    private let baseline: String?
    private let direct: String

    public init(baseline: String?, direct: String = "direct") {
        self.baseline = baseline
        self.direct = direct
    }

    public func text(_ suite: SuiteResult) -> String {
        ([Self.head(suite)] + suite.scenarios.map(self.section)).joined(separator: "\n\n") + "\n"
    }

    private static func head(_ suite: SuiteResult) -> String {
        let facts = MachineFacts(suite.machine).rows.map { "- \($0.name): \(Self.escaped($0.value))" }
        return """
            # \(Self.escaped(suite.startedAt)): tollgate-bench

            \(facts.joined(separator: "\n"))

            Figures are medians over rounds; in parentheses the extremes of any round. CPU and peak are the proxy's.
            "per core" is what a CPU second serves over the baseline's, of the medians, with the extremes of single rounds: above 1 is less CPU. "added"
            is over the direct lane of the same round.
            """
    }

    private func section(_ scenario: ScenarioResult) -> String {
        let summary = ScenarioSummary(scenario, baseline: self.baseline, direct: self.direct)
        var parts = ["## \(Self.escaped(scenario.name))"]
        if !scenario.summary.isEmpty { parts.append(Self.escaped(scenario.summary)) }
        parts.append(summary.lanes.isEmpty ? "No lane was measured." : Self.table(summary.table))
        if !summary.processes.rows.isEmpty { parts.append("Processes:\n\n" + Self.table(summary.processes)) }
        if !summary.errors.rows.isEmpty { parts.append("Errors by kind:\n\n" + Self.table(summary.errors)) }
        if !summary.verdicts.isEmpty {
            parts.append(
                summary.verdicts.map { "- \(Self.escaped($0.lane)): \(Self.emphasized($0))" }.joined(
                    separator: "\n"))
        }
        let failures = scenario.failures.map { "- **found: \(Self.escaped($0.text))**" }
        if !failures.isEmpty { parts.append(failures.joined(separator: "\n")) }
        return parts.joined(separator: "\n\n")
    }

    private static func emphasized(_ verdict: Verdict) -> String {
        verdict.standing == .fail ? "**\(self.escaped(verdict.text))**" : self.escaped(verdict.text)
    }

    private static func table(_ table: ReportTable) -> String {
        let heads = table.columns.map { $0.unit.isEmpty ? $0.heading : "\($0.heading) (\($0.unit))" }
        let rule = table.columns.map { $0.isNumber ? "---:" : "---" }
        return ([heads.map(Self.escaped), rule] + table.rows.map { $0.map(Self.escaped) })
            .map { "| \($0.joined(separator: " | ")) |" }.joined(separator: "\n")
    }

    /// Text that Markdown shows as it is, on one line and in one cell.
    static func escaped(_ text: String) -> String {
        text.onOneLine.reduce(into: "") { escaped, character in
            if "\\`*_[]<>&|#~".contains(character) { escaped.append("\\") }
            escaped.append(character)
        }
    }
}
