import Metering
import Testing

@testable import Billing

/// What a user may agree to.
@Suite struct RechargeSettingsTests {
    private static let package = CreditPackage(
        code: "starter", version: 1, name: "Starter", priceUSDCents: 999, credits: 9990, bonusCredits: 0)

    @Test func settingsThatMakeNoSenseAreRefused() {
        func make(_ threshold: Int64, _ price: Int64, _ limit: Int64) throws(RechargeSettings.Failure) {
            _ = try RechargeSettings(
                threshold: Millicredits(threshold), packageCode: "x", priceUSDCents: price,
                dailyLimitCents: limit)
        }
        #expect(throws: RechargeSettings.Failure.thresholdNegative) { try make(-1, 1, 1) }
        #expect(throws: RechargeSettings.Failure.priceNotPositive) { try make(0, 0, 1) }
        #expect(throws: RechargeSettings.Failure.limitBelowPrice) { try make(0, 999, 998) }
    }

    /// A threshold that one charge does not reach would be reached by charging until the day's limit.
    @Test func aThresholdIsLessThanThePackage() throws {
        func agree(_ threshold: Int64) throws(RechargeSettings.Failure) {
            _ = try RechargeSettings(
                threshold: Millicredits(threshold), package: Self.package, dailyLimitCents: 999,
                dailyMaxCents: 999)
        }
        try agree(9_989_999)
        #expect(throws: RechargeSettings.Failure.thresholdNotBelowCredits) { try agree(9_990_000) }
    }

    @Test func theOperatorsMaximumIsAboveAllLimits() throws {
        func agree(_ limit: Int64) throws(RechargeSettings.Failure) -> RechargeSettings {
            try RechargeSettings(
                threshold: .zero, package: Self.package, dailyLimitCents: limit, dailyMaxCents: 5000)
        }
        #expect(throws: RechargeSettings.Failure.limitAboveMaximum(cents: 5000)) { try agree(5001) }
        let agreed = try agree(5000)
        #expect(agreed.priceUSDCents == 999 && agreed.packageCode == "starter")
        // It was larger when the user agreed.
        #expect(agreed.atMost(2000).dailyLimitCents == 2000)
        #expect(agreed.atMost(6000) == agreed)
    }

    /// The operator's maximum can end below the price of a package that is agreed to.
    @Test func aMaximumBelowThePriceChargesNothing() throws {
        var recharge = Recharge(account: 7)
        recharge.turnOn(
            try RechargeSettings(
                threshold: Millicredits(1000), packageCode: "starter", priceUSDCents: 999,
                dailyLimitCents: 999
            ).atMost(998))
        let low = RechargeSight(available: .zero, version: 1, isSuspended: false, isPaymentUnderWay: false)
        let noon: Int64 = 43_200_000
        #expect(recharge.saw(low, now: noon) == .wait(until: 2 * noon))
    }
}
