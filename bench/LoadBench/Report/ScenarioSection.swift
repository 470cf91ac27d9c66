/// A scenario on the page: what it showed as tables, as plots, and as lines that pass or fail.
struct ScenarioSection: Sendable {
    /// From 1; makes ids of the document.
    let number: Int
    let summary: ScenarioSummary
    /// One per lane of the summary, in its order.
    let marks: [LaneMark]

    var markup: Markup {
        let scenario = self.summary.scenario
        let figures: Markup = self.figures.isEmpty ? "" : "<div class=\"plots\">\(self.figures)</div>"
        return """
            <section id="s\(self.number)" aria-labelledby="s\(self.number)-h">
            <h2 id="s\(self.number)-h">\(scenario.name)</h2>
            <p class="summary">\(scenario.summary)</p>
            \(self.verdicts)
            \(self.failures)
            \(self.table)
            \(figures)
            \(self.errors)
            \(self.processes)
            \(self.file)
            </section>
            """
    }

    private var table: Markup {
        guard !self.summary.lanes.isEmpty else { return "<p>No lane was measured.</p>" }
        return self.summary.table.markup(caption: "Medians over rounds")
    }

    private var verdicts: Markup {
        let lines = self.summary.verdicts.map { verdict -> Markup in
            let (kind, word): (Markup, Markup)
            switch verdict.standing {
            case .pass: (kind, word) = ("pass", "✓ pass")
            case .fail: (kind, word) = ("fail", "✗ FAIL")
            case .open: (kind, word) = ("open", "– open")
            }
            return "<li class=\"\(kind)\"><b>\(word)</b> <span>\(verdict.lane)</span> \(verdict.text)</li>"
        }
        return lines.isEmpty ? "" : "<ul class=\"verdicts\" aria-label=\"Billing and fidelity\">\(lines)</ul>"
    }

    /// Why the run failed.
    private var failures: Markup {
        let lines = self.summary.scenario.failures.map {
            "<li class=\"fail\"><b>✗ found</b> \($0.text)</li>" as Markup
        }
        return lines.isEmpty ? "" : "<ul class=\"verdicts\" aria-label=\"Findings\">\(lines)</ul>"
    }

    private var figures: [Markup] {
        let scenario = self.summary.scenario
        let id = "s\(self.number)"
        let isStreaming = scenario.runs.contains { $0.gap.count > 0 }
        let latency = [
            ("total", "Total time", \RunResult.total), ("first", "First byte", \RunResult.firstByte),
            ("gap", "Gap between chunks", \RunResult.gap),
        ].prefix(isStreaming ? 3 : 1).map { name, title, distribution in
            LatencyPlot(
                id: "\(id)-\(name)", title: title, scenario: scenario, marks: self.marks, distribution)?
                .figure
        }
        let cpu = CPUPlot(id: "\(id)-cpu", summary: self.summary, marks: self.marks)?.figure
        let rate = ThroughputPlot(id: "\(id)-rate", scenario: scenario, marks: self.marks)?.figure
        let memory = MemoryPlot(id: "\(id)-memory", scenario: scenario, marks: self.marks)?.figure
        return ([cpu] + latency + [rate, memory]).compactMap(\.self)
    }

    private var errors: Markup {
        self.summary.errors.rows.isEmpty
            ? "" : self.summary.errors.markup(caption: "Errors by kind, all rounds")
    }

    private var processes: Markup {
        guard !self.summary.processes.rows.isEmpty else { return "" }
        return """
            <details><summary>Processes: CPU and memory</summary>
            \(self.summary.processes.markup(caption: "CPU seconds for 1,000 exchanges (of streams: chunks), and memory of its own"))
            </details>
            """
    }

    private var file: Markup {
        guard !self.summary.scenario.yaml.isEmpty else { return "" }
        return """
            <details><summary>Scenario file</summary>
            <pre tabindex="0"><code>\(self.summary.scenario.yaml)</code></pre></details>
            """
    }
}
