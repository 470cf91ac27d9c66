import Foundation
import Metering
import Testing

@testable import RateCards

/// Files of the checkout.
enum Checkout {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func text(_ path: String) throws -> String {
        try String(contentsOf: self.root.appendingPathComponent(path), encoding: .utf8)
    }
}

/// The test vectors of CONTRACT §7, against the file that ships.
@Test(
    arguments: [
        ("gpt-4o-mini", 1000, 1000, 12000, 12000), ("gpt-4o", 10000, 2000, 360_000, 360_000),
        ("gpt-4o-mini", 750, 200, 3720, 4000), ("gpt-4o", 1234, 567, 70040, 71000),
        ("gpt-5-nano", 1000, 1000, 1800, 2000), ("gpt-5", 10000, 2000, 130_000, 130_000),
    ] as [(String, Int64, Int64, Int64, Int64)])
func vectorsOfTheContract(model: String, input: Int64, output: Int64, exact: Int64, ceil: Int64) throws {
    let card = try RateCard(parsing: try Checkout.text("ratecards/scholarlink-2025.yaml"))
    let usage = Usage(input: input, output: output)
    for (mode, expected) in [(RoundingMode.exact, exact), (.ceil, ceil)] {
        let row = try #require(try card.priceTable(mode: mode).row(for: model))
        #expect(try row.charge(for: usage, served: .default, mode: mode).amount.value == expected)
    }
}

/// CONTRACT §7: an unnamed cached or cache-write price is then the input price.
@Test func aNamedInputPriceAlsoPricesTheCache() throws {
    let card = try RateCard(parsing: try Checkout.text("ratecards/scholarlink-2025.yaml"))
    let row = try #require(try card.priceTable(mode: .exact).row(for: "gpt-4o-mini"))
    let cached = Usage(input: 0, cachedInput: 1000, output: 0)
    let charge = try row.charge(for: cached, served: .default, mode: .exact)
    #expect(charge.amount.value == 2400)
    #expect(charge.cost.value == 75_000_000, "the cost of cached tokens is OpenAI's: 0.075 USD per 1M")
}

@Test func fineTunedModelsUseTheRowOfTheirBaseAndSnapshotsNeedTheirOwn() throws {
    let table = try RateCard(parsing: try Checkout.text("ratecards/openai-2026-11-12.yaml")).priceTable(
        mode: .exact)
    #expect(table.row(for: "ft:gpt-4.1-2025-04-14:acme::abc123")?.model == "ft:gpt-4.1-2025-04-14")
    #expect(table.row(for: "ft:gpt-4.1-2025-04-14")?.model == "ft:gpt-4.1-2025-04-14")
    #expect(table.row(for: "ft:nothing:acme::abc") == nil)
    #expect(table.row(for: "gpt-4o-2030-01-01") == nil)
    #expect(table.row(for: "") == nil)
}
