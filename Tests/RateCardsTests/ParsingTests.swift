import Metering
import Testing

@testable import RateCards

/// A card is edited by people: every mistake is named, with its place, all at once.
@Suite struct ParsingTests {
    static let good = """
        card: test
        version: "1"
        effective_from: 2026-01-01T00:00:00Z
        markup: "2.0"
        models:
          m:
            encoding: o200k_base
            endpoints: [chat]
            context: 1000
            max_output: 100
            cost: {input: "0.15", cached_input: "0.075", output: "0.60"}
        """

    func problems(_ text: String) -> [String] {
        do {
            _ = try RateCard(parsing: text)
            return []
        } catch let invalid as RateCardInvalid {
            return invalid.problems.map(\.path)
        } catch {
            return ["\(error)"]
        }
    }

    @Test func theGoodCardIsRead() throws {
        let card = try RateCard(parsing: Self.good)
        #expect(card.identity == "test@1" && card.effectiveFromMilliseconds == 1_767_225_600_000)
        let row = try #require(try card.priceTable(mode: .exact).row(for: "m"))
        #expect(row.priceID == "test@1/m")
        #expect(
            row.tiers[.default]?.price.input == 300_000_000_000, "0.15 USD × 2 per 1M, in atto-USD per token")
        #expect(
            row.tiers[.default]?.price.cacheWrite == 300_000_000_000, "an absent cache write costs as input")
    }

    @Test(arguments: [
        ("input: \"0.15\"", "input: 0.15", "models.m.cost.input"),
        ("input: \"0.15\"", "input: \"1e-3\"", "models.m.cost.input"),
        ("input: \"0.15\"", "input: \"-1\"", "models.m.cost.input"),
        ("input: \"0.15\"", "input: \"0.0000001\"", "models.m.cost.input"),
        ("input: \"0.15\"", "inptu: \"0.15\"", "models.m.cost"),
        ("markup: \"2.0\"", "markup: 2.0", "markup"),
        ("context: 1000", "context: -1", "models.m.context"),
        ("    context: 1000\n", "", "models.m.context"),
        ("    max_output: 100\n", "", "models.m.max_output"),
        ("endpoints: [chat]", "endpoints: [chats]", "models.m.endpoints"),
        ("endpoints: [chat]", "endpoints: []", "models.m.endpoints"),
        ("2026-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "effective_from"),
        ("2026-01-01T00:00:00Z", "yesterday", "effective_from"),
        ("card: test\n", "", "card"), ("card: test", "card: test\nunknown: 1", "(top)"),
        (
            "    encoding: o200k_base", "    on_disconnect: maybe\n    encoding: o200k_base",
            "models.m.on_disconnect"
        ),
    ])
    func mistakesAreNamed(from: String, to: String, path: String) {
        let text = Self.good.replacing(from, with: to)
        #expect(text != Self.good)
        #expect(self.problems(text).contains(path), "\(self.problems(text))")
    }

    @Test func severalMistakesComeTogether() {
        let text = Self.good.replacing("\"0.15\"", with: "0.15").replacing(
            "max_output: 100", with: "max_output: x")
        #expect(Set(self.problems(text)).isSuperset(of: ["models.m.cost.input", "models.m.max_output"]))
    }

    @Test(arguments: ["", "card: [", "- a\n- b", "just text"])
    func whatIsNoCardIsRefused(text: String) { #expect(!self.problems(text).isEmpty) }
}

@Suite struct DiffAndImportTests {
    static let csv = "ratecards/import/openai-prices-2026-11-12.csv"
    static let settings = RateCardImport.Settings(
        card: "openai", version: "2026-11-12", effectiveFrom: "2026-11-12T00:00:00Z", markup: "2.0")

    /// What ships is what the importer drafts; a hand edit must be made in the importer, or told here.
    @Test func theShippedCardIsTheImportersDraft() throws {
        let draft = try RateCardImport(csv: try Checkout.text(Self.csv), settings: Self.settings)
        #expect(draft.yaml == (try Checkout.text("ratecards/openai-2026-11-12.yaml")))
        #expect(draft.leftOut.contains { $0.model == "gpt-image-2" })
        #expect(draft.leftOut.contains { $0.model == "gpt-4" && $0.reason.contains("retired") })
        #expect(draft.suspicious.contains { $0.model == "ft:gpt-4o-2024-08-06" })
    }

    @Test func publishingWarns() throws {
        let old = try RateCard(parsing: ParsingTests.good)
        let text = ParsingTests.good.replacing("output: \"0.60\"", with: "output: \"6.00\"")
            .replacing("version: \"1\"", with: "version: \"2\"")
            .replacing("    cost:", with: "    price: {input: \"0.1\"}\n    cost:")
        let diff = RateCardDiff(
            from: old, to: try RateCard(parsing: text), nowMilliseconds: 1_800_000_000_000)
        let warnings = diff.problems.filter { $0.severity == .warning }.map(\.path)
        #expect(warnings.contains("models.m.output"), "moves by more than 5×")
        #expect(warnings.contains("models.m.input"), "is sold below cost")
        #expect(diff.problems.contains { $0.severity == .notice && $0.path == "effective_from" })
        let gone = RateCardDiff(
            from: old, to: try RateCard(parsing: text.replacing("  m:", with: "  other:")), nowMilliseconds: 0
        )
        #expect(gone.problems.contains { $0.path == "models.m" && $0.severity == .warning })
    }

    @Test func aTakenVersionIsAnError() throws {
        let old = try RateCard(parsing: ParsingTests.good)
        let other = try RateCard(parsing: ParsingTests.good.replacing("0.60", with: "0.61"))
        let diff = RateCardDiff(from: old, to: other, nowMilliseconds: 0)
        #expect(diff.problems.contains { $0.severity == .error && $0.path == "version" })
        #expect(RateCardDiff(from: old, to: old, nowMilliseconds: 0).changes.isEmpty)
    }

    @Test func quotedCellsAndRaggedLines() throws {
        let table = try CSVTable(parsing: "a,b\r\n\"x,\"\"y\"\"\",2\n")
        #expect(table.rows == [["a": "x,\"y\"", "b": "2"]])
        #expect(throws: CSVTable.Malformed.self) { try CSVTable(parsing: "a,b\n1\n") }
        #expect(throws: CSVTable.Malformed.self) { try CSVTable(parsing: "a\n\"x") }
    }
}
