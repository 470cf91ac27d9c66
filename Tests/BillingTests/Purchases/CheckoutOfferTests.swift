import Metering
import Testing

@testable import Billing

@Suite struct CheckoutOfferTests {
    private func urls() throws -> ReturnURLs {
        let origin = try #require(WebOrigin("https://app.example.com"))
        return try ReturnURLs(
            success: "https://app.example.com/ok", cancel: "https://app.example.com/no", allowed: [origin])
    }

    @Test func whatStripeIsAskedForComesFromThePurchase() throws {
        let purchase = Purchase.starter()
        let offer = CheckoutOffer(
            purchase, label: .of(purchase), urls: try self.urls(), savesPaymentMethod: false)
        #expect(
            offer.lineItem
                == CheckoutOffer.LineItem(name: "Starter", currency: "usd", unitAmountCents: 999, quantity: 1)
        )
        let label = PurchaseLabel.of(purchase).metadata
        #expect(offer.metadata == label && offer.clientReferenceID == "\(purchase.id)")
        #expect(offer.customer == "cus_1")
        #expect(offer.expiresAt == 1_790_000_000 + 23 * 3600)
    }

    /// Asked again with one byte changed, Stripe answers the key with an error instead of the session.
    @Test func thePurchaseAloneMakesTheRequest() throws {
        var later = Purchase.starter()
        later.sessionOpened("cs_9")
        later.sessionExpired()
        let urls = try self.urls()
        let (first, second) = (
            CheckoutOffer(.starter(), label: .of(.starter()), urls: urls, savesPaymentMethod: true),
            CheckoutOffer(later, label: .of(later), urls: urls, savesPaymentMethod: true)
        )
        #expect(first == second && first.idempotencyKey == second.idempotencyKey)
    }

    @Test func purchasesAndKindsHaveKeysOfTheirOwn() throws {
        let offer = CheckoutOffer(
            .starter(), label: .of(.starter()), urls: try self.urls(), savesPaymentMethod: true)
        let order = Purchase.starter(kind: .recharge)
        let recharge = try #require(RechargeOffer(order, label: .of(order), paymentMethod: "pm_1"))
        #expect(offer.idempotencyKey == "tollgate:checkout:\(Purchase.testID)")
        #expect(recharge.idempotencyKey == "tollgate:recharge:\(Purchase.testID)")
    }

    @Test func aRechargeChargesTheSavedCardOfItsCustomer() throws {
        let order = Purchase.starter(kind: .recharge)
        let offer = try #require(RechargeOffer(order, label: .of(order), paymentMethod: "pm_1"))
        #expect(offer.amountCents == 999 && offer.currency == "usd")
        #expect(offer.customer == "cus_1" && offer.paymentMethod == "pm_1")
        #expect(offer.metadata == PurchaseLabel.of(order).metadata)
        let nobody = Purchase.starter(kind: .recharge, customer: nil)
        #expect(RechargeOffer(nobody, label: .of(nobody), paymentMethod: "pm_1") == nil)
    }
}
