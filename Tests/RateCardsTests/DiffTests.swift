import Metering
import Testing

@testable import RateCards

/// What a person is told before a card takes effect.
@Suite struct DiffTests {
    private static let before = """
        card: test
        version: "1"
        effective_from: 2026-01-01T00:00:00Z
        markup: "2.0"
        models:
          m:
            encoding: o200k_base
            endpoints: [chat, responses]
            context: 1000
            max_output: 100
            cost: {input: "1", cached_input: "0.1", output: "4"}
            tiers: {flex: {cost: {input: "0.5", output: "2"}}}
            long_context: {threshold: 500, cost: {input: "2", output: "6"}}
        tools: {web_search: {cost_per_1k_calls: "10"}}
        """

    private func diff(_ edits: (String, String)...) throws -> RateCardDiff {
        var text = Self.before.replacing("version: \"1\"", with: "version: \"2\"")
        for (from, to) in edits {
            try #require(text.contains(from))
            text = text.replacing(from, with: to)
        }
        return RateCardDiff(
            from: try RateCard(parsing: Self.before), to: try RateCard(parsing: text), nowMilliseconds: 0)
    }

    @Test(arguments: [
        ("output: \"4\"", "output: \"5\"", "~ m output: 8 → 10"),
        ("output: \"4\"", "output: \"5\"", "~ m cost.output: 4 → 5"),
        ("context: 1000", "context: 2000", "~ m context: 1000 → 2000"),
        ("max_output: 100", "max_output: 90", "~ m max_output: 100 → 90"),
        ("threshold: 500", "threshold: 600", "~ m long_context.threshold: 500 → 600"),
        ("o200k_base", "cl100k_base", "~ m encoding: o200k_base → cl100k_base"),
        (
            "[chat, responses]", "[responses, chat, completions]",
            "~ m endpoints: chat responses → chat responses completions"
        ),
        ("    context: 1000", "    on_disconnect: drain\n    context: 1000", "~ m on_disconnect: - → drain"),
        ("cost_per_1k_calls: \"10\"", "cost_per_1k_calls: \"25\"", "~ (card) cost.tools.web_search: 10 → 25"),
        (
            "cost_per_1k_calls: \"10\"", "cost_per_1k_calls: \"25\"",
            "~ (card) tools.web_search: 20000 → 50000"
        ),
        (
            "    context: 1000", "    tools: {file_search: {cost_per_1k_calls: \"2.5\"}}\n    context: 1000",
            "~ m cost.tools.file_search: - → 2.5"
        ),
        (
            "    context: 1000", "    regional_uplift: {eu: \"1.1\"}\n    context: 1000",
            "~ m regional_uplift.eu: - → 1.1"
        ),
        (
            "{input: \"1\",", "{input: \"1\", cache_write_12h: \"2\", image_input: \"3\",",
            "~ m cache_write_12h: - → 4"
        ),
        (
            "{input: \"1\",", "{input: \"1\", image_input: \"3\",", "~ m cost.image_cached_input: - → 3"
        ),
        ("{input: \"1\",", "{input: \"1\", image_input: \"3\",", "~ m image_output: - → 8"),
        ("output: \"4\"}", "output: \"4\", second: \"0.0001\"}", "~ m second: - → 0.2"),
        ("markup: \"2.0\"", "markup: \"3\"", "~ (card) markup: 2 → 3"),
        ("  m:", "  new:", "+ new"), ("  m:", "  new:", "- m"),
    ])
    func everyChangeIsALine(from: String, to: String, line: String) throws {
        let lines = RateCardReport.renderDiff(try self.diff((from, to))).split(separator: "\n").map(
            String.init)
        // Per cent, margin and what a new row is sold for stand behind it.
        let isThere = lines.contains {
            $0 == line || [" (", ", ", ": "].map { line + $0 }.contains(where: $0.hasPrefix)
        }
        #expect(isThere, "\(lines)")
    }

    @Test func aCardThatSaysTheSameChangesNothing() throws {
        let diff = try self.diff(
            ("[chat, responses]", "[responses, chat]"), ("output: \"4\"", "output: \"4.00\""))
        #expect(diff.changes.isEmpty && diff.problems.isEmpty, "\(diff.text)")
        #expect(RateCardReport.renderDiff(diff) == "no change")
    }

    @Test(
        arguments: [
            ("output: \"4\"", "output: \"20\"", nil),
            ("output: \"4\"", "output: \"20.1\"", "models.m.output"),
            ("output: \"4\"", "output: \"0.8\"", nil),
            ("output: \"4\"", "output: \"0.79\"", "models.m.output"),
            ("output: \"4\"", "output: \"0\"", "models.m.output"),
        ] as [(String, String, String?)])
    func aJumpIsMoreThanFiveTimes(from: String, to: String, path: String?) throws {
        let jumps = try self.diff((from, to)).problems.filter { $0.message.contains("5×") }.map(\.path)
        #expect(jumps == (path.map { [$0] } ?? []))
    }

    @Test func whatVanishesIsWarnedOf() throws {
        let diff = try self.diff(
            ("    tiers: {flex: {cost: {input: \"0.5\", output: \"2\"}}}\n", ""),
            ("[chat, responses]", "[chat]"))
        let paths = diff.problems.filter { $0.severity == .warning && $0.message.contains("vanishes") }.map(
            \.path)
        #expect(paths == ["models.m.tiers.flex", "models.m.endpoints"])
    }

    @Test func whatIsLegalButHardlyMeantIsWarnedOf() throws {
        let diff = try self.diff(
            ("threshold: 500", "threshold: 1000"),
            ("input: \"2\", output: \"6\"", "input: \"2\", output: \"3\""),
            ("o200k_base", "o300k_base"))
        let warnings = diff.problems.map(\.description).joined(separator: "\n")
        for expected in [
            "is never reached", "default output is cheaper than for short input", "bytes will bound",
        ] {
            #expect(warnings.contains(expected), "\(warnings)")
        }
    }

    @Test func marginsAreOfThePriceAndTheLowestIsNamed() throws {
        let diff = try self.diff(
            ("    cost: {input: \"1\"", "    price: {output: \"3\"}\n    cost: {input: \"1\""))
        #expect(
            RateCardReport.renderMargins(diff) == "(card): lowest 50.0 % (tools.web_search)\n"
                + "m: input 50.0 %, output -33.4 %, lowest -33.4 % (output)")
        #expect(diff.problems.map(\.path) == ["models.m.output"], "sold below cost")
    }

    /// Units whose cost and price are written differently must still be compared in one.
    @Test(
        arguments: [
            (
                "output: \"4\"}", "output: \"4\", second: \"0.1\"}\n    price: {second: \"99\"}",
                "models.m.second"
            ),
            (
                "cost_per_1k_calls: \"10\"", "cost_per_1k_calls: \"10\", price_per_1k_calls: \"9999\"",
                "tools.web_search"
            ),
            (
                "    context: 1000",
                "    tools: {file_search: {cost_per_1k_calls: \"2.5\", price_per_1k_calls: \"2499\"}}\n    context: 1000",
                "models.m.tools.file_search"
            ),
            (
                "output: \"4\"}", "output: \"4\", audio_output: \"9\"}\n    price: {audio_output: \"8.9\"}",
                "models.m.audio_output"
            ),
        ])
    func whatIsSoldBelowCostIsWarnedOf(from: String, to: String, path: String) throws {
        let diff = try self.diff((from, to))
        #expect(diff.problems.filter { $0.message.contains("below cost") }.map(\.path) == [path])
    }

    @Test func whatIsPricedAtOneTierOnlyIsWarnedOf() throws {
        let diff = try self.diff(
            ("{input: \"1\",", "{input: \"1\", audio_output: \"3\", cache_write_12h: \"2\", second: \"0.1\",")
        )
        let paths = diff.problems.map(\.path)
        #expect(paths == ["models.m.tiers.flex.cost", "models.m.tiers.flex.cost", "models.m.cost"])
    }

    @Test func aMediumCheaperThanTextIsFine() throws {
        let audio = "audio_input: \"0.5\", audio_output: \"0.5\""
        let diff = try self.diff(
            ("{input: \"1\",", "{\(audio), input: \"1\","),
            ("{input: \"0.5\",", "{\(audio), input: \"0.5\","),
            ("{input: \"2\",", "{\(audio), input: \"2\","))
        #expect(diff.problems.isEmpty, "\(diff.text)")
        let long = try self.diff(
            ("{input: \"1\",", "{\(audio), input: \"1\","),
            ("{input: \"0.5\",", "{\(audio), input: \"0.5\","),
            ("{input: \"2\",", "{audio_input: \"0.4\", input: \"2\","))
        #expect(
            long.problems.contains { $0.message == "default audio_input is cheaper than for short input" })
    }

    @Test func aThirdIsRoundedDownAndNothingIsDividedByZero() throws {
        func margin(_ price: String, _ cost: String) throws -> String {
            RateCardMargin(
                model: "m", path: "input", price: try ExactDecimal(parsing: price),
                cost: try ExactDecimal(parsing: cost)
            ).text
        }
        #expect(try margin("3", "2") == "33.3 %" && margin("0.0003", "0.0002") == "33.3 %")
        #expect(
            try margin("0", "0") == "free" && margin("0", "1") == "given away"
                && margin("1", "0") == "100.0 %")
    }

    @Test func problemsAreListedWorstFirst() {
        let problems = [
            RateCardProblem(.notice, "a", "x"), RateCardProblem(.error, "b", "y", line: 3),
            RateCardProblem(.warning, "c", "z"),
        ]
        #expect(
            RateCardReport.describe(problems: problems) == "error: line 3: b: y\nwarning: c: z\nnotice: a: x")
        #expect(RateCardReport.describe(problems: []).isEmpty)
    }

    @Test func theListMarksTheActiveCard() {
        let text = RateCardReport.renderList([
            .init(
                identity: "o@2", effectiveFromMilliseconds: 1_794_441_600_000, sha256: "0123456789abcdef",
                isActive: true),
            .init(identity: "o@1", effectiveFromMilliseconds: 0, sha256: "ff", isActive: false),
        ])
        #expect(
            text == " \tcard\teffective_from\tsha256\n*\to@2\t2026-11-12T00:00:00Z\t0123456789ab\n"
                + " \to@1\t1970-01-01T00:00:00Z\tff")
    }
}
