import Testing

@testable import MockStripe

@Suite struct CallFaultTests {
    @Test(
        arguments: [
            ("error_500", 500, "api_error", nil), ("rate_limit", 429, "invalid_request_error", "rate_limit"),
            ("lock_timeout", 429, "invalid_request_error", "lock_timeout"),
            ("conflict", 409, "idempotency_error", "idempotency_key_in_use"),
        ] as [(String, Int, String, String?)])
    func aRefusalDoesNothingAndTheNextCallGoesThrough(
        _ kind: String, _ status: Int, _ type: String, _ code: String?
    ) {
        var shop = Shop()
        _ = shop.control("api_faults", "{\"kind\":\"\(kind)\",\"calls\":2}")
        for _ in 0..<2 {
            let reply = shop.call("POST", "/v1/customers", "", key: "k")
            #expect(reply.status == status)
            #expect(reply.body.at("error", "type")?.text == type)
            #expect(reply.body.errorCode == code)
            #expect(reply.header("Stripe-Should-Retry") == (kind == "rate_limit" ? nil : "true"))
        }
        #expect(shop.world.customers.rows.isEmpty)
        #expect(shop.call("POST", "/v1/customers", "", key: "k").status == 200)
        #expect(shop.world.log.calls.compactMap { $0["fault"]?.text } == [kind, kind])
    }

    /// The hard case of every payment client: it was done, and the client does not know.
    @Test(arguments: [("hang_after", Reception.hang), ("cut_after", .cut)])
    func aLostAnswerIsFoundAgainByItsKey(_ kind: String, _ reception: Reception) {
        var shop = Shop()
        let intent = shop.paid()
        _ = shop.control("api_faults", "{\"kind\":\"\(kind)\"}")
        let request = Shop.request("POST", "/v1/refunds", "payment_intent=\(intent)&amount=100", key: "r1")
        #expect(shop.receive(request) == reception)
        #expect(shop.world.refunds.rows.count == 1)
        let again = shop.call("POST", "/v1/refunds", "payment_intent=\(intent)&amount=100", key: "r1")
        #expect(again.header("Idempotent-Replayed") == "true")
        #expect(again.body["id"]?.text == shop.world.refunds.rows[0].id)
        #expect(shop.world.refunds.rows.count == 1)
    }

    @Test(arguments: [("hang", Reception.hang), ("cut", .cut)])
    func aLostRequestDoesNothing(_ kind: String, _ reception: Reception) {
        var shop = Shop()
        _ = shop.control("api_faults", "{\"kind\":\"\(kind)\"}")
        #expect(shop.receive(Shop.request("POST", "/v1/customers", "", key: "k")) == reception)
        #expect(shop.world.customers.rows.isEmpty)
        #expect(shop.call("POST", "/v1/customers", "", key: "k").header("Idempotent-Replayed") == nil)
    }

    @Test(arguments: [("error_500_after", 500), ("proxy_page_after", 403)])
    func anErrorAfterTheFactHidesASuccess(_ kind: String, _ status: Int) {
        var shop = Shop()
        _ = shop.control("api_faults", "{\"kind\":\"\(kind)\"}")
        #expect(shop.call("POST", "/v1/customers", "", key: "k").status == status)
        #expect(shop.world.customers.rows.count == 1)
        #expect(shop.call("POST", "/v1/customers", "", key: "k").status == 200)
        #expect(shop.world.customers.rows.count == 1)
    }

    @Test func aFaultCanBeAimedAtOneCall() {
        var shop = Shop()
        _ = shop.control("api_faults", #"{"kind":"error_500","method":"POST","path":"/v1/refunds"}"#)
        #expect(shop.call("POST", "/v1/customers").status == 200)
        #expect(shop.call("GET", "/v1/refunds").status == 200)
        #expect(shop.call("POST", "/v1/refunds").status == 500)
        #expect(shop.call("POST", "/v1/refunds").status == 400)
    }
}
