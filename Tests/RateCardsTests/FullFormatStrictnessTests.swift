import Metering
import Testing

@testable import RateCards

/// What may not be said with the keys besides text tokens, and the one spelling of what may.
@Suite struct FullFormatStrictnessTests {
    private func problems(_ row: String, top: String = "") -> [RateCardProblem] {
        do {
            _ = try RateCard(parsing: FullFormatTests.card(row, top: top))
            return []
        } catch let invalid as RateCardInvalid {
            return invalid.problems
        } catch {
            return [RateCardProblem(.error, "?", "\(error)")]
        }
    }

    @Test(
        arguments: [
            (#"cost: {input: "1", output: "4", audio_input: 8}"#, 11, "cost.audio_input", "quoted"),
            (#"cost: {input: "1", output: "4", image_input: "-1"}"#, 11, "cost.image_input", "negative"),
            (
                #"cost: {input: "1", output: "4", cache_write_12h: "1e3"}"#, 11, "cost.cache_write_12h",
                "decimal"
            ),
            (#"cost: {input: "1", output: "4", audio: "8"}"#, 11, "cost", "unknown key 'audio'"),
            (
                #"cost: {input: "1", output: "4", second: "0.0000000001"}"#, 11, "cost.second",
                "pico-USD per millisecond (nine digits"
            ),
            (
                #"cost: {input: "1", output: "4", second: "1001"}"#, 11, "cost.second",
                "beyond 1,000 USD per second"
            ),
            (
                #"cost: {input: "1", output: "4", characters: "0.0000001"}"#, 11, "cost.characters",
                "pico-USD per character"
            ),
            (#"cost: {output: "4", image_input: "1"}"#, 11, "cost.input", "is missing"),
            (
                "cost: {input: \"1\", output: \"4\"}\nprice: {audio_input: \"9\"}", 12, "price.audio_input",
                "no cost beside it"
            ),
            (
                "cost: {input: \"1\", output: \"4\"}\nprice: {cache_write_12h: \"9\"}", 12,
                "price.cache_write_12h", "no cost beside it"
            ),
            (
                "cost: {input: \"1\", output: \"4\"}\n"
                    + "tiers: {flex: {cost: {input: \"1\", output: \"4\", second: \"1\"}}}", 12,
                "tiers.flex.cost", "unknown key 'second'"
            ),
            (
                "cost: {input: \"1\", output: \"4\"}\ntools: {code_interpreter: {cost_per_1k_calls: \"1\"}}",
                12,
                "tools.code_interpreter", "those are web_search, web_search_preview, file_search"
            ),
            (
                "cost: {input: \"1\", output: \"4\"}\ntools: {web_search: {price_per_1k_calls: \"1\"}}", 12,
                "tools.web_search.cost_per_1k_calls", "is missing"
            ),
            (
                "cost: {input: \"1\", output: \"4\"}\ntools: {web_search: {cost_per_1k_calls: 10}}", 12,
                "tools.web_search.cost_per_1k_calls", "quoted"
            ),
            (
                "cost: {input: \"1\", output: \"4\"}\n"
                    + "tools: {web_search: {cost_per_1k_calls: \"0.0000000001\"}}", 12,
                "tools.web_search.cost_per_1k_calls", "pico-USD per call"
            ),
            (
                "cost: {input: \"1\", output: \"4\"}\nregional_uplift: {asia: \"1.1\"}", 12,
                "regional_uplift.asia", "not one of eu, us"
            ),
            (
                "cost: {input: \"1\", output: \"4\"}\nregional_uplift: {eu: \"0.1\"}", 12,
                "regional_uplift.eu",
                "at least 1"
            ),
            (
                "cost: {input: \"0.000001\", output: \"4\"}\nregional_uplift: {eu: \"1.1\"}", 11,
                "cost.input",
                "times the uplift (0.0000011)"
            ),
        ] as [(String, Int, String, String)])
    func theComplaintNamesLinePathAndReason(row: String, line: Int, path: String, reason: String) {
        let problems = self.problems(FullFormatTests.chat + row)
        let matching = problems.filter {
            $0.path == "models.m." + path && $0.line == line && $0.message.contains(reason)
        }
        #expect(matching.count == 1 && problems.count == 1, "\(problems)")
    }

    /// What a row must name depends on what it is asked for.
    @Test(
        arguments: [
            ("embeddings", #"input: "1""#, []), ("moderations", #"input: "0""#, []),
            ("embeddings", #"output: "1""#, ["input"]), ("chat", #"input: "1""#, ["output"]),
            ("chat", #"second: "1""#, ["input", "output"]),
            ("completions", #"characters: "1""#, ["input", "output"]),
            ("images", #"input: "1", image_output: "1""#, []), ("images", #"input: "1", output: "1""#, []),
            ("images", #"input: "1""#, ["output"]), ("images", #"image_output: "1""#, ["input"]),
            ("audio", #"input: "1", audio_output: "1""#, []), ("audio", #"input: "1", output: "1""#, []),
            ("audio", #"second: "1""#, []), ("audio", #"characters: "1""#, []),
            ("audio", #"second: "1", input: "1""#, ["output"]),
            ("audio", #"audio_input: "1""#, ["input", "output"]),
            ("chat, audio", #"input: "1", second: "1""#, ["output"]),
        ] as [(String, String, [String])])
    func eachEndpointNeedsItsOwnCosts(endpoints: String, cost: String, missing: [String]) {
        let problems = self.problems(
            "endpoints: [\(endpoints)]\ncontext: 10\nmax_output: 10\ncost: {\(cost)}")
        #expect(problems.map(\.path) == missing.map { "models.m.cost." + $0 }, "\(problems)")
    }

    /// Limits of tokens belong to costs of tokens, and only they may be absent.
    @Test func limitsAreNeededWhereTokensCostSomething() throws {
        let seconds = "endpoints: [audio]\n" + #"cost: {second: "0.0001"}"#
        #expect(self.problems(seconds).isEmpty)
        #expect(self.problems(seconds + "\ncontext: 0").map(\.path) == ["models.m.context"])
        let tokens = "endpoints: [audio]\n" + #"cost: {second: "0.0001", input: "1", output: "1"}"#
        #expect(self.problems(tokens).map(\.path) == ["models.m.context", "models.m.max_output"])
        #expect(self.problems("endpoints: [audio]\ncost: {}").map(\.path).contains("models.m.context"))
        #expect(
            self.problems(seconds + "\ntools: {web_search: {cost_per_1k_calls: \"1\"}}").map(\.path) == [
                "models.m.tools"
            ])
    }

    /// A report of tokens for a model that is priced by time would be free: it must not be believed.
    @Test func tokensOfARowWithoutCostsOfTokensAreNotBelieved() throws {
        let row = try FullFormatTests.model("endpoints: [audio]\n" + #"cost: {second: "0.0001"}"#)
        var report = ReportedUsage()
        (report.inputTokens, report.outputTokens) = (100, 10)
        #expect(throws: UsageDistrust.impossible) {
            try Usage(report, within: UsageLimits(inputMax: row.context, outputMax: row.outputMax))
        }
    }

    // MARK: Canonical text

    private static let everything =
        FullFormatTests.card(
            """
            context: 1000
            max_output: 100
            endpoints: [responses, audio, chat]
            regional_uplift: {us: "1.2", eu: "1.10"}
            tools: {web_search_preview: {price_per_1k_calls: "9", cost_per_1k_calls: "1"}}
            price: {second: "1", audio_input: "50"}
            cost: {output: "4", input: "1", second: "0.1", characters: "2", cache_write_12h: "2.0", audio_output: "9",
              image_input: "3", image_cached_input: "1", audio_input: "7", audio_cached_input: "1", image_output: "8"}
            tiers: {ultrafast: {cost: {input: "6", output: "24"}}}
            """,
            top: "tools: {web_search: {cost_per_1k_calls: \"10\"}, file_search: {cost_per_1k_calls: \"2\"}}\n"
        )

    @Test func theCanonicalTextSaysEverything() throws {
        let card = try RateCard(parsing: Self.everything)
        #expect(
            card.canonicalText == """
                card: "test"
                version: "1"
                effective_from: 2026-01-01T00:00:00Z
                markup: "2"
                models:
                  "m":
                    encoding: o200k_base
                    endpoints: [chat, responses, audio]
                    context: 1000
                    max_output: 100
                    cost: {input: "1", cache_write_12h: "2", output: "4", audio_input: "7", audio_cached_input: "1", \
                audio_output: "9", image_input: "3", image_cached_input: "1", image_output: "8", second: "0.1", \
                characters: "2"}
                    price: {audio_input: "50", second: "1"}
                    tiers:
                      ultrafast:
                        cost: {input: "6", output: "24"}
                    tools:
                      "web_search_preview": {cost_per_1k_calls: "1", price_per_1k_calls: "9"}
                    regional_uplift: {eu: "1.1", us: "1.2"}
                tools:
                  "file_search": {cost_per_1k_calls: "2"}
                  "web_search": {cost_per_1k_calls: "10"}

                """)
        let again = try RateCard(parsing: card.canonicalText)
        #expect(again == card && again.canonicalBytes == card.canonicalBytes)
    }

    /// Its digest is in ledgers: a card without the new keys must not get other bytes.
    @Test func aCardOfTextTokensKeepsItsCanonicalText() throws {
        let text = try RateCard(parsing: ParsingTests.good).canonicalText
        #expect(
            text == """
                card: "test"
                version: "1"
                effective_from: 2026-01-01T00:00:00Z
                markup: "2"
                models:
                  "m":
                    encoding: o200k_base
                    endpoints: [chat]
                    context: 1000
                    max_output: 100
                    cost: {input: "0.15", cached_input: "0.075", output: "0.6"}

                """)
    }
}
