import Testing

@testable import Metering

/// What went wrong elsewhere (facts/known_failures.md, part C), each with figures that tell the right charge from the wrong
/// one: from the bytes of a reply to the charge.
@Suite struct KnownFailureTests {
    private static func rates(_ factor: Int128) -> TokenRates {
        let unit = AttoUSD.perMillicredit * factor
        return TokenRates(
            input: 10 * unit, cachedInput: unit, cacheWrite: 12 * unit, output: 50 * unit,
            audio: MediaRates(input: 100 * unit, cachedInput: 20 * unit, output: 200 * unit),
            image: MediaRates(input: 30 * unit, cachedInput: 8 * unit, output: 300 * unit))
    }

    private static let row: ModelPrice = {
        let tiers = [(ServiceTier.default, 2), (.flex, 1), (.priority, 4)].map { tier, factor in
            (tier, TierPrice(cost: Self.rates(Int128(factor)), price: Self.rates(Int128(factor))))
        }
        let fees = UnitRates(tools: [
            .webSearch: 10_000 * AttoUSD.perMillicredit, .fileSearch: 2500 * AttoUSD.perMillicredit,
        ])
        return ModelPrice(
            priceID: "c@1/m", model: "m", endpoints: [.chat, .responses, .images], context: 400_000,
            outputMax: 10_000, tiers: Dictionary(uniqueKeysWithValues: tiers), longContext: nil,
            units: UnitPrice(cost: fees, price: fees), onDisconnect: nil)
    }()

    /// Millicredits of a whole reply.
    private static func charge(_ reply: String, _ shape: ReplyShape, tier: ServiceTier? = .flex) throws
        -> Int64
    {
        var scanner = JSONUsageScanner(shape: shape)
        Array(reply.utf8).withUnsafeBytes { scanner.feed($0) }
        scanner.finish()
        var limits = UsageLimits(inputMax: 400_000, outputMax: 10_000)
        limits.audioIsPriced = true
        var usage = try Usage(try #require(scanner.report), within: limits)
        usage.tools = scanner.tools
        return try Self.row.charge(
            for: usage, served: tier ?? scanner.serviceTier.flatMap(ServiceTier.init(apiLiteral:)),
            permitted: [.default], mode: .exact
        ).amount.value
    }

    private static func chat(_ details: String) -> String {
        #"{"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,\#(details)}}"#
    }

    /// 34: litellm#6215, #9812: cached tokens are part of the prompt, not besides it.
    @Test func cachedTokensAreCountedOnceAndCheaper() throws {
        let charge = try Self.charge(
            Self.chat(#""prompt_tokens_details":{"cached_tokens":800}"#), .completions)
        #expect(charge == 200 * 10 + 800 * 1 + 100 * 50)
    }

    /// 34b: bifrost#904, #3451: nor are written ones; none of the three is priced as another.
    @Test func writtenTokensAreCountedOnceAndDearer() throws {
        let details = #""prompt_tokens_details":{"cached_tokens":600,"cache_write_tokens":300}"#
        #expect(try Self.charge(Self.chat(details), .completions) == 100 * 10 + 600 * 1 + 300 * 12 + 100 * 50)
    }

    /// 35: new-api#6883: the Responses API calls them something else.
    @Test func cachedTokensOfAResponseAreCheaperToo() throws {
        let reply = #"""
            {"usage":{"input_tokens":1000,"output_tokens":100,"total_tokens":1100,
             "input_tokens_details":{"cached_tokens":800},"output_tokens_details":{"reasoning_tokens":90}}}
            """#
        #expect(try Self.charge(reply, .responses) == 200 * 10 + 800 * 1 + 100 * 50)
    }

    /// 36: litellm#13810, #37046: the tier that was served counts, for reasoning as well; held for is the dearest.
    @Test(arguments: [("default", 2), ("flex", 1), ("priority", 4)] as [(String, Int64)])
    func theTierThatWasServedIsCharged(_ served: String, _ factor: Int64) throws {
        let reply =
            #"{"service_tier":"\#(served)","usage":{"input_tokens":1000,"output_tokens":100,"total_tokens":1100,"#
            + #""output_tokens_details":{"reasoning_tokens":90}}}"#
        let charge = try Self.charge(reply, .responses, tier: nil)
        #expect(charge == factor * (1000 * 10 + 100 * 50))
        let bounds = RequestBounds(inputTokensMax: 1000, choices: 1, permittedTiers: [.default, .priority])
        #expect(try Self.row.worstCase(bounds, outputCap: 100, mode: .exact).value >= charge)
    }

    /// 37: litellm#34730, #31316, #10384: every tool that was called, none that was only declared.
    @Test func everyToolThatWasCalledIsCharged() throws {
        let usage = #""usage":{"input_tokens":10,"output_tokens":1,"total_tokens":11}"#
        let search =
            #"{"type":"web_search_call","status":"completed","action":{"type":"search","query":"x"}}"#
        let file = #"{"type":"file_search_call","status":"completed"}"#
        let tokens: Int64 = 10 * 10 + 50
        func charge(_ output: String) throws -> Int64 {
            try Self.charge(
                #"{"output":[\#(output)],"tools":[{"type":"web_search"},{"type":"file_search"}],\#(usage)}"#,
                .responses)
        }
        #expect(try charge("\(search),\(file),\(search)") == tokens + 2 * 10_000 + 2500)
        #expect(try charge("") == tokens)
    }

    /// 38: litellm#26863, #31142: what is an image is priced as one, and only that.
    @Test func imageTokensAreNotPricedAsText() throws {
        let reply = #"""
            {"usage":{"input_tokens":50,"output_tokens":1050,"total_tokens":1100,
             "input_tokens_details":{"text_tokens":10,"image_tokens":40},
             "output_tokens_details":{"image_tokens":1000,"text_tokens":50}}}
            """#
        #expect(try Self.charge(reply, .media) == 10 * 10 + 40 * 30 + 1000 * 300 + 50 * 50)
    }

    /// 28: litellm#37923: a stream that reports nothing is not one that cost nothing.
    @Test(arguments: ["{}", #"{"usage":null}"#, #"{"usage":{}}"#])
    func aReplyWithoutUsageIsNotFree(_ reply: String) throws {
        var scanner = JSONUsageScanner(shape: .completions)
        Array(reply.utf8).withUnsafeBytes { scanner.feed($0) }
        scanner.finish()
        var evidence = ExchangeEvidence(
            written: .fully, response: .success(complete: true), visibleOutput: 40)
        if let report = scanner.report {
            #expect(throws: UsageDistrust.malformed) {
                try Usage(report, within: UsageLimits(inputMax: 1000, outputMax: 1000))
            }
            evidence.usage = .distrusted(.malformed)
        }
        guard case .final(let usage, .some) = Outcome(.upstreamEnded, evidence, inputEstimate: 7) else {
            Issue.record("free, or believed: \(reply)")
            return
        }
        #expect(try Self.row.charge(for: usage, served: .flex, mode: .exact).amount.value == 7 * 10 + 40 * 50)
    }

    /// 42: Kong 3.12: amounts below a whole credit are taken as well, however small, and add up.
    @Test func partsOfACreditAreCharged() throws {
        let charge = try Self.charge(
            #"{"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1}}"#, .completions)
        #expect(charge == 10, "a hundredth of a credit")
        #expect(Millicredits(charge).creditsText == "0.01")
    }
}
