import Metering
import Testing

@testable import Proxy

/// A reply does not tell by which of two search tools it searched.
@Suite struct AdmissionPlanCallsTests {
    private static func plan(_ tools: [String], search: Int64, preview: Int64) throws -> AdmissionPlan {
        let declared = tools.map { "{\"type\":\"\($0)\"}" }.joined(separator: ",")
        let body = Array("{\"model\":\"m\",\"input\":\"hi\",\"tools\":[\(declared)]}".utf8)
        let request = try body.withUnsafeBytes { try RequestInspector.inspect($0, as: .responses).get() }
        let unit = AttoUSD.perMillicredit
        let rates = TokenRates(input: unit, cachedInput: unit, cacheWrite: unit, output: unit)
        let fees = UnitRates(tools: [
            .webSearch: unit * Int128(search), .webSearchPreview: unit * Int128(preview), .fileSearch: unit,
        ])
        let price = ModelPrice(
            priceID: "p", model: "m", endpoints: [.responses], context: 1000, outputMax: 100,
            tiers: [.default: TierPrice(cost: rates, price: rates)], longContext: nil,
            units: UnitPrice(cost: fees, price: fees), onDisconnect: nil)
        return try AdmissionPlan(
            request, bodyBytes: body.count, prices: PriceTable(version: "v", mode: .exact, rows: [price]),
            leastOutputTokens: 1)
    }

    @Test(
        arguments: [
            (["web_search"], 10, 25, 3, 0), (["web_search_preview"], 10, 25, 0, 3),
            (["web_search", "web_search_preview"], 10, 25, 0, 3),
            (["web_search", "web_search_preview"], 25, 10, 3, 0),
            (["web_search", "web_search_preview"], 10, 10, 3, 0),
        ] as [([String], Int64, Int64, Int64, Int64)])
    func theDearerDeclaredSearchIsCharged(
        tools: [String], search: Int64, preview: Int64, searches: Int64, previews: Int64
    ) throws {
        let plan = try Self.plan(tools + ["file_search"], search: search, preview: preview)
        var seen = ToolCalls()
        seen[.webSearch] = 3
        seen[.fileSearch] = 2
        let calls = plan.calls(of: seen)
        #expect(calls[.webSearch] == searches && calls[.webSearchPreview] == previews)
        #expect(calls[.fileSearch] == 2)
    }
}
