import Metering
import Testing

@testable import RateCards

/// What a card may not say, and where the complaint points.
@Suite struct StrictnessTests {
    private func problems(_ edits: (String, String)...) throws -> [RateCardProblem] {
        var text = ParsingTests.good
        for (from, to) in edits {
            try #require(text.contains(from))
            text = text.replacing(from, with: to)
        }
        do {
            _ = try RateCard(parsing: text)
            return []
        } catch let invalid as RateCardInvalid {
            return invalid.problems
        }
    }

    /// Ten levels of ten aliases: who walks them has 10^10 nodes to look at, and the parser does.
    @Test func anchorsAreRefusedBeforeAnybodyWalksThem() throws {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<10 {
            bomb +=
                "a\(level): &a\(level) ["
                + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        for text in [
            bomb + "*a9 : 1\n", "card: c\nmodels: {m: &x 1}", "- [\"a\",&x 1]", "{\"a\":&x 1}",
            "card: c # &x",
        ] {
            let invalid = try #require(throws: RateCardInvalid.self) { try RateCard(parsing: text) }
            #expect(
                invalid.problems.count == 1 && invalid.problems[0].message.contains("anchor"),
                "\(text.prefix(40))")
        }
        #expect(
            try #require(throws: RateCardInvalid.self) { try RateCard(parsing: "a: 1\nb: &x 1") }.problems[0]
                .line == 2)
        #expect(try self.problems(("card:", "# R&D, a & b, x=1&y=2\ncard:")).isEmpty)
    }

    @Test(
        arguments: [
            // An unquoted float, whatever it looks like.
            ("output: \"0.60\"", "output: 0.60", 11, "models.m.cost.output", "quoted"),
            ("output: \"0.60\"", "output: 6e-1", 11, "models.m.cost.output", "quoted"),
            ("output: \"0.60\"", "output: 1", 11, "models.m.cost.output", "quoted"),
            ("output: \"0.60\"", "output: \"0,60\"", 11, "models.m.cost.output", "not a decimal"),
            ("output: \"0.60\"", "output: \"0.0000001\"", 11, "models.m.cost.output", "pico-USD"),
            ("output: \"0.60\"", "output: \"1000000.1\"", 11, "models.m.cost.output", "beyond 1,000,000"),
            (
                "output: \"0.60\"", "output: \"999999999999999999999999999999\"", 11, "models.m.cost.output",
                "beyond"
            ),
            // 0.075 × it needs thirteen digits.
            (
                "markup: \"2.0\"", "markup: \"1.0000000001\"", 11, "models.m.cost.cached_input",
                "times the markup"
            ),
            (
                "markup: \"2.0\"", "markup: \"999999999999999999999999999999\"", 11, "models.m.cost.input",
                "times the markup"
            ),
            ("markup: \"2.0\"", "markup: \"-1\"", 4, "markup", "negative"),
            (", output: \"0.60\"", "", 11, "models.m.cost.output", "is missing"),
            ("cost: {", "price: {cached: \"1\"}\n    cost: {", 11, "models.m.price", "unknown key 'cached'"),
            (
                "cost: {", "price: {input: \"0.0000000000001\"}\n    cost: {", 11, "models.m.price.input",
                "atto-USD"
            ),
            ("cost: {", "tiers: {fast: {}}\n    cost: {", 11, "models.m.tiers.fast", "flex, priority, batch"),
            (
                "cost: {", "tiers: {flex: {price: {input: \"1\"}}}\n    cost: {", 11,
                "models.m.tiers.flex.cost", "missing"
            ),
            (
                "cost: {", "long_context: {cost: {input: \"1\", output: \"1\"}}\n    cost: {", 11,
                "models.m.long_context.threshold", "missing"
            ),
            ("max_output: 100", "max_output: 0", 10, "models.m.max_output", "positive"),
            ("context: 1000", "context: +5", 9, "models.m.context", "whole number"),
            ("context: 1000", "context: 1_000", 9, "models.m.context", "whole number"),
            ("[chat]", "[chat, chat]", 8, "models.m.endpoints", "twice"),
            ("card: test", "card: a/b", 1, "card", "name of letters"),
            ("  m:", "  m n:", 6, "models", "not a name"),
        ] as [(String, String, Int, String, String)])
    func theComplaintNamesLinePathAndReason(
        from: String, to: String, line: Int, path: String, reason: String
    ) throws {
        let problems = try self.problems((from, to))
        let matching = problems.filter { $0.path == path && $0.line == line && $0.message.contains(reason) }
        #expect(matching.count == 1, "\(problems)")
    }

    /// Exactness used to be checked only after everything else was right; and one amount at a time.
    @Test func allKindsOfMistakesComeTogether() throws {
        let problems = try self.problems(
            ("input: \"0.15\"", "input: \"0.0000001\""), ("output: \"0.60\"", "output: \"0.0000002\""),
            ("context: 1000", "context: x"), ("card: test", "crad: test"))
        #expect(
            Set(problems.map(\.path)) == [
                "(top)", "card", "models.m.cost.input", "models.m.cost.output", "models.m.context",
            ])
        #expect(problems.count == 5, "\(problems)")
    }

    @Test(arguments: [
        "card: a\ncard: b\n", "card: a\n---\ncard: b\n", "a: {b\n", "a: *nowhere\n", "\u{0}", "\t- x",
    ])
    func whatYAMLRefusesIsOneProblemOfTheFile(text: String) {
        do {
            _ = try RateCard(parsing: text)
            Issue.record("was accepted")
        } catch let invalid as RateCardInvalid {
            #expect(invalid.problems.map(\.path) == ["(file)"])
            #expect(invalid.problems.allSatisfy { !$0.message.contains("\n") })
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test func embeddingsNeedNoOutput() throws {
        #expect(try self.problems(("[chat]", "[embeddings]"), ("max_output: 100", "max_output: 0")).isEmpty)
    }

    @Test func aNamedPriceReplacesOnlyItsKeys() throws {
        let text = ParsingTests.good.replacing("cost: {", with: "price: {output: \"7\"}\n    cost: {")
        let row = try #require(try RateCard(parsing: text).priceTable(mode: .exact).row(for: "m"))
        let price = try #require(row.tiers[.default]?.price)
        #expect(price.output == 7_000_000_000_000 && price.input == 300_000_000_000)
        #expect(
            price.cachedInput == 150_000_000_000, "0.075 × 2: input is not named, so the markup still rules")
    }

    /// A price that is named needs no exact product of cost and markup.
    @Test func aNamedPriceTakesTheMarkupsPlace() throws {
        #expect(try !self.problems(("markup: \"2.0\"", "markup: \"1.0000000001\"")).isEmpty)
        let price = "price: {input: \"1\", output: \"1\"}\n    cost: {"
        #expect(
            try self.problems(("markup: \"2.0\"", "markup: \"1.0000000001\""), ("cost: {", price)).isEmpty)
    }
}

@Suite struct CanonicalTextTests {
    @Test(arguments: ["ratecards/openai-2026-11-12.yaml", "ratecards/scholarlink-2025.yaml"])
    func theCanonicalTextIsTheSameCard(path: String) throws {
        let card = try RateCard(parsing: try Checkout.text(path))
        let again = try RateCard(parsing: card.canonicalText)
        #expect(again == card && again.canonicalBytes == card.canonicalBytes)
    }

    @Test func spellingDoesNotMatter() throws {
        let plain = try RateCard(parsing: ParsingTests.good)
        let other = ParsingTests.good.replacing("\"0.60\"", with: "'0.6'").replacing(
            "[chat]", with: "\n      - chat"
        )
        .replacing("card: test", with: "# a comment\ncard: 'test'")
        #expect(try RateCard(parsing: other).canonicalBytes == plain.canonicalBytes)
        let dearer = try RateCard(parsing: ParsingTests.good.replacing("\"0.60\"", with: "\"0.61\""))
        #expect(dearer.canonicalBytes != plain.canonicalBytes)
    }

    @Test(arguments: [
        "1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "2026-11-12T00:00:00Z", "2100-03-01T12:00:01Z",
        "9999-12-31T23:59:59Z",
    ])
    func instantsArePrintedAsRead(text: String) throws {
        #expect(UTCInstant.text(milliseconds: try #require(UTCInstant.milliseconds(parsing: text))) == text)
    }

    @Test(arguments: [
        "2026-11-12", "2026-13-01T00:00:00Z", "2100-02-29T00:00:00Z", "2026-11-12T00:00:00+01:00",
    ])
    func whatIsNoInstantIsRefused(text: String) { #expect(UTCInstant.milliseconds(parsing: text) == nil) }
}
