import Metering
import Testing

@testable import RateCards

/// What a card would have earned, exactly, and what it would have refused.
@Suite struct RateCardSimulationTests {
    private func simulate(_ card: RateCard, _ records: [UsageRecord]) throws -> RateCardSimulation {
        var simulation = RateCardSimulation(prices: try card.priceTable(mode: .exact))
        for record in records { simulation.add(record) }
        return simulation
    }

    /// The same card says the same, or the difference of another one could not be trusted.
    @Test func theCardThatChargedChangesNothing() throws {
        let card = try History.card()
        let records = try ["default", "flex", nil].map {
            try History.record(History.rich, by: card, tier: $0)
        }
        let total = try self.simulate(card, records).total
        #expect(total.events == 3 && total.revenueNow == total.revenueThen && total.costNow == total.costThen)
        #expect(total.revenueNow == Int128(records.reduce(0) { $0 + $1.charged.value }))
        #expect(total.revenueNow > 0)
    }

    @Test func sumsAreByModelAndByAccountAndExact() throws {
        let card = try History.card()
        let candidate = try History.card(version: "2", markup: "3", output: "5")
        let usage = Usage(input: 1_000_000, output: 1_000_000)
        let records = [
            try History.record(usage, by: card, account: 1), try History.record(usage, by: card, account: 2),
            try History.record(usage, by: card, account: 2, tier: "flex"),
        ]
        let simulation = try self.simulate(candidate, records)
        // 1 + 4 USD × 2, twice, and 0.5 + 2 USD × 2; then 1 + 5 USD × 3, twice, and 0.5 + 2 USD × 3.
        let model = try #require(simulation.byModel["m"])
        #expect(model == simulation.total)
        #expect(model.events == 3 && model.revenueNow == 25_000_000 && model.revenueThen == 43_500_000)
        #expect(model.costNow == 12_500_000_000_000 && model.costThen == 14_500_000_000_000)
        #expect(model.marginNow == 12_500_000_000_000 && model.marginThen == 29_000_000_000_000)
        #expect(simulation.byAccount[1]?.revenueThen == 18_000_000)
        #expect(simulation.byAccount[2]?.revenueThen == 25_500_000)
        #expect(simulation.users == [1: "user1", 2: "user2"])
    }

    @Test func toolsAndPartsArePricedAgain() throws {
        let record = try History.record(History.rich, by: try History.card())
        let dearer = try self.simulate(try History.card(version: "2", tools: "20"), [record]).total
        #expect(dearer.revenueThen - dearer.revenueNow == 2 * 20_000, "2 calls, 10 USD per 1K more, times 2")
    }

    @Test func whatTheCardWouldRefuseIsNamedAndEarnsNothing() throws {
        let other = """
              other:
                encoding: o200k_base
                endpoints: [responses]
                context: 100000
                max_output: 10000
                cost: {input: "1", output: "4"}
            """
        let card = try History.card(models: other)
        let gone = try History.record(Usage(input: 10, output: 10), by: card, model: "other")
        var (moved, spoken) = (gone, gone)
        let onlyOther = try RateCard(
            parsing: """
                card: test
                version: "3"
                effective_from: 2026-01-01T00:00:00Z
                markup: "2"
                models:
                \(other)
                """)
        #expect(
            try self.simulate(try History.card(), [gone]).refused.keys.map { $0 } == [.init("other", .model)])
        moved.endpoint = .chat
        #expect(try self.simulate(onlyOther, [moved]).refused.keys.map { $0 } == [.init("other", .endpoint)])
        spoken.endpoint = .responses
        spoken.usage?.audio.input = 1
        #expect(try self.simulate(onlyOther, [spoken]).refused.keys.map { $0 } == [.init("other", .parts)])
        var searched = gone
        searched.endpoint = .responses
        searched.usage?.tools[.fileSearch] = 1
        let simulation = try self.simulate(onlyOther, [searched])
        let sums = try #require(simulation.refused[.init("other", .parts)])
        #expect(sums.events == 1 && sums.revenueNow > 0 && sums.revenueThen == 0 && sums.costThen == 0)
        #expect(simulation.total == sums && simulation.byModel["other"] == sums)
    }

    @Test func whatIsNoSaleIsToldApart() throws {
        let card = try History.card()
        let candidate = try History.card(version: "2", markup: "4")
        let usage = Usage(input: 1000, output: 1000)
        let waived = try History.record(usage, by: card, kind: .waived)
        var (void, estimated, reaped) = (waived, try History.record(usage, by: card), waived)
        void.kind = .void
        estimated.isEstimated = true
        (reaped.kind, reaped.isEstimated, reaped.usage) = (.orphan, true, .zero)
        (reaped.charged, reaped.cost) = (Millicredits(77), .zero)
        let simulation = try self.simulate(candidate, [waived, void, estimated, reaped])
        #expect(simulation.voided == 1)
        #expect(simulation.waived.revenueNow == 10_000 && simulation.waived.revenueThen == 20_000)
        #expect(simulation.estimated.revenueNow == 10_000 && simulation.estimated.revenueThen == 20_000)
        #expect(simulation.notPricedAgain.revenueNow == 77 && simulation.notPricedAgain.revenueThen == 77)
        // Waived exchanges cost and earn nothing; the void is in no sum.
        #expect(simulation.total.events == 3)
        #expect(simulation.total.revenueNow == 10_077 && simulation.total.revenueThen == 20_077)
        #expect(simulation.total.costNow == 2 * 5_000_000_000)
    }

    @Test func theReportNamesEverything() throws {
        let card = try History.card()
        let records = [try History.record(Usage(input: 1000, output: 1000), by: card, account: 7)]
        let text = RateCardReport.render(try self.simulate(try History.card(markup: "1"), records))
        let rows = text.split(separator: "\n").map {
            $0.split(separator: " ", omittingEmptySubsequences: true)
        }
        for name in ["m", "total", "user7"] {
            let row = try #require(rows.first { $0.first.map(String.init) == name })
            #expect(row.dropFirst() == ["1", "10", "5", "-5", "0.005", "0.005", "0.005", "0"])
        }
        for flow in ["voided: 0", "waived: 0", "estimated: 0", "not priced again: 0"] {
            #expect(text.contains(flow))
        }
        let refused = RateCardReport.render(try self.simulate(try History.card(), [try Self.unknown(card)]))
        #expect(refused.contains("refused: old: the model is not on the card: 1 events, 0.005 credits now"))
    }

    private static func unknown(_ card: RateCard) throws -> UsageRecord {
        var record = try History.record(Usage(input: 1, output: 0), by: card)
        (record.model, record.charged) = ("old", Millicredits(5))
        return record
    }
}
