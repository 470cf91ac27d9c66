import Testing

@testable import MockStripe

@Suite struct IdempotencyTests {
    @Test func theSameKeyGivesTheSameAnswerAndDoesNothing() {
        var shop = Shop()
        let first = shop.call("POST", "/v1/customers", "email=a@b.c", key: "k1")
        let second = shop.call("POST", "/v1/customers", "email=a@b.c", key: "k1")
        #expect(first.status == 200 && first.body == second.body)
        #expect(first.header("Idempotent-Replayed") == nil)
        #expect(second.header("Idempotent-Replayed") == "true")
        #expect(first.header("Request-Id")?.hasPrefix("req_") == true)
        #expect(shop.world.customers.rows.count == 1)
        #expect(shop.types() == ["customer.created"])
        let event = shop.world.events.rows[0]
        #expect(event.idempotencyKey == "k1" && event.request == first.header("Request-Id"))
    }

    @Test func otherParametersOrAnotherPathAreRefused() {
        var shop = Shop()
        _ = shop.call("POST", "/v1/customers", "email=a@b.c", key: "k1")
        for (path, form) in [("/v1/customers", "email=x@y.z"), ("/v1/refunds", "email=a@b.c")] {
            let reply = shop.call("POST", path, form, key: "k1")
            #expect(reply.status == 400)
            #expect(reply.body.at("error", "type")?.text == "idempotency_error")
        }
        #expect(shop.world.customers.rows.count == 1)
    }

    /// A shop that mends its request may use the key again.
    @Test func aRequestThatDidNotBeginLeavesItsKeyFree() {
        var shop = Shop()
        #expect(shop.call("POST", "/v1/customers", "mail=a@b.c", key: "k1").status == 400)
        #expect(shop.call("POST", "/v1/customers", "email=a@b.c", key: "k1").status == 200)
    }

    @Test func aDeclineIsRememberedAndNotTriedAgain() {
        var shop = Shop()
        let form = "amount=500&currency=usd&payment_method=pm_card_chargeDeclined&confirm=true"
        let first = shop.call("POST", "/v1/payment_intents", form, key: "k1")
        let second = shop.call("POST", "/v1/payment_intents", form, key: "k1")
        #expect(first.status == 402 && second.status == 402 && first.body == second.body)
        #expect(shop.world.charges.rows.count == 1)
    }

    @Test func aKeyLastsADay() {
        var shop = Shop()
        _ = shop.call("POST", "/v1/customers", "", key: "k1")
        shop.now += 86_399_999
        _ = shop.call("POST", "/v1/customers", "", key: "k1")
        #expect(shop.world.customers.rows.count == 1)
        shop.now += 1
        _ = shop.call("POST", "/v1/customers", "", key: "k1")
        #expect(shop.world.customers.rows.count == 2)
    }

    @Test func aSlowRequestHoldsItsKeyUntilItIsDone() throws {
        var shop = Shop()
        _ = shop.control("api_faults", #"{"kind":"slow","milliseconds":300}"#)
        let request = Shop.request("POST", "/v1/customers", "email=a@b.c", key: "k1")
        guard case .wait(300, let ticket) = shop.receive(request) else {
            Issue.record("it did not wait")
            return
        }
        let meanwhile = shop.call("POST", "/v1/customers", "email=a@b.c", key: "k1")
        #expect(meanwhile.status == 409 && meanwhile.body.errorCode == "idempotency_key_in_use")
        #expect(shop.world.customers.rows.isEmpty)
        let reply = shop.world.resume(ticket, at: shop.now + 300)
        #expect(reply.status == 200)
        #expect(shop.call("POST", "/v1/customers", "email=a@b.c", key: "k1").body == reply.body)
        #expect(shop.world.customers.rows.count == 1)
    }

    @Test func keysOfReadsMeanNothing() {
        var shop = Shop()
        let customer = shop.post("/v1/customers", "name=A")["id"]?.text ?? ""
        _ = shop.call("GET", "/v1/customers/" + customer, key: "k1")
        _ = shop.post("/v1/customers/" + customer, "name=B")
        #expect(shop.call("GET", "/v1/customers/" + customer, key: "k1").body["name"] == "B")
    }
}
