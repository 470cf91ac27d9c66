import Testing

@testable import LoadBench

/// Tables for people: aligned, with units, and plain about what failed.
@Suite struct ReportTextTests {
    private typealias Fixtures = ReportFixtures

    private let report = TextReport(baseline: "nginx")

    @Test func columnsAreAlignedUnderTheirHeadingsAndUnits() throws {
        let lines = self.report.text(Fixtures.eventful).split(separator: "\n").map(String.init)
        let table = lines[1...6]
        #expect(lines[0] == "chat-small: Small replies.")
        #expect(Set(table.map(\.count)).subtracting([lines[2].count]).count == 1, "\(table)")
        #expect(lines[1].hasPrefix("lane ") && lines[2].contains("µs/exch") && lines[2].contains("× nginx"))
        #expect(lines[3].allSatisfy { "─ ".contains($0) })
        #expect(table.suffix(3).map { $0.prefix { $0 != " " } } == ["direct", "nginx", "governed"])
    }

    @Test func theWholeTextOfAnEventfulScenarioIsAsReviewed() {
        let text = self.report.text(Fixtures.eventful)
        #expect(text.contains("governed  cut                 2\n"), "\(text)")
        // CPU seconds for 1,000 exchanges, and memory before, after and at its peak.
        #expect(text.contains(/governed  proxy +0\.050 +10\.0 +11\.0 +12\.0\n/), "\(text)")
        #expect(text.contains("governed  status 503          4\n"), "\(text)")
        let billing =
            "billing: OFF BY +24 millicredits (charged 1,200,024, due 1,200,000, 2,000 exchanges), verify clean"
        #expect(text.contains("governed  \(billing)\n"), "\(text)")
        #expect(text.hasSuffix("governed  fidelity: exact (1,000 replies compared)\n"), "\(text)")
    }

    @Test func aColumnThatSaysNothingIsLeftOut() {
        let text = self.report.text(Fixtures.scenario([Fixtures.run("governed", 1)]))
        #expect(!text.contains("gap") && !text.contains("per core") && !text.contains("added"), "\(text)")
        #expect(!text.contains("errors") && text.contains("total"))
    }

    @Test func aScenarioWithoutRunsSaysSo() {
        #expect(
            self.report.text(Fixtures.scenario([])) == "chat-small: Small replies.\nno lane was measured\n")
    }

    /// A lane's name comes from a file, an error's kind from a peer.
    @Test func nothingFromOutsideMovesTheCursor() {
        var run = Fixtures.run("la\u{1B}[2Jne\nx", 1)
        run.errors = ["status\r\u{202E}": 1]
        let text = self.report.text(Fixtures.scenario([run]))
        #expect(
            !text.unicodeScalars.contains { ["\u{1B}", "\r", "\u{202E}"].contains($0) },
            "\(text.debugDescription)")
        #expect(text.contains("la\u{FFFD}[2Jne\u{FFFD}x"))
    }

    struct Line: Sendable {
        var billing: BillingScore
        var standing: Verdict.Standing
        var text: String
    }

    @Test(arguments: [
        Line(
            billing: .init(charged: 1_234_567, due: 1_234_567, exchanges: 12_345), standing: .pass,
            text: "billing: exact (12,345 exchanges, 1,234,567 millicredits)"),
        Line(
            billing: .init(charged: 1, due: 3, exchanges: 1, verifyFindings: 0), standing: .fail,
            text: "billing: OFF BY −2 millicredits (charged 1, due 3, 1 exchange), verify clean"),
        Line(
            billing: .init(charged: 3, due: 3, exchanges: 1, verifyFindings: 2), standing: .fail,
            text: "billing: exact (1 exchange, 3 millicredits), VERIFY HAS 2 FINDINGS"),
        Line(
            billing: .init(charged: 0, due: 0, exchanges: 0), standing: .open,
            text: "billing: nothing was due"),
    ])
    func billingPassesOnlyWhenItIsExact(_ line: Line) {
        var run = Fixtures.run("governed", 1)
        run.billing = line.billing
        let verdicts = ScenarioSummary(Fixtures.scenario([run]), baseline: nil, direct: "direct").verdicts
        #expect(verdicts == [Verdict(lane: "governed", standing: line.standing, text: line.text)])
    }

    @Test(arguments: [
        (
            FidelityScore(compared: 2, differing: 0), Verdict.Standing.pass,
            "fidelity: exact (2 replies compared)"
        ),
        (FidelityScore(compared: 9, differing: 1), .fail, "fidelity: 1 OF 9 replies DIFFER"),
        (FidelityScore(compared: 0, differing: 0), .open, "fidelity: nothing was compared"),
    ])
    func comparingNothingIsNoPass(_ score: FidelityScore, _ standing: Verdict.Standing, _ text: String) {
        var run = Fixtures.run("governed", 1)
        run.fidelity = score
        let verdicts = ScenarioSummary(Fixtures.scenario([run]), baseline: nil, direct: "direct").verdicts
        #expect(verdicts == [Verdict(lane: "governed", standing: standing, text: text)])
    }

    /// Grown since before the warm-up: what each round takes once more is a leak, and what the first one took is not given
    /// back.
    @Test(arguments: [
        (
            9_000_000, 10_000_000, Verdict.Standing.pass,
            "memory: 9.0 MB more than before the first exchange (at most 10.0)"
        ),
        (11_000_000, 10_000_000, .fail, "memory: GREW BY 11.0 MB (at most 10.0)"),
    ])
    func memoryMustComeBack(_ grown: Int, _ most: Int, _ standing: Verdict.Standing, _ text: String) {
        var runs = [0, 1].map { Fixtures.run("governed", $0) }
        let start = 50_000_000
        runs[0].processes = [
            ProcessUse(
                name: "proxy", cpuSeconds: 1, residentBefore: start, residentAfter: start * 2,
                residentPeak: start * 2)
        ]
        runs[1].processes = [
            ProcessUse(
                name: "proxy", cpuSeconds: 1, residentBefore: start * 2, residentAfter: start + grown,
                residentPeak: start * 2)
        ]
        var scenario = Fixtures.scenario(runs)
        #expect(scenario.memoryGrowth(lane: "governed") == nil)
        scenario.memoryGrowthMax = most
        #expect(scenario.memoryGrowth(lane: "nginx") == nil)
        let verdicts = ScenarioSummary(scenario, baseline: nil, direct: "direct").verdicts
        #expect(verdicts == [Verdict(lane: "governed", standing: standing, text: text)])
    }

    @Test(arguments: [
        (0, "0"), (0.0042, "0.004"), (0.99949, "0.999"), (0.9996, "1.00"), (9.994, "9.99"), (9.996, "10.0"),
        (99.96, "100"), (1234.5678, "1,235"), (-12.34, "−12.3"), (-0.0001, "0.000"), (.nan, "–"),
        (.infinity, "–"),
    ])
    func figuresHaveThreeDigitsThatCount(_ value: Double, _ text: String) {
        #expect(Figures.short(value) == text)
    }
}
