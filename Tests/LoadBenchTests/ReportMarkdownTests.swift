import Testing

@testable import LoadBench

/// What is kept in git and reviewed.
@Suite struct ReportMarkdownTests {
    private typealias Fixtures = ReportFixtures

    private let report = MarkdownReport(baseline: "nginx")

    @Test func theMachineComesBeforeTheFigures() throws {
        let text = self.report.text(Fixtures.eventful)
        #expect(
            text.hasPrefix("# 2026-11-28T09:00:00Z: tollgate-bench\n\n- Processor: A processor\n- Cores: 2\n")
        )
        #expect(
            text.contains(
                "- Layout: not pinned\n- Load before: 0.25\n- Versions: tollgate 1.2.3, nginx/1.22.1\n"))
        #expect(
            text.contains(
                "\n## chat-small\n\nSmall replies.\n\n| lane | rate (1/s) | CPU (µs/exch) | per core (× nginx) |"
            ))
        #expect(
            text.contains("\n| nginx | 100 | 40.0 | 1.00 |")
                && text.contains("\n| governed | 100 | 50.0 | 0.80 |"))
        #expect(text.contains("\n- governed: **billing: OFF BY +24 millicredits"))
        #expect(text.contains("compared)\n\n- **found: governed, warm-up: charged 600012, due 600000**\n"))
        #expect(text.contains("\n- **found: governed, round 1: 3 of 1000 exchanges failed**\n"))
    }

    @Test func aRatioComesWithItsExtremes() {
        let runs = [(1, 0.05), (2, 0.08), (3, 0.04)].flatMap { (round, seconds) -> [RunResult] in
            [
                Fixtures.run("nginx", round, cpuSeconds: 0.04),
                Fixtures.run("governed", round, cpuSeconds: seconds),
            ]
        }
        let text = self.report.text(Fixtures.suite([Fixtures.scenario(runs)]))
        #expect(text.contains("| governed | 100 | 50.0 | 0.80 (0.50–1.00) |"), "\(text)")
    }

    @Test func aNameCannotBreakATable() {
        let text = self.report.text(Fixtures.suite([Fixtures.scenario([Fixtures.run("a|b\n<i>*", 1)])]))
        #expect(text.contains("\n| a\\|b\u{FFFD}\\<i\\>\\* | 100 |"), "\(text)")
    }

    @Test func everyRowHasAsManyCellsAsItsHeading() {
        let tables = self.report.text(Fixtures.eventful).split(separator: "\n\n").filter { $0.hasPrefix("|") }
        #expect(tables.count == 3)
        for table in tables {
            let cells = table.split(separator: "\n").map { $0.filter { $0 == "|" }.count }
            #expect(Set(cells).count == 1, "\(table)")
        }
    }

    @Test func theSameSuiteGivesTheSameText() {
        #expect(self.report.text(Fixtures.eventful) == self.report.text(Fixtures.eventful))
    }
}
