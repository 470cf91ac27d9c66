import Metering
import Testing

@testable import Billing

/// The ledger was set back, and only the payment knows of its purchase.
@Suite struct PurchaseRestorationTests {
    private static let package = CreditPackage(
        code: "starter", version: 1, name: "Starter", priceUSDCents: 999, credits: 9990, bonusCredits: 0)

    private func restoration(
        _ purchase: Purchase = .starter(), package: CreditPackage? = Self.package, holder: String? = nil
    ) throws(PurchaseRestoration.Doubt) -> PurchaseRestoration {
        try PurchaseRestoration(.of(purchase), package: package, holder: holder)
    }

    @Test(arguments: [nil, "ada"]) func aPurchaseComesBackAsItWas(_ holder: String?) throws {
        let before = Purchase.starter(livemode: true, customer: nil)
        let purchase = try self.restoration(before, holder: holder).purchase(for: 7)
        #expect(purchase.id == before.id && purchase.account == 7 && purchase.kind == .checkout)
        #expect(purchase.priceUSDCents == 999 && purchase.credits == before.credits)
        #expect(purchase.packageName == "Starter" && purchase.packageVersion == 1 && purchase.livemode)
        #expect(purchase.createdAt == before.createdAt && purchase.status == .created)
        #expect(purchase.session == nil && purchase.paymentIntent == nil)
    }

    /// Usage of both may stand under one number.
    @Test func aNumberThatIsAnotherUsersGoesToAPerson() {
        #expect(throws: PurchaseRestoration.Doubt.accountOfAnotherUser) {
            try self.restoration(holder: "bob")
        }
    }

    /// Its price and its credits are the ledger's, never only the label's.
    @Test func onlyWhatWasSoldIsMadeAgain() {
        var wrong: [CreditPackage?] = [nil]
        for change: (inout CreditPackage) -> Void in [
            { $0.version = 2 }, { $0.priceUSDCents = 998 }, { $0.credits = 9991 }, { $0.code = "gold" },
        ] {
            var package = Self.package
            change(&package)
            wrong.append(package)
        }
        for package in wrong {
            #expect(throws: PurchaseRestoration.Doubt.unknownPackage) {
                try self.restoration(package: package)
            }
        }
    }

    /// (attempt under way, hours since, key)
    @Test(
        arguments: [
            (4, 1, "recharge:7:4"), (4, 23, "recharge:7:0:\(Purchase.testID)"),
            (5, 1, "recharge:7:0:\(Purchase.testID)"), (nil, 1, "recharge:7:0:\(Purchase.testID)"),
        ] as [(Int64?, Int64, String)])
    func onlyTheAttemptUnderWayTakesItsPurchaseBack(
        _ underWay: Int64?, _ hours: Int64, _ expected: String
    ) throws {
        let purchase = Purchase.starter(kind: .recharge)
        let now = Int64(purchase.id.uuid.millisecondsSinceEpoch) + hours * 3_600_000
        let key = try self.restoration(purchase).attemptKey(for: 7, underWay: underWay, now: now)
        #expect(key == expected)
        #expect(key.map { RechargeAttempt.number(inKey: $0) } == (expected.hasSuffix(":4") ? 4 : 0))
        #expect(try self.restoration().attemptKey(for: 7, underWay: underWay, now: now) == nil)
    }
}
