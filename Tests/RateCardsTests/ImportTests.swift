import Metering
import Testing

@testable import RateCards

/// The importer drafts; a person decides. So what it leaves out, changes or doubts must be said.
@Suite struct ImportTests {
    private static let header = """
        model,mode,input_usd_per_1m,cached_input_usd_per_1m,cache_write_usd_per_1m,output_usd_per_1m,\
        long_ctx_threshold,input_long,cached_long,cache_write_long,output_long,flex_input,flex_cached,\
        flex_output,ultrafast_input,ultrafast_cached,ultrafast_output,batch_input,batch_output,\
        cache_write_12h_usd_per_1m,audio_in_usd_per_1m,audio_out_usd_per_1m,image_in_usd_per_1m,\
        image_in_cached_usd_per_1m,image_out_usd_per_1m,usd_per_image,input_usd_per_second,\
        output_usd_per_second,input_usd_per_1m_chars,web_search_usd_per_1k_calls,regional_uplift_eu,\
        regional_uplift_us,endpoints,\
        priority_input,priority_output,priority_input_long,priority_output_long,max_input,max_output,\
        deprecation_date
        """

    func draft(_ rows: [String: String]...) throws -> RateCardImport { try self.draft(rows) }

    func draft(_ rows: [[String: String]]) throws -> RateCardImport {
        let columns = Self.header.split(separator: ",").map(String.init)
        let lines = rows.map { row in
            let whole = ["mode": "chat", "max_input": "1000000", "max_output": "1000"].merging(row) { $1 }
            return columns.map { whole[$0] ?? "" }.joined(separator: ",")
        }
        return try RateCardImport(
            csv: ([Self.header] + lines).joined(separator: "\n") + "\n", settings: DiffAndImportTests.settings
        )
    }

    static let base = ["model": "x", "input_usd_per_1m": "4", "output_usd_per_1m": "20"]

    func shipped() throws -> RateCardImport {
        try RateCardImport(
            csv: try Checkout.text(DiffAndImportTests.csv), settings: DiffAndImportTests.settings)
    }

    @Test func importingTwiceGivesTheSameBytes() throws {
        #expect(try self.shipped().yaml == self.shipped().yaml)
        let lines = try Checkout.text(DiffAndImportTests.csv).split(separator: "\n").map(String.init)
        let reversed = ([lines[0]] + lines.dropFirst().reversed()).joined(separator: "\n") + "\n"
        let shuffled = try RateCardImport(csv: reversed, settings: DiffAndImportTests.settings)
        #expect(
            shuffled.yaml.replacing(/tools:\n(.|\n)*/, with: "")
                == (try self.shipped().yaml)
                .replacing(/tools:\n(.|\n)*/, with: ""))
    }

    @Test func everyRowIsInTheCardOrLeftOutWithAReason() throws {
        let draft = try self.shipped()
        let card = try RateCard(parsing: draft.yaml)
        let rows = try CSVTable(parsing: try Checkout.text(DiffAndImportTests.csv)).rows.compactMap {
            $0["model"]
        }
        #expect(rows.count == 234)
        #expect(card.models.count + card.tools.count + draft.leftOut.count == rows.count)
        let told = Set(card.models.keys).union(draft.leftOut.map(\.model))
        #expect(rows.filter { !told.contains($0) && !$0.hasPrefix("tool:") }.isEmpty)
    }

    /// Each doubt was decided by a person, in the README.
    @Test func theReadmeNamesEverySuspiciousModel() throws {
        let readme = try Checkout.text("ratecards/README.md")
        for (model, reason) in try self.shipped().suspicious {
            #expect(readme.contains("`\(model)`"), "\(model): \(reason)")
        }
    }

    @Test func theShippedCardsHaveNoWarnings() throws {
        for path in ["ratecards/openai-2026-11-12.yaml", "ratecards/scholarlink-2025.yaml"] {
            let card = try RateCard(parsing: try Checkout.text(path))
            let diff = RateCardDiff(from: nil, to: card, nowMilliseconds: 0)
            #expect(diff.problems.isEmpty, "\(diff.text)")
        }
    }

    @Test func reasoningModelsAreDrained() throws {
        let models = try RateCard(parsing: try self.shipped().yaml).models
        for (model, drains) in [
            ("o3", true), ("gpt-5", true), ("gpt-6-sol", true), ("gpt-5.4-mini", true), ("gpt-4.1", false),
            ("gpt-4o", false), ("chat-latest", false),
        ] {
            #expect((try #require(models[model]).onDisconnect == .drain) == drains, "\(model)")
        }
    }

    @Test(
        arguments: [
            (["cached_input_usd_per_1m": "5"], "cached input 5 is dearer than input 4"),
            (["output_usd_per_1m": "3"], "output 3 is cheaper than input 4"),
            (["flex_input": "2", "flex_output": "10.1"], "flex output is 10.1, not half of 20"),
            (
                ["priority_input": "3.9", "priority_output": "20"],
                "priority input 3.9 is below the standard 4"
            ),
            (
                ["long_ctx_threshold": "9", "input_long": "8", "output_long": "19"],
                "long output 19 is below the short 20"
            ),
            (["model": "x-latest"], "follows whatever model"),
            (["cache_write_usd_per_1m": "2"], "taken as cached input"),
        ] as [([String: String], String)])
    func aDoubtfulRowIsFlagged(cells: [String: String], doubt: String) throws {
        let draft = try self.draft(Self.base.merging(cells) { $1 })
        #expect(draft.suspicious.contains { $0.reason.contains(doubt) }, "\(draft.suspicious)")
        #expect(try self.draft(Self.base).suspicious.isEmpty, "the plain row is not doubted")
    }

    @Test func relativesAreCompared() throws {
        let draft = try self.draft(
            Self.base, Self.base.merging(["model": "x-2026-01-01", "output_usd_per_1m": "21"]) { $1 },
            Self.base.merging(["model": "x-nano", "input_usd_per_1m": "0.3"]) { $1 })
        #expect(
            draft.suspicious.contains { $0.model == "x-2026-01-01" && $0.reason.contains("otherwise than x") }
        )
        #expect(draft.suspicious.contains { $0.model == "x-nano" && $0.reason.contains("less than a tenth") })
    }

    @Test(
        arguments: [
            (["input_usd_per_1m": "0.1234567"], "pico-USD"), (["deprecation_date": "2026-11-11"], "retired"),
            (["max_output": ""], "maximal output"), (["max_input": ""], "context"),
            (["mode": "video_generation"], "mode"),
            (["mode": "image_generation", "usd_per_image": "0.1"], "per image"),
            (["mode": "audio_speech", "endpoints": "/v1/realtime"], "no endpoint"),
            (
                [
                    "mode": "audio_transcription", "endpoints": "/v1/audio/transcriptions",
                    "input_usd_per_1m": "", "input_usd_per_second": "0.000283333333333",
                ], "per millisecond"
            ),
            (["input_usd_per_1m": "0.0025", "regional_uplift_eu": "1.001"], "pico-USD"),
            (["model": "x-search-preview"], "search"), (["output_usd_per_1m": ""], "output price"),
        ] as [([String: String], String)])
    func whatACardCannotSayIsLeftOut(cells: [String: String], reason: String) throws {
        let draft = try self.draft(
            Self.base.merging(cells) { $1 }, Self.base.merging(["model": "other"]) { $1 })
        #expect(draft.leftOut.count == 1 && draft.leftOut[0].reason.contains(reason), "\(draft.leftOut)")
    }

    @Test func aRowThatRetiresOnTheDayIsKept() throws {
        let draft = try self.draft(Self.base.merging(["deprecation_date": "2026-11-12"]) { $1 })
        #expect(draft.leftOut.isEmpty)
    }

    /// The list has no column for them; plain input would be below what a cache write costs.
    @Test func longCacheCostsOfATierFollowItsInput() throws {
        let long = [
            "cached_input_usd_per_1m": "0.4", "cache_write_usd_per_1m": "5", "long_ctx_threshold": "272000",
            "input_long": "8", "cached_long": "0.8", "cache_write_long": "10", "output_long": "30",
            "priority_input": "8", "priority_output": "40", "priority_input_long": "16",
            "priority_output_long": "60",
        ]
        let card = try RateCard(parsing: try self.draft(Self.base.merging(long) { $1 }).yaml)
        let cost = try #require(card.models["x"]?.longContext?.tiers[.priority]?.cost)
        #expect(cost[.cachedInput]?.description == "1.6" && cost[.cacheWrite]?.description == "20")
    }

    /// A longer request must never cost less than a shorter one.
    @Test func aDearTierWithoutALongPriceKeepsTheDearerOfBoth() throws {
        let long = [
            "long_ctx_threshold": "272000", "input_long": "8", "output_long": "30", "priority_input": "10",
            "priority_output": "25",
        ]
        let card = try RateCard(parsing: try self.draft(Self.base.merging(long) { $1 }).yaml)
        let cost = try #require(card.models["x"]?.longContext?.tiers[.priority]?.cost)
        #expect(cost[.input]?.description == "10" && cost[.output]?.description == "30")
    }

    @Test func theReportTellsAllThreeLists() throws {
        let text = RateCardReport.describe(try self.shipped())
        for line in [
            "left out: gpt-image-2: has no context size",
            "not expressed: gpt-6-luna: endpoint decisions, input at 0.1",
            "suspicious: ft:gpt-4o-2024-08-06: batch input is 2.225, not half of 3.75",
        ] {
            #expect(text.contains(line))
        }
    }
}
