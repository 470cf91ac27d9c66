import Metering
import Testing

@testable import RateCards

/// Whoever mends a card is told the line, also of what is legal but hardly meant.
@Suite struct LineTests {
    private static let text = """
        card: test
        version: "1"
        effective_from: 2026-01-01T00:00:00Z
        markup: "2"
        models:
          gpt-4:
            encoding: o200k_base
            endpoints: [chat]
            context: 1000
            max_output: 100
            cost: {input: "1", output: "4"}
            price:
              input: "0.5"
            tiers:
              batch: {cost: {input: "9", output: "9"}}
        """

    @Test(
        arguments: [
            ("version", 2), ("models.gpt-4.encoding", 7), ("models.gpt-4.input", 13),
            ("models.gpt-4.output", 11),
            ("models.gpt-4.cost", 11), ("models.gpt-4.tiers.batch.input", 15),
            ("models.gpt-4.long_context.threshold", 6), ("models.gpt-4.tiers.flex", 14),
            // Of another model, which is not here, and of no one place.
            ("models.gpt-4.1", nil), ("models.gpt-4.1.output", nil), ("models.o3", nil),
            ("tools.web_search", nil), ("(file)", nil),
        ] as [(String, Int?)])
    func aPathHasALine(path: String, line: Int?) {
        #expect(RateCardLines(of: Self.text).line(of: path) == line)
    }

    @Test func warningsOfADiffHaveTheirLines() throws {
        var diff = RateCardDiff(from: nil, to: try RateCard(parsing: Self.text), nowMilliseconds: .max)
        #expect(diff.problems.allSatisfy { $0.line == nil } && diff.problems.count >= 2)
        diff.locateProblems(in: Self.text)
        let lines = Dictionary(
            diff.problems.map { ($0.path, $0.line) }, uniquingKeysWith: { first, _ in first })
        #expect(lines["models.gpt-4.input"] == 13 && lines["effective_from"] == 3, "\(lines)")
        #expect(
            RateCardReport.describe(problems: diff.problems).contains(
                "warning: line 13: models.gpt-4.input: is sold below cost"))
    }

    @Test func whatIsNoCardHasNoLines() {
        #expect(RateCardLines(of: "a: [").line(of: "a") == nil)
        #expect(RateCardLines(of: "").line(of: "version") == nil)
    }
}
