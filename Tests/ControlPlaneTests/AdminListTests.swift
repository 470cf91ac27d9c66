import Billing
import Metering
import Testing

@testable import ControlPlane

/// `GET /api/admin/purchases` and `GET /api/admin/webhook-events`.
@Suite struct AdminListTests {
    private func get(_ target: String, _ back: FakeMoneyBack = FakeMoneyBack()) async throws -> Reply {
        try await ControlRig(back: back).get("/api/admin/" + target, ControlRig.adminToken)
    }

    static func line(_ number: UInt64) -> PurchaseLine {
        var posted = PaymentTarget()
        posted.granted = Millicredits(9_990_000)
        posted.paidCents = 999
        posted.refundedCents = 333
        posted.clawedByRefunds = Millicredits(3_330_000)
        return PurchaseLine(
            purchase: Purchase(
                id: PurchaseID(HoldID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000 + number)),
                account: 1, kind: .checkout, packageCode: "starter", packageVersion: 1,
                packageName: "Starter",
                priceUSDCents: 999, credits: Millicredits(9_990_000), livemode: false, createdAt: 1_000,
                status: .paid, session: "cs_1", paymentIntent: "pi_1", customer: nil),
            userID: "ada", receiptURL: nil, paidAt: 2_000, posted: posted, doubt: nil)
    }

    private static func event(_ number: Int64) -> StoredEvent {
        StoredEvent(
            record: StripeEventRecord(
                id: "evt_\(number)", type: "charge.refunded", livemode: false, createdAt: 7, source: .webhook,
                kind: .payment(PaymentHint(paymentIntent: "pi_1", session: nil, purchase: nil))),
            outcome: .dead, reason: "not_found", attempts: 2,
            cursor: .init(receivedAt: 5_000_000 + number, id: "evt_\(number)"))
    }

    @Test func aPurchaseIsShownWithWhatItsPaymentCameTo() async throws {
        let reply = try await self.get("purchases", FakeMoneyBack(lines: [Self.line(1)]))
        #expect(reply.status == 200)
        #expect(
            reply.text == #"{"entries":[{"purchaseId":"01900000-0000-7000-8000-000000000001","userId":"ada","#
                + #""kind":"checkout","packageCode":"starter","packageVersion":1,"priceUsdCents":999,"#
                + #""creditsMillicredits":"9990000","status":"paid","livemode":false,"sessionId":"cs_1","#
                + #""paymentIntentId":"pi_1","customerId":null,"receiptUrl":null,"createdAtMs":1000,"#
                + #""paidAtMs":2000,"paidCents":999,"refundedCents":333,"lostCents":0,"#
                + #""clawedMillicredits":"3330000","frozenMillicredits":"0","disputed":false,"doubt":null}],"#
                + #""nextCursor":null}"#)
    }

    @Test func anEventIsShownWithWhatBecameOfIt() async throws {
        let reply = try await self.get("webhook-events", FakeMoneyBack(stored: [Self.event(1)]))
        #expect(
            reply.text == #"{"entries":[{"eventId":"evt_1","type":"charge.refunded","livemode":false,"#
                + #""outcome":"dead","reason":"not_found","source":"webhook","attempts":2,"sessionId":null,"#
                + #""paymentIntentId":"pi_1","purchaseId":null,"happenedAtMs":7000,"receivedAtMs":5000}],"#
                + #""nextCursor":null}"#)
    }

    @Test func aFullPageLeadsToTheNext() async throws {
        let back = FakeMoneyBack(
            lines: (1...3).reversed().map(Self.line), stored: (1...3).reversed().map(Self.event))
        let purchases = try await self.get("purchases?limit=2", back)
        let purchase = try #require(try purchases.string("nextCursor"))
        let events = try await self.get("webhook-events?limit=2", back)
        let event = try #require(try events.string("nextCursor"))
        _ = try await self.get("purchases?cursor=\(purchase)", back)
        _ = try await self.get("webhook-events?cursor=\(event)", back)
        #expect(back.purchaseQueries.withLock { $0 }.map(\.before) == [nil, Self.line(2).purchase.id])
        #expect(back.eventQueries.withLock { $0 }.map(\.before) == [nil, Self.event(2).cursor])
    }

    @Test func filtersReachTheLedger() async throws {
        let back = FakeMoneyBack()
        _ = try await self.get("purchases?userId=ada&status=paid&from=1970-01-02&to=1970-01-03", back)
        _ = try await self.get(
            "webhook-events?outcome=dead&type=charge.failed&from=1970-01-02&to=1970-01-03", back)
        #expect(
            back.purchaseQueries.withLock { $0 } == [
                PurchaseQuery(
                    userID: "ada", statuses: [.paid], from: 86_400_000, to: 172_800_000, limit: 50)
            ])
        #expect(
            back.eventQueries.withLock { $0 } == [
                StoredEventQuery(
                    outcomes: [.dead], type: "charge.failed", from: 86_400, to: 172_800, limit: 50)
            ])
    }

    /// (target, the parameter that is named)
    @Test(arguments: [
        ("purchases?status=gold", "status"), ("purchases?limit=501", "limit"),
        ("purchases?cursor=1", "cursor"), ("purchases?from=soon", "from"), ("purchases?to=2026-13-01", "to"),
        ("accounts?accountId=0", "accountId"), ("accounts?accountId=x", "accountId"),
        ("accounts?keyPrefix=tg_0123456", "keyPrefix"), ("accounts?keyPrefix=%00", "keyPrefix"),
        ("webhook-events?outcome=lost", "outcome"), ("webhook-events?to=soon", "to"),
        ("webhook-events?cursor=evt_1", "cursor"), ("webhook-events?cursor=-1.evt_1", "cursor"),
        ("webhook-events?limit=x", "limit"), ("purchases?userId=%00", "userId"),
        ("webhook-events?type=%00", "type"), ("webhook-events?cursor=1.%00", "cursor"),
    ]) func aWrongFilterIsNamed(_ target: String, _ parameter: String) async throws {
        let reply = try await self.get(target)
        #expect(try reply.status == 400 && reply.string("param") == parameter)
    }

    @Test(arguments: ["purchases", "webhook-events"])
    func aUserSeesNoneOfIt(_ target: String) async throws {
        let rig = ControlRig()
        #expect(try await rig.get("/api/admin/" + target, FakeLedger.adaKey).status == 403)
        #expect(try await rig.get("/api/admin/" + target).status == 401)
    }

    @Test(arguments: ["purchases", "webhook-events"])
    func aLedgerThatIsAwayIsSaid(_ target: String) async throws {
        let reply = try await self.get(target, FakeMoneyBack(isDown: true))
        #expect(try reply.status == 503 && reply.string("code") == "ledger_unavailable")
    }
}
