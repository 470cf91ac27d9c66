import Metering
import Testing

@testable import ControlPlane

/// `activeRates` of the summary: what is not priced is not shown, and no client of before sees another
/// member.
@Suite struct BillingRatesTests {
    private func text(_ price: TokenRates, _ units: UnitRates = .none) -> String {
        BillingRates.json(
            ModelPrice(
                priceID: "c@1/m", model: "m", endpoints: [.chat], context: 10, outputMax: 10,
                tiers: [.default: TierPrice(cost: price, price: price)], longContext: nil,
                units: UnitPrice(cost: units, price: units), onDisconnect: nil)
        ).text
    }

    private static let unit: Int128 = 1_000_000_000_000
    private static let plain =
        #"{"model":"m","priceId":"c@1/m","inputCreditsPer1k":"1","#
        + #""cachedInputCreditsPer1k":"0.5","cacheWriteCreditsPer1k":"1","outputCreditsPer1k":"4""#
    private static let rates = TokenRates(
        input: unit, cachedInput: unit / 2, cacheWrite: unit, output: 4 * unit)

    @Test func textAloneIsShownAsBefore() { #expect(self.text(Self.rates) == Self.plain + "}") }

    @Test func whatElseIsPricedFollows() {
        var rates = Self.rates
        rates.cacheWriteLong = 2 * Self.unit
        rates.audio = MediaRates(input: 32 * Self.unit, cachedInput: 3 * Self.unit, output: 64 * Self.unit)
        let units = UnitRates(
            millisecond: 3 * Self.unit / 20, character: 15 * Self.unit,
            tools: [.webSearch: 20_000 * Self.unit, .fileSearch: 5000 * Self.unit])
        #expect(
            self.text(rates, units) == Self.plain + #","cacheWrite12hCreditsPer1k":"2","#
                + #""audioInputCreditsPer1k":"32","audioCachedInputCreditsPer1k":"3","#
                + #""audioOutputCreditsPer1k":"64","creditsPerSecond":"0.15","charactersCreditsPer1k":"15","#
                + #""toolCreditsPer1kCalls":{"file_search":"5000","web_search":"20000"}}"#)
    }
}
