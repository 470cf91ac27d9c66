import Metering
import Testing

@testable import Billing

/// One account at Stripe, and several who sell through it.
@Suite struct PaymentOwnerTests {
    private func owner(_ metadata: [String: String], isKnown: Bool = false) -> PaymentOwner {
        PaymentOwner(metadata, of: .test) { _ in isKnown }
    }

    private static let names = Purchase.starter().namesOfBefore
    private static let other = "00000000-0000-4000-8000-000000000000"

    @Test(arguments: [
        [:], ["order": "7"], [Purchase.ledgerKey: "\(LedgerID.test)"], [Purchase.purchaseKey: "order-7"],
        Self.names.merging([Purchase.ledgerKey: Self.other]) { $1 },
        Self.names.merging([Purchase.ledgerKey: "unreadable"]) { $1 },
    ])
    func whatIsNotForAPurchaseOfThisLedgerIsNotOurs(_ metadata: [String: String]) {
        #expect(self.owner(metadata) == .notOurs)
    }

    @Test func aPurchaseThatIsHereIsOurs() {
        #expect(self.owner(Self.names, isKnown: true) == .ours(Purchase.testID))
        #expect(
            self.owner(PurchaseLabel.of(.starter()).metadata, isKnown: true) == .ours(Purchase.testID))
    }

    /// A release before did not say by which ledger: it can only be this one, as there was no other then.
    @Test func aPurchaseOfThisLedgerThatIsNotHereIsLost() {
        #expect(self.owner(PurchaseLabel.of(.starter()).metadata) == .lost(Purchase.testID))
        #expect(self.owner(Self.names) == .lost(Purchase.testID))
    }

    @Test func aKeyTellsItsAttempt() {
        let attempt = RechargeAttempt(number: 12, cents: 1, startedAt: 0)
        #expect(RechargeAttempt.number(inKey: attempt.key(of: 7)) == 12)
        #expect(RechargeAttempt.number(inKey: "recharge:7:0:x") == 0)
        #expect(RechargeAttempt.number(inKey: "recharge:7") == 0)
    }
}
