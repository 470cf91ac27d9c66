import Billing
import HTTPTypes
import Hummingbird
import Metering
import Testing

@testable import ControlPlane

/// `/api/stripe/*` of CONTRACT §5.
@Suite struct StripeRouteTests {
    private static let order =
        #"{"packageCode":"starter","successUrl":"https://a.test/ok","cancelUrl":"https://a.test/no"}"#

    private func checkOut(
        _ body: String = Self.order, _ token: String? = FakeLedger.adaKey, desk: FakeDesk = FakeDesk()
    ) async throws -> Reply {
        try await ControlRig(desk: desk).send(.post, "/api/stripe/create-checkout-session", token, body: body)
    }

    @Test func aCheckoutIsOfThePackageAndOfNothingTheClientSays() async throws {
        let desk = FakeDesk()
        let body = #"{"price":1,"credits":999999999,"userId":"bob",\#(Self.order.dropFirst())"#
        let reply = try await self.checkOut(body, desk: desk)
        #expect(reply.status == 200)
        #expect(
            reply.text
                == #"{"sessionId":"cs_1","url":"https://pay/cs_1","purchaseId":"\#(FakeDesk.purchase)"}"#)
        let orders = desk.orders.withLock { $0 }
        #expect(orders.map(\.packageCode) == ["starter"])
        #expect(
            orders.map(\.successURL) == ["https://a.test/ok"]
                && orders.map(\.cancelURL) == ["https://a.test/no"])
    }

    @Test(arguments: ["packageCode", "successUrl", "cancelUrl"])
    func aMissingMemberIsNamed(_ field: String) async throws {
        let reply = try await self.checkOut(Self.order.replacing("\"\(field)\"", with: "\"other\""))
        #expect(reply.status == 400 && reply.text.contains("\"param\":\"\(field)\""))
        let empty = try await self.checkOut(#"{"\#(field)":"","x":\#(Self.order)}"#)
        #expect(empty.status == 400)
    }

    @Test(arguments: ["", "[]", "{", #"{"packageCode":1}"#, "null"])
    func whatIsNoOrderIsRefused(_ body: String) async throws {
        #expect(try await self.checkOut(body).status == 400)
    }

    @Test func nobodyBuysWithoutAKey() async throws {
        #expect(try await self.checkOut(Self.order, nil).status == 401)
    }

    /// (refusal, status, code)
    @Test(arguments: [
        (CheckoutRefusal.purchasesDisabled, 503, "purchases_disabled"),
        (.notConfigured, 503, "purchases_not_configured"), (.unknownPackage, 400, "invalid_request"),
        (.refusedByStripe, 502, "stripe_refused"), (.stripeUnavailable, 503, "stripe_unavailable"),
        (.ledgerUnavailable, 503, "ledger_unavailable"), (.tooMany, 429, "rate_limited"),
    ]) func everyRefusalHasItsStatus(_ refusal: CheckoutRefusal, _ status: Int, _ code: String) async throws {
        let reply = try await self.checkOut(desk: FakeDesk(refusing: refusal))
        #expect(reply.status == status && reply.text.contains("\"code\":\"\(code)\""))
    }

    @Test func aForeignReturnURLIsNamed() async throws {
        let allowed: Set<WebOrigin> = [try #require(WebOrigin("https://a.test"))]
        #expect(throws: ReturnURLs.Refusal.self) {
            _ = try ReturnURLs(success: "https://a.test/ok", cancel: "https://evil.test/", allowed: allowed)
        }
        do {
            _ = try ReturnURLs(success: "https://a.test/ok", cancel: "https://evil.test/", allowed: allowed)
        } catch {
            let reply = try await self.checkOut(desk: FakeDesk(refusing: .returnURL(error)))
            #expect(reply.status == 400 && reply.text.contains("\"param\":\"cancelUrl\""))
        }
    }

    // MARK: Webhook

    /// Parsed and printed again, a body has another signature.
    @Test func theWebhookGetsTheBodyAsItCame() async throws {
        let desk = FakeDesk()
        let body = "{ \"id\" : \"evt_1\",\t\"x\":1.0e2 }\n"
        var fields = HTTPFields()
        fields[.stripeSignature] = "t=1,v1=00"
        let reply = try await ControlRig(desk: desk).send(
            .post, "/api/stripe/webhook", fields: fields, body: body)
        #expect(reply.status == 200 && reply.text == #"{"received":true}"#)
        let deliveries = desk.deliveries.withLock { $0 }
        #expect(deliveries.count == 1 && deliveries[0].body == Array(body.utf8))
        #expect(deliveries[0].signature == "t=1,v1=00")
    }

    /// Anything but a 2xx is delivered again, so only what can never be right is a 400.
    @Test(arguments: [
        (WebhookAnswer.refused(.wrongSignature), 400), (.refused(.unreadable), 400), (.tryAgain, 503),
        (.notConfigured, 503),
    ]) func theAnswerTellsStripeWhetherToComeAgain(_ answer: WebhookAnswer, _ status: Int) async throws {
        let reply = try await ControlRig(desk: FakeDesk(answering: answer))
            .send(.post, "/api/stripe/webhook", body: "{}")
        #expect(reply.status == status)
    }
}
