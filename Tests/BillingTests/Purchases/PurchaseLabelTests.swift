import Metering
import Testing

@testable import Billing

extension LedgerID {
    static let test = LedgerID(HoldID(high: 0x1122_3344_5566_7788, low: 0x99aa_bbcc_ddee_ff00))
}

extension PurchaseLabel {
    static func of(_ purchase: Purchase, userID: String = "ada") -> PurchaseLabel {
        PurchaseLabel(
            purchase, userID: userID, ledger: .test,
            attempt: purchase.kind == .recharge ? Attempt(number: 4, paymentMethod: "pm_1") : nil)
    }
}

@Suite struct PurchaseLabelTests {
    @Test(arguments: [Purchase.Kind.checkout, .recharge])
    func whatIsWrittenIsRead(_ kind: Purchase.Kind) throws {
        let label = PurchaseLabel.of(.starter(kind: kind, livemode: true), userID: "ada@example.com; é")
        #expect(PurchaseLabel(label.metadata) == label)
        #expect(label.metadata.count <= 50 && label.kind == kind)
    }

    /// Releases before know purchase and account by these names.
    @Test func theNamesOfBeforeAreInIt() {
        let metadata = PurchaseLabel.of(.starter()).metadata
        #expect(metadata["tollgate_purchase"] == "\(Purchase.testID)" && metadata["tollgate_account"] == "7")
        #expect(metadata[Purchase.ledgerKey] == "11223344-5566-7788-99aa-bbccddeeff00")
    }

    /// Whatever is missing or altered, nothing is made of a label that is not whole.
    @Test func aPartIsNoLabel() {
        let whole = PurchaseLabel.of(.starter(kind: .recharge)).metadata
        for key in whole.keys {
            #expect(PurchaseLabel(whole.filter { $0.key != key }) == nil, "without \(key)")
        }
        for (key, value) in [
            ("tollgate_account", "0"), ("tollgate_user", ""), ("tollgate_user", "a\nb"),
            ("tollgate_millicredits", "-1"), ("tollgate_millicredits", "9000000000000001"),
            ("tollgate_price_cents", "1e3"), ("tollgate_kind", "gift"), ("tollgate_mode", "both"),
            ("tollgate_ledger", "x"), ("tollgate_attempt", "-1"),
        ] {
            #expect(PurchaseLabel(whole.merging([key: value]) { $1 }) == nil, "\(key) \(value)")
        }
    }

    /// Stripe would refuse the whole request.
    @Test func aValueThatStripeRefusesIsLeftOut() {
        let longest = Purchase(
            id: Purchase.testID, account: 7, kind: .checkout,
            packageCode: String(repeating: "x", count: 501), packageVersion: 1, packageName: "X",
            priceUSDCents: 1, credits: Millicredits(1), livemode: false, createdAt: 0, status: .created,
            session: nil, paymentIntent: nil, customer: nil)
        let metadata = PurchaseLabel.of(longest, userID: String(repeating: "é", count: 128)).metadata
        #expect(metadata["tollgate_package"] == nil && metadata["tollgate_user"]?.count == 128)
        #expect(metadata.values.allSatisfy { $0.unicodeScalars.count <= 500 })
    }
}
