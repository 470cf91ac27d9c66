/// One file that opens without a network: style and drawings are inside, and there is no script.
/// The same suite gives the same bytes.
public struct HTMLReport: Sendable {
    let baseline: String?
    let direct: String

    public init(baseline: String?, direct: String = "direct") {
        self.baseline = baseline
        self.direct = direct
    }

    public func text(_ suite: SuiteResult) -> String {
        let summaries = suite.scenarios.map {
            ScenarioSummary($0, baseline: self.baseline, direct: self.direct)
        }
        let sections = summaries.enumerated().map { index, summary in
            ScenarioSection(number: index + 1, summary: summary, marks: Self.marks(of: summary, in: suite))
                .markup
        }
        let page: Markup = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>tollgate-bench, \(suite.startedAt)</title>
            <style>
            \(Self.style)
            </style>
            </head>
            <body>
            <header>
            <h1>tollgate-bench</h1>
            <p class="when"><time datetime="\(suite.startedAt)">\(suite.startedAt)</time></p>
            \(Self.facts(suite.machine))
            </header>
            <main>
            \(Self.overview(summaries))
            \(sections)
            </main>
            <footer>
            \(self.footer)
            </footer>
            </body>
            </html>

            """
        return page.source
    }

    /// A lane looks the same in every scenario.
    private static func marks(of summary: ScenarioSummary, in suite: SuiteResult) -> [LaneMark] {
        var seen: Set<String> = []
        let lanes = suite.scenarios.flatMap(\.measuredLanes).filter { seen.insert($0).inserted }
        return summary.lanes.map { lane in
            LaneMark(lane: lane.lane, index: lanes.firstIndex(of: lane.lane) ?? 0)
        }
    }

    private static func facts(_ machine: Machine) -> Markup {
        let rows = MachineFacts(machine).rows.map { row -> Markup in
            "<div><dt>\(row.name)</dt><dd>\(row.value)</dd></div>"
        }
        return "<dl class=\"facts\">\(rows)</dl>"
    }

    private static func overview(_ summaries: [ScenarioSummary]) -> Markup {
        let rows = summaries.enumerated().map { index, summary -> Markup in
            let failed = summary.lanes.reduce(0) { $0 + $1.failed }
            return """
                <li><a href="#s\(index + 1)">\(summary.scenario.name)</a>
                <span>\(Figures.count(failed, "failed exchange", "failed exchanges"))</span>
                \(Self.badge(summary))</li>
                """
        }
        return "<nav aria-label=\"Scenarios\"><ul class=\"overview\">\(rows)</ul></nav>"
    }

    /// The worst of them.
    private static func badge(_ summary: ScenarioSummary) -> Markup {
        let verdicts = summary.verdicts
        let failing = verdicts.filter { $0.standing == .fail }.count
        if failing > 0 {
            return "<b class=\"fail\">✗ \(Figures.count(failing, "check fails", "checks fail"))</b>"
        }
        let found = summary.scenario.failures.count
        if found > 0 { return "<b class=\"fail\">✗ \(Figures.count(found, "finding", "findings"))</b>" }
        let passing = verdicts.filter { $0.standing == .pass }.count
        return passing > 0
            ? "<b class=\"pass\">✓ \(Figures.count(passing, "check passes", "checks pass"))</b>"
            : "<b class=\"open\">– nothing to check</b>"
    }

    private var footer: Markup {
        let baseline = self.baseline ?? "the baseline"
        return """
            <p>Figures are medians over rounds, in parentheses the extremes of any round. CPU and peak are the proxy’s. \
            “per core” is what a CPU second serves over what it serves with \(baseline), of the medians, with the extremes of single rounds: above 1 is less CPU. \
            “added” is over the lane \(self.direct) of the same round. Times are from when an exchange was to begin. \
            The warm-up does not count.</p>
            """
    }
}
