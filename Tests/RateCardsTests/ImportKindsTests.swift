import Metering
import Testing

@testable import RateCards

/// What the importer drafts besides text tokens.
@Suite struct ImportKindsTests {
    private let tests = ImportTests()

    private func rows(_ rows: [String: String]...) throws -> (card: RateCard, draft: RateCardImport) {
        let other = ImportTests.base.merging(["model": "other"]) { $1 }
        let search = [
            "model": "tool:web_search", "mode": "tool", "web_search_usd_per_1k_calls": "10", "max_input": "",
        ]
        let table = rows.map { row in
            ImportTests.base.merging(row) { $1 }
        }
        let draft = try self.tests.draft(table + [other, search])
        return (try RateCard(parsing: draft.yaml), draft)
    }

    private func cost(_ tier: RateCard.Tier?, _ part: RateCard.Part) -> String? {
        tier?.cost[part]?.description
    }

    /// OpenAI documents it so; the list's own column repeats the long rate of plain cache writes.
    @Test func longWritesAreTwiceTheInputOfTheirTierAndLength() throws {
        let (card, draft) = try self.rows([
            "cache_write_12h_usd_per_1m": "10", "cache_write_usd_per_1m": "5", "flex_input": "2",
            "flex_output": "10", "long_ctx_threshold": "272000", "input_long": "7", "output_long": "30",
            "cache_write_long": "10",
        ])
        let model = try #require(card.models["x"])
        #expect(self.cost(model.standard, .cacheWriteLong) == "8")
        #expect(self.cost(model.tiers[.flex], .cacheWriteLong) == "4")
        #expect(self.cost(model.longContext?.standard, .cacheWriteLong) == "14")
        #expect(draft.suspicious.contains { $0.reason.contains("12-hour cache writes are listed at 10") })
        #expect(draft.yaml.contains("# cache_write_12h is 2 × the input"))
        #expect(card.models["other"]?.standard.cost[.cacheWriteLong] == nil)
        let plain = try self.rows(["cache_write_12h_usd_per_1m": "8"]).draft
        #expect(plain.suspicious.isEmpty, "\(plain.suspicious)")
    }

    /// Left unnamed, a cache write of this tier would count as its input, below what it costs.
    @Test func ultrafastIsATierWhoseCacheWriteKeepsItsProportion() throws {
        let (card, draft) = try self.rows([
            "cached_input_usd_per_1m": "0.4", "cache_write_usd_per_1m": "5", "ultrafast_input": "24",
            "ultrafast_cached": "2.4", "ultrafast_output": "120",
        ])
        let tier = card.models["x"]?.tiers[.ultrafast]
        #expect(self.cost(tier, .input) == "24" && self.cost(tier, .cachedInput) == "2.4")
        #expect(self.cost(tier, .output) == "120" && self.cost(tier, .cacheWrite) == "30")
        #expect(draft.suspicious.contains { $0.reason.contains("ultrafast names no cache_write") })
    }

    @Test func upliftAndADifferentSearchFeeAreKeysOfTheRow() throws {
        let (card, draft) = try self.rows([
            "regional_uplift_eu": "1.1", "regional_uplift_us": "1.2", "web_search_usd_per_1k_calls": "25",
        ])
        let model = try #require(card.models["x"])
        #expect(model.regionalUplift.mapValues(\.description) == [.eu: "1.1", .us: "1.2"])
        #expect(model.tools[.webSearch]?.cost.description == "25" && card.tools.count == 1)
        #expect(draft.suspicious.contains { $0.reason.contains("a web search costs 25") })
        #expect(try self.rows(["web_search_usd_per_1k_calls": "10"]).card.models["x"]?.tools.isEmpty == true)
    }

    @Test func audioOfChatIsPriced() throws {
        let (card, _) = try self.rows([
            "audio_in_usd_per_1m": "32", "audio_out_usd_per_1m": "64",
            "endpoints": "/v1/chat/completions /v1/responses /v1/realtime",
        ])
        let model = try #require(card.models["x"])
        #expect(model.endpoints == [.chat, .responses])
        #expect(self.cost(model.standard, .audioInput) == "32")
        #expect(self.cost(model.standard, .audioOutput) == "64")
    }

    /// The batch column of images has no output; there an image would be sold at the price of text.
    @Test func imagesArePricedAtTheStandardTierOnly() throws {
        let (card, draft) = try self.rows([
            "mode": "image_generation", "output_usd_per_1m": "", "image_in_usd_per_1m": "8",
            "image_in_cached_usd_per_1m": "2", "image_out_usd_per_1m": "30", "batch_input": "2",
            "batch_output": "10",
        ])
        let model = try #require(card.models["x"])
        #expect(model.endpoints == [.images] && model.tiers.isEmpty)
        #expect(self.cost(model.standard, .imageOutput) == "30" && self.cost(model.standard, .output) == nil)
        #expect(draft.notExpressed.map(\.model) == ["x"])
    }

    @Test func transcriptionIsPricedByTokensOrBySecondsNotByBoth() throws {
        let common = ["mode": "audio_transcription", "endpoints": "/v1/audio/transcriptions"]
        let tokens = try self.rows(
            common.merging(["audio_in_usd_per_1m": "4", "input_usd_per_second": "0.0001"]) { $1 })
        #expect(self.cost(tokens.card.models["x"]?.standard, .audioInput) == "4")
        #expect(self.cost(tokens.card.models["x"]?.standard, .second) == nil)
        #expect(tokens.draft.suspicious.contains { $0.reason.contains("per second beside tokens") })
        let seconds = try self.rows(
            common.merging([
                "input_usd_per_1m": "", "output_usd_per_1m": "", "input_usd_per_second": "0.0001",
                "output_usd_per_second": "0.0001", "max_input": "", "max_output": "",
            ]) { $1 })
        let model = try #require(seconds.card.models["x"])
        #expect(self.cost(model.standard, .second) == "0.0001" && model.context == nil)
        #expect(seconds.draft.suspicious.contains { $0.reason.contains("charged once") })
    }

    @Test func speechIsPricedByCharactersOrAsAudio() throws {
        let common = ["mode": "audio_speech", "endpoints": "/v1/audio/speech"]
        let characters = try self.rows(
            common.merging([
                "input_usd_per_1m": "", "output_usd_per_1m": "", "input_usd_per_1m_chars": "15",
                "max_input": "", "max_output": "",
            ]) { $1 })
        #expect(self.cost(characters.card.models["x"]?.standard, .characters) == "15")
        let tokens = try self.rows(common.merging(["audio_out_usd_per_1m": "24"]) { $1 })
        #expect(self.cost(tokens.card.models["x"]?.standard, .output) == "24", "no report says it was audio")
        #expect(tokens.draft.suspicious.contains { $0.reason.contains("all of it is taken as audio") })
    }

    /// What ships, by kind: a row that falls out of the card is seen here.
    @Test func theShippedCardHasEveryKind() throws {
        let models = try RateCard(parsing: try self.tests.shipped().yaml).models
        func count(_ isCounted: (RateCard.Model) -> Bool) -> Int { models.values.filter(isCounted).count }
        #expect(count { $0.standard.prices(.audio) } == 13)
        #expect(count { $0.standard.cost[.second] != nil } == 2)
        #expect(count { $0.standard.cost[.characters] != nil } == 4)
        #expect(count { $0.standard.cost[.cacheWriteLong] != nil } == 11)
        #expect(count { $0.tiers[.ultrafast] != nil } == 2)
        #expect(count { !$0.tools.isEmpty } == 6)
        #expect(count { $0.regionalUplift.count == 2 } > 15)
    }
}
