import Billing
import Foundation
import Metering
import Testing

@testable import ControlPlane

/// Coming back from Stripe: the page says what is known, and looks again until the webhook is in.
@Suite struct PurchaseNewsTests {
    private static func line(
        _ status: Purchase.Status, session: String, number: UInt64 = 1, receipt: String? = nil,
        ageSeconds: Int64 = 5
    ) -> PurchaseLine {
        PurchaseLine(
            purchase: Purchase(
                id: PurchaseID(HoldID(high: 0x0190_0000_0000_7000 + number, low: 0x8000_0000_0000_0001)),
                account: 2,
                kind: .checkout, packageCode: "starter", packageVersion: 1, packageName: "Starter",
                priceUSDCents: 999, credits: Millicredits(9_990_000), livemode: false,
                createdAt: Int64(Date().timeIntervalSince1970 * 1000) - ageSeconds * 1000, status: status,
                session: session, paymentIntent: nil,
                customer: nil),
            userID: "bob", receiptURL: receipt, paidAt: nil, posted: PaymentTarget(), doubt: nil)
    }

    private func page(_ lines: [PurchaseLine], _ query: String) async throws -> String {
        let rig = PortalRig(back: FakeMoneyBack(lines: lines))
        return try await rig.get(
            "/billing?tab=credits&" + query, cookie: rig.portal.signIn(2).cookie
        ).text
    }

    @Test(arguments: [Purchase.Status.created, .open])
    func itIsPendingUntilTheWebhookIsIn(_ status: Purchase.Status) async throws {
        let text = try await self.page([Self.line(status, session: "cs_1")], "success=true&session_id=cs_1")
        #expect(text.contains("Purchase pending") && text.contains("data-pending"))
        #expect(text.contains(#"<noscript><meta http-equiv="refresh""#), "it looks again without scripts")
    }

    /// A bank takes days, and a page that is left open must not ask for ever.
    @Test func whatTakesLongerIsPendingButNotWatched() async throws {
        for line in [
            Self.line(.processing, session: "cs_1"), Self.line(.open, session: "cs_1", ageSeconds: 3601),
        ] {
            let text = try await self.page([line], "success=true&session_id=cs_1")
            #expect(text.contains("Purchase pending") && !text.contains("data-pending"))
            #expect(!text.contains("http-equiv=\"refresh\""))
        }
    }

    @Test func thenItIsDoneWithAReceipt() async throws {
        let lines = [
            Self.line(.open, session: "cs_2", number: 2),
            Self.line(.paid, session: "cs_1", receipt: "https://pay.stripe.com/receipts/1"),
        ]
        let text = try await self.page(lines, "success=true&session_id=cs_1")
        #expect(text.contains("9,990 credits were added") && !text.contains("data-pending"))
        #expect(text.contains(#"href="https://pay.stripe.com/receipts/1""#))
        #expect(!text.contains("http-equiv=\"refresh\""))
        #expect(try await self.page(lines, "success=true").contains("data-pending"), "the newest one")
    }

    @Test(arguments: [Purchase.Status.expired, .failed, .quarantined])
    func whatDidNotWorkIsNoSuccess(_ status: Purchase.Status) async throws {
        let text = try await self.page([Self.line(status, session: "cs_1")], "success=true&session_id=cs_1")
        #expect(!text.contains("were added") && !text.contains("data-pending"))
    }

    @Test func withoutAPurchaseThereIsNoNews() async throws {
        #expect(
            try await !self.page([Self.line(.paid, session: "cs_1")], "success=false").contains("were added"))
        #expect(try await !self.page([], "success=true&session_id=cs_9").contains("data-pending"))
    }
}
