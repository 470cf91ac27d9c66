import Metering
import Testing

@testable import RateCards

/// What a person reads before a card takes effect, and what is checked then (CONTRACT §7).
@Suite struct PublishingTests {
    private func review(_ old: RateCard, _ new: RateCard) -> [RateCardDiff.Reviewed] {
        RateCardDiff(from: old, to: new, nowMilliseconds: 0).review
    }

    @Test(
        arguments: [
            ("8", "10", "+25.0 %"), ("10", "8", "-20.0 %"), ("3", "4", "+33.3 %"), ("3", "5", "+66.7 %"),
            ("0.0003", "0.3", "+99900.0 %"), ("4", "0", "-100.0 %"), ("2000", "2001", "+0.1 %"),
            ("0", "1", nil), ("-", "1", nil), ("chat", "responses", nil),
            ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", nil),
        ] as [(String, String, String?)])
    func percentAreInTenths(from: String, to: String, percent: String?) {
        #expect(RateCardDiff.percent(from: from, to: to) == percent)
    }

    @Test func aChangeStandsWithItsMarginOnce() throws {
        let changes = self.review(try History.card(), try History.card(version: "2", output: "5"))
        let price = try #require(changes.first { $0.change == .changed(path: "output", from: "8", to: "10") })
        #expect(price.percent == "+25.0 %" && price.marginBefore == "50.0 %" && price.marginAfter == "50.0 %")
        let cost = try #require(
            changes.first { $0.change == .changed(path: "cost.output", from: "4", to: "5") })
        #expect(cost.percent == "+25.0 %" && cost.margin == nil)
    }

    /// A price that is named stays when the cost rises: the margin is all that tells of it.
    @Test func aCostThatRisesUnderANamedPriceShowsTheMargin() throws {
        func card(_ cost: String) throws -> RateCard {
            try RateCard(
                parsing: """
                    card: test
                    version: "\(cost)"
                    effective_from: 2026-01-01T00:00:00Z
                    markup: "2"
                    models:
                      m:
                        encoding: o200k_base
                        endpoints: [chat]
                        context: 1000
                        max_output: 100
                        cost: {input: "1", output: "\(cost)"}
                        price: {output: "10"}
                    """)
        }
        let text = RateCardReport.renderDiff(
            RateCardDiff(from: try card("4"), to: try card("8"), nowMilliseconds: 0))
        #expect(text.contains("~ m cost.output: 4 → 8 (+100.0 %), margin 60.0 % → 20.0 %"), "\(text)")
    }

    @Test func markupAndDateAndWhatComesAreLines() throws {
        var new = try History.card(version: "2", markup: "3")
        new.effectiveFromMilliseconds += 86_400_000
        new.models["n"] = new.models["m"]
        new.models["m"] = nil
        let text = RateCardReport.renderDiff(
            RateCardDiff(from: try History.card(), to: new, nowMilliseconds: 0))
        for line in [
            "~ (card) effective_from: 2026-01-01T00:00:00Z → 2026-01-02T00:00:00Z",
            "~ (card) markup: 2 → 3 (+50.0 %)", "- m",
            "+ n: input 3, cached_input 0.3, cache_write 3, output 12, audio_input 90, audio_cached_input 90, "
                + "audio_output 180",
        ] {
            #expect(text.split(separator: "\n").contains { $0 == line }, "\(text)")
        }
    }

    // MARK: The checks

    private func problems(_ old: RateCard?, _ new: RateCard, now: Int64 = 0) -> [RateCardProblem] {
        RateCardDiff(from: old, to: new, nowMilliseconds: now).problems
    }

    @Test func aVersionIsAppliedOnce() throws {
        let card = try History.card()
        #expect(self.problems(card, card).isEmpty, "the same again changes nothing")
        let other = self.problems(card, try History.card(output: "5"))
        #expect(other.map(\.path) == ["version"] && other[0].severity == .error)
        // One that is not in force: only the ledger knows of it.
        var diff = RateCardDiff(from: try History.card(version: "0"), to: card, nowMilliseconds: 0)
        diff.refuseVersion(of: card)
        diff.refuseVersion(of: card)
        #expect(diff.problems.map(\.path) == ["version"])
    }

    @Test func aPastDateIsANotice() throws {
        let card = try History.card()
        let at = card.effectiveFromMilliseconds
        #expect(self.problems(nil, card, now: at).isEmpty)
        let late = self.problems(nil, card, now: at + 1)
        #expect(late.map(\.path) == ["effective_from"] && late[0].severity == .notice)
    }

    /// Not a warning but a refusal: what no unit is known of cannot be charged.
    @Test func anUnknownUnitAndAPriceThatIsNoDecimalAreRefused() throws {
        for (cost, place) in [
            (#"{input: "1", output: "4", minute: "0.1"}"#, "models.m.cost"),
            (#"{input: "1", output: "4,5"}"#, "models.m.cost.output"),
            (#"{input: "1e-3", output: "4"}"#, "models.m.cost.input"),
            (#"{input: 1.5, output: "4"}"#, "models.m.cost.input"),
        ] {
            let error = #expect(throws: RateCardInvalid.self) {
                try RateCard(
                    parsing: """
                        card: test
                        version: "1"
                        effective_from: 2026-01-01T00:00:00Z
                        markup: "2"
                        models:
                          m:
                            encoding: o200k_base
                            endpoints: [chat]
                            context: 1000
                            max_output: 100
                            cost: \(cost)
                        """)
            }
            #expect(error?.problems.contains { $0.path == place } == true, "\(String(describing: error))")
        }
    }
}
