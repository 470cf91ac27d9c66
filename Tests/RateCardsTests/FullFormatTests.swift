import Metering
import Testing

@testable import RateCards

/// Keys besides text tokens: what they mean, and what may not be said with them.
@Suite struct FullFormatTests {
    static func card(_ row: String, markup: String = "2", top: String = "") -> String {
        """
        card: test
        version: "1"
        effective_from: 2026-01-01T00:00:00Z
        markup: "\(markup)"
        \(top)models:
          m:
            encoding: o200k_base
            \(row.replacing("\n", with: "\n    "))

        """
    }

    static func model(_ row: String, markup: String = "2", top: String = "", region: Region? = nil) throws
        -> ModelPrice
    {
        let card = try RateCard(parsing: self.card(row, markup: markup, top: top))
        return try #require(try card.priceTable(mode: .exact, region: region).row(for: "m"))
    }

    static let chat = "endpoints: [chat]\ncontext: 1000\nmax_output: 100\n"
    /// 1 USD per 1M tokens.
    private static let unit: Int128 = 1_000_000_000_000

    // MARK: Tokens

    @Test func aMediumThatIsNotNamedHasNoRates() throws {
        let row = try Self.model(Self.chat + #"cost: {input: "1", output: "4"}"#)
        let cost = try #require(row.tiers[.default]?.cost)
        #expect(cost.audio == nil && cost.image == nil && cost.cacheWriteLong == nil)
        #expect(!row.prices(.audio) && !row.prices(.longWrites))
        #expect(row.units == .none)
    }

    /// One named key makes the medium priced; the others follow text, and a cached one its own input.
    @Test(
        arguments: [
            (#"audio_input: "8""#, 8, 8, 4), (#"audio_output: "9""#, 1, 1, 9),
            (#"audio_cached_input: "2""#, 1, 2, 4), (#"audio_input: "8", audio_cached_input: "2""#, 8, 2, 4),
        ] as [(String, Int128, Int128, Int128)])
    func unnamedPartsOfAMediumFollow(keys: String, input: Int128, cached: Int128, output: Int128) throws {
        let text = #"cost: {input: "1", cached_input: "0.1", output: "4", "#
        for medium in ["audio", "image"] {
            let named = keys.replacing("audio", with: medium)
            let tier = try #require(try Self.model(Self.chat + text + named + "}").tiers[.default])
            func rates(_ factor: Int128) -> MediaRates {
                let unit = Self.unit * factor
                return MediaRates(input: input * unit, cachedInput: cached * unit, output: output * unit)
            }
            #expect((medium == "audio" ? tier.cost.audio : tier.cost.image) == rates(1))
            #expect((medium == "audio" ? tier.price.audio : tier.price.image) == rates(2), "cost × markup")
        }
    }

    @Test func namedPricesOfAMediumStandAsForText() throws {
        let cost =
            #"cost: {input: "1", output: "4", cache_write_12h: "2", audio_input: "8", image_output: "9"}"#
        let price = #"price: {input: "5", output: "7", audio_input: "30", image_output: "40"}"#
        let rates = try #require(try Self.model("\(Self.chat)\(cost)\n\(price)").tiers[.default]?.price)
        let unit = Self.unit
        #expect(rates.audio == MediaRates(input: 30 * unit, cachedInput: 30 * unit, output: 7 * unit))
        #expect(rates.image == MediaRates(input: 5 * unit, cachedInput: 5 * unit, output: 40 * unit))
        #expect(rates.cacheWriteLong == 5 * unit, "a kind of input, like the others")
    }

    /// A reply need not say what of its output was an image. It must not be free for that.
    @Test func unnamedOutputOfAnImageModelCostsAsItsImages() throws {
        let row = try Self.model(
            "endpoints: [images]\ncontext: 10\nmax_output: 10\n" + #"cost: {input: "5", image_output: "30"}"#)
        #expect(row.tiers[.default]?.cost.output == 30 * Self.unit)
        let usage = Usage(input: 0, output: 1000)
        #expect(try row.charge(for: usage, served: .default, mode: .exact).amount.value == 60_000)
    }

    @Test func ultrafastIsATierOfShortAndOfLongInput() throws {
        let row = try Self.model(
            Self.chat + """
                cost: {input: "1", output: "4"}
                tiers: {ultrafast: {cost: {input: "6", output: "24", cache_write_12h: "12"}}}
                long_context:
                  threshold: 500
                  cost: {input: "2", output: "6"}
                  tiers: {ultrafast: {cost: {input: "12", output: "36"}}}
                """)
        #expect(row.tiers[.ultrafast]?.cost.cacheWriteLong == 12 * Self.unit)
        #expect(row.longContext?.tiers[.ultrafast]?.price.input == 24 * Self.unit)
    }

    // MARK: Units and tools

    @Test func secondsAreChargedByTheMillisecondExactly() throws {
        let row = try Self.model("endpoints: [audio]\n" + #"cost: {second: "0.000075"}"#)
        #expect(row.units.cost.millisecond == 75_000_000_000, "0.000075 USD is 75,000 pico-USD a millisecond")
        #expect(row.units.price.millisecond == 150_000_000_000)
        #expect(row.tiers[.default]?.price.input == 0)
        var usage = Usage.zero
        usage.inputMilliseconds = 60_000
        let charge = try row.charge(for: usage, served: .default, mode: .exact)
        #expect(charge.cost.value == 4_500_000_000 && charge.amount.value == 9000, "a minute: 0.0045 USD")
        let named = try Self.model(
            "endpoints: [audio]\n" + #"cost: {second: "0.000075"}"# + "\n" + #"price: {second: "0.1"}"#)
        #expect(named.units.price.millisecond == 100_000_000_000, "0.1 credits a second")
    }

    @Test func charactersAreChargedLikeTokens() throws {
        let row = try Self.model("endpoints: [audio]\n" + #"cost: {characters: "15"}"#)
        #expect(row.units.cost.character == 15 * Self.unit && row.units.price.character == 30 * Self.unit)
        var usage = Usage.zero
        usage.characters = 1000
        #expect(try row.charge(for: usage, served: .default, mode: .exact).amount.value == 30_000)
    }

    @Test func aRowsToolsReplaceTheCardsOneByOne() throws {
        let top = """
            tools:
              web_search: {cost_per_1k_calls: "10"}
              file_search: {cost_per_1k_calls: "2.5", price_per_1k_calls: "4000"}

            """
        let own = "\n" + #"tools: {web_search: {cost_per_1k_calls: "25"}}"#
        let text = Self.chat + #"cost: {input: "1", output: "4"}"#
        let row = try Self.model(text + own, top: top)
        #expect(
            row.units.cost.tools == [.webSearch: 25_000 * Self.unit, .fileSearch: 2500 * Self.unit])
        #expect(
            row.units.price.tools == [.webSearch: 50_000 * Self.unit, .fileSearch: 4000 * Self.unit])
        #expect(try Self.model(text, top: top).units.cost.tools[.webSearch] == 10_000 * Self.unit)
        let other = text.replacing("[chat]", with: "[embeddings]")
        #expect(try Self.model(other, top: top).units.price.tools.isEmpty, "nothing there calls a tool")
        var usage = Usage.zero
        usage.tools[.webSearch] = 3
        #expect(try row.charge(for: usage, served: .default, mode: .exact).amount.value == 150_000)
    }

    // MARK: Regions

    @Test func theUpliftRaisesCostsOfTokensAndThePricesThatComeFromThem() throws {
        let text =
            Self.chat + """
                regional_uplift: {eu: "1.1"}
                cost: {input: "2", cached_input: "0.0025", output: "4", cache_write_12h: "4", audio_input: "8"}
                price: {output: "20"}
                tiers: {flex: {cost: {input: "1", output: "2"}}}
                long_context: {threshold: 500, cost: {input: "3", output: "6"}}
                tools: {web_search: {cost_per_1k_calls: "10"}}
                """
        let (plain, raised) = (try Self.model(text), try Self.model(text, region: .eu))
        #expect(try Self.model(text, region: .us).tiers == plain.tiers, "no uplift is named for it")
        let tier = try #require(raised.tiers[.default])
        #expect(tier.cost.input * 10 == 22 * Self.unit && tier.price.input * 10 == 44 * Self.unit)
        #expect(tier.cost.cachedInput == 2_750_000_000, "0.0025 × 1.1")
        #expect(tier.cost.output * 10 == 44 * Self.unit && tier.price.output == 20 * Self.unit)
        #expect(tier.cost.cacheWriteLong == 44 * Self.unit / 10)
        #expect(tier.cost.audio?.input == 88 * Self.unit / 10 && tier.cost.audio?.output == tier.cost.output)
        #expect(raised.tiers[.flex]?.cost.input == 11 * Self.unit / 10)
        #expect(raised.longContext?.tiers[.default]?.price.input == 66 * Self.unit / 10)
        #expect(raised.units == plain.units)
    }

    @Test(
        arguments: [
            ("eu.api.openai.com", .eu), ("US.api.openai.com", .us), ("api.openai.com", nil),
            ("eu.api.openai.com.evil.example", nil), ("xeu.api.openai.com", nil), ("127.0.0.1", nil),
            ("", nil),
        ] as [(String, Region?)])
    func theHostNamesTheRegion(host: String, region: Region?) {
        #expect(Region(upstreamHost: host) == region)
    }
}
