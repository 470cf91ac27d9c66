import Foundation
import Testing

@testable import LoadBench

/// One file, opened from a disk years later, made of names that others chose.
@Suite struct ReportHTMLTests {
    private typealias Fixtures = ReportFixtures

    private let report = HTMLReport(baseline: "nginx")

    /// A browser mends what is not, and each in its own way.
    @Test func elementsAreClosedInOrder() {
        let page = self.report.text(Fixtures.eventful)
        var open: [Substring] = []
        for match in page.matches(of: /<(\/?)([a-z0-9]+)(?:\s[^<>]*?)?(\/?)>/) {
            let (isEnd, name, isEmpty) = (!match.1.isEmpty, match.2, !match.3.isEmpty)
            if isEmpty || name == "meta" { continue }
            if !isEnd { open.append(name) } else { #expect(open.popLast() == name) }
        }
        #expect(open.isEmpty)
    }

    @Test func theSameSuiteGivesTheSameBytes() throws {
        let suite = Fixtures.eventful
        let again = try JSONDecoder().decode(SuiteResult.self, from: JSONEncoder().encode(suite))
        #expect(self.report.text(suite) == self.report.text(again))
    }

    @Test func nothingIsLoadedAndNothingRuns() {
        let page = self.report.text(Fixtures.eventful)
        for mark in ["http:", "https:", "src=", "url(", "@import", "<script", "<link", "javascript:", " on"] {
            // Words may begin with "on": an attribute has an equals sign behind it.
            let found = mark == " on" ? page.contains(/\son[a-z]+=/) : page.contains(mark)
            #expect(!found, "\(mark)")
        }
    }

    @Test func whatComesFromOutsideIsText() {
        let evil = "\"'><script>alert(1)</script>&\u{1B}"
        var run = Fixtures.run(evil, 1, cpuSeconds: 0.1)
        run.errors = [evil: 1]
        run.gap = run.total
        run.processes[0].name = evil
        run.billing = BillingScore(charged: 1, due: 1, exchanges: 1)
        let scenario = ScenarioResult(name: evil, summary: evil, yaml: "</code>" + evil, runs: [run])
        var suite = Fixtures.suite([scenario])
        suite.startedAt = evil
        suite.machine.cpu = evil
        suite.machine.versions = [evil]
        let page = HTMLReport(baseline: evil, direct: evil).text(suite)
        #expect(!page.contains("<script") && !page.contains("'>") && !page.contains("\u{1B}"))
        #expect(page.contains("&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;\u{FFFD}"))
        #expect(page.contains("&lt;/code&gt;"))
    }

    /// Without a title and words, a drawing is nothing to those who do not see it.
    @Test func everyDrawingIsToldInWords() {
        let page = self.report.text(Fixtures.eventful)
        let figures = page.matches(of: /<figure>/).count
        #expect(
            figures == 5, "CPU, total, gap, throughput, memory; nobody saw a first byte")
        let drawings = page.matches(of: /role="img"\s+aria-labelledby="([a-z0-9-]+) ([a-z0-9-]+)"/)
        #expect(drawings.count == figures)
        for drawing in drawings {
            #expect(
                page.contains("<title id=\"\(drawing.1)\">") && page.contains("<desc id=\"\(drawing.2)\">"))
        }
        #expect(page.contains("governed: 50 % within 1.50 ms"))
    }

    @Test func idsAreUnique() {
        let suite = Fixtures.suite(Fixtures.eventful.scenarios + Fixtures.eventful.scenarios)
        let ids = self.report.text(suite).matches(of: /\sid="([^"]+)"/).map { String($0.1) }
        #expect(ids.count > 20 && Set(ids).count == ids.count)
    }

    @Test func everyTableHasACaption() {
        let page = self.report.text(Fixtures.eventful)
        #expect(page.matches(of: /<table>\s*<caption>/).count == page.matches(of: /<table/).count)
    }

    @Test func failuresAreWordsToo() {
        let page = self.report.text(Fixtures.eventful)
        #expect(page.contains("✗ FAIL</b> <span>governed</span> billing: OFF BY +24 millicredits"))
        #expect(page.contains("✓ pass</b> <span>governed</span> fidelity: exact"))
        #expect(page.contains("✗ 1 check fails"))
    }

    /// Whoever reads the report and not the exit code is told the same.
    @Test func whatMakesTheRunFailIsOnThePage() {
        var run = Fixtures.run("governed", 1)
        #expect(self.report.text(Fixtures.suite([Fixtures.scenario([run])])).contains("– nothing to check"))
        run.otherErrors = ["status 503": 7]
        run.fidelity = FidelityScore(compared: 500, differing: 0)
        var scenario = Fixtures.scenario([run])
        scenario.findings = ["I1: an account is short"]
        let page = self.report.text(Fixtures.suite([scenario]))
        #expect(page.contains("✗ 2 findings</b>") && !page.contains("✓ 1 check passes"))
        #expect(page.contains("<b>✗ found</b> I1: an account is short</li>"))
        #expect(page.contains("before or after the measured part: 7 × status 503</li>"))
    }

    /// Books that could not be judged are no books that are in order.
    @Test func booksThatNobodyCouldJudgeAreNamed() {
        var run = Fixtures.run("governed", 1)
        run.unpriced = 3
        let page = self.report.text(Fixtures.suite([Fixtures.scenario([run])]))
        #expect(page.contains("billing: not judged in rounds with 3 exchanges whose cost nobody"))
    }

    @Test func aScenarioWithoutRunsIsAPageToo() {
        let page = self.report.text(Fixtures.suite([Fixtures.scenario([])]))
        #expect(page.contains("No lane was measured.") && !page.contains("<figure>"))
        #expect(page.contains("✗ 1 finding</b>") && page.contains("nothing was measured"))
        #expect(page.contains("<pre tabindex=\"0\"><code>name: chat-small\n</code>"))
    }
}
