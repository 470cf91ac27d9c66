import Metering
import Testing

@testable import Proxy

/// What a request is held for, sent with, and charged as.
@Suite struct AdmissionPlanTests {
    private static let perToken = AttoUSD.perMillicredit

    private static func row(_ model: String, _ endpoints: Set<Endpoint>, _ units: UnitRates = .none)
        -> ModelPrice
    {
        let tokens = units.millisecond == nil && units.character == nil ? Self.perToken : 0
        let rates = TokenRates(input: tokens, cachedInput: tokens, cacheWrite: tokens, output: 2 * tokens)
        return ModelPrice(
            priceID: "c@1/\(model)", model: model, endpoints: endpoints, context: 10_000, outputMax: 4000,
            tiers: [.default: TierPrice(cost: rates, price: rates)], longContext: nil,
            units: UnitPrice(cost: units, price: units), onDisconnect: nil)
    }

    private static let prices = PriceTable(
        version: "c@1", mode: .exact,
        rows: [
            Self.row("m", [.chat, .responses], UnitRates(tools: [.webSearch: 1000 * Self.perToken])),
            Self.row("whisper-1", [.audio], UnitRates(millisecond: Self.perToken / 10)),
            Self.row("tts-1", [.audio], UnitRates(character: Self.perToken)),
        ])

    private static func plan(
        _ body: String, _ endpoint: InspectedEndpoint = .responses
    ) throws -> AdmissionPlan {
        let request = try Array(body.utf8).withUnsafeBytes {
            try RequestInspector.inspect($0, as: endpoint).get()
        }
        return try AdmissionPlan(
            request, bodyBytes: body.utf8.count, prices: Self.prices, leastOutputTokens: 16)
    }

    // MARK: Several turns

    private static let searching =
        #""model":"m","input":"x","tools":[{"type":"web_search"}],"max_tool_calls":2"#

    /// Each turn can write as much as the model ever does; one cap holds for all of them.
    @Test func aRequestOfSeveralTurnsIsSentWithTheCapThatItIsHeldFor() throws {
        let plan = try Self.plan("{\(Self.searching)}")
        #expect(plan.want.value == 30_000 + 2 * 4000 + 2 * 1000)
        #expect(plan.cap(under: plan.want) == 4000)
        #expect(plan.cap(under: Millicredits(plan.want.value - 2000)) == 3000)
        #expect(try Self.plan(#"{"model":"m","input":"x"}"#).cap(under: plan.want) == nil)
    }

    @Test func aCapOfTheClientsOwnIsHeldForInEveryTurn() throws {
        let plan = try Self.plan("{\(Self.searching),\"max_output_tokens\":9000}")
        #expect(plan.want.value == 30_000 + 2 * 9000 + 2 * 1000 && plan.cap(under: plan.want) == nil)
        // No more than three turns can write.
        let more = try Self.plan("{\(Self.searching),\"max_output_tokens\":99000}")
        #expect(more.want.value == 30_000 + 2 * 12_000 + 2 * 1000)
        #expect(more.usageLimits.outputMax == 12_000 && more.usageLimits.inputMax == 30_000)
    }

    // MARK: Limits of tokens

    /// litellm#18730: many requests without a cap must not count for nothing.
    @Test func withoutACapAQuarterOfTheBucketIsCounted() throws {
        let plan = try Self.plan(#"{"model":"m","input":"x"}"#)
        let input = try #require(plan.price.inputMax(plan.bounds))
        func counted(_ bucket: Int64?) -> Int64 {
            plan.limitTokens(outputCap: nil, leastOutputTokens: 16, bucket: bucket) - input
        }
        #expect(counted(8000) == 2000)
        #expect(counted(1_000_000) == 4000, "the model cannot write more")
        #expect(counted(nil) == 16)
        #expect(counted(20) == 16, "what is of use at least")
        // A guess alone must not refuse for ever: it leaves room for the input.
        #expect(counted(input + 20) == 20 && counted(input - 1) == 16)
    }

    @Test func aCapIsCountedAsItIs() throws {
        let body = #"{"model":"m","max_tokens":500,"n":3,"messages":[{"role":"user","content":"x"}]}"#
        let plan = try Self.plan(body, .chat)
        let input = try #require(plan.price.inputMax(plan.bounds))
        #expect(plan.limitTokens(outputCap: 500, leastOutputTokens: 16, bucket: 100) == input + 1500)
        #expect(plan.limitTokens(outputCap: .max, leastOutputTokens: 16, bucket: 100) == input + 12_000)
    }

    // MARK: Units that are known before

    /// tts-1 has no price for tokens, so a report of them would make it free.
    @Test func charactersAreChargedWhateverTheReplyReports() throws {
        let plan = try Self.plan(#"{"model":"tts-1","input":"five!","stream_format":"sse"}"#, .speech)
        var report = ReportedUsage()
        report.inputTokens = 3
        report.outputTokens = 100
        let usage = try plan.usage(of: report, ToolCalls())
        #expect(usage.characters == 5 && usage.inputTotal == 0 && usage.outputTotal == 0)
        #expect(try plan.price.charge(for: usage, served: .default, mode: .exact).amount == plan.want)
    }
}
