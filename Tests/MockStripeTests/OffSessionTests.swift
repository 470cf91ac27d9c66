import Testing

@testable import MockStripe

/// What auto-recharge does.
@Suite struct OffSessionTests {
    /// A shop, a customer and the customer's saved card.
    private func prepared(_ press: StripeWorld.Press = .card) -> (Shop, String, String) {
        var shop = Shop()
        let intent = shop.paid(press, "&payment_intent_data[setup_future_usage]=off_session")
        let customer = shop.world.intents[intent]?.customer ?? "none"
        return (shop, customer, shop.get("/v1/payment_methods", "customer=" + customer).ids.first ?? "none")
    }

    private func form(_ customer: String, _ method: String) -> String {
        "amount=4999&currency=usd&customer=\(customer)&payment_method=\(method)&off_session=true&confirm=true"
            + "&metadata[tollgate_purchase]=p2"
    }

    @Test func aSavedCardIsCharged() {
        var (shop, customer, method) = self.prepared()
        let before = shop.types().count
        let intent = shop.post("/v1/payment_intents", self.form(customer, method) + "&expand[]=latest_charge")
        #expect(intent["status"] == "succeeded" && intent["amount_received"] == 4999)
        #expect(intent.at("latest_charge", "metadata", "tollgate_purchase") == "p2")
        #expect(
            shop.types(after: before) == [
                "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.updated",
            ])
    }

    @Test(arguments: [
        (StripeWorld.Press.cardThenDeclined, "card_declined", "generic_decline"),
        (.cardThenAuthentication, "authentication_required", "authentication_required"),
    ])
    func aRefusedChargeIsACardErrorWithItsIntent(
        _ press: StripeWorld.Press, _ code: String, _ decline: String
    ) {
        var (shop, customer, method) = self.prepared(press)
        let before = shop.types().count
        let reply = shop.call("POST", "/v1/payment_intents", self.form(customer, method))
        #expect(reply.status == 402)
        #expect(reply.body.errorCode == code)
        #expect(reply.body.at("error", "decline_code")?.text == decline)
        #expect(reply.body.at("error", "type")?.text == "card_error")
        #expect(reply.body.at("error", "payment_intent", "status") == "requires_payment_method")
        let id = reply.body.at("error", "payment_intent", "id")?.text ?? "none"
        #expect(shop.get("/v1/payment_intents/" + id).at("last_payment_error", "code")?.text == code)
        #expect(
            shop.types(after: before) == [
                "payment_intent.created", "charge.failed", "payment_intent.payment_failed",
            ])
        // The owner of the card is there now, or has another one.
        let again = shop.call("POST", "/v1/payment_intents/\(id)/confirm", "payment_method=pm_card_visa")
        #expect(again.body["status"] == "succeeded")
    }

    @Test func controlChangesWhatACardDoes() {
        var (shop, customer, method) = self.prepared()
        #expect(
            shop.control("card", "{\"customer\":\"\(customer)\",\"behaviour\":\"declined\"}").status == 200)
        #expect(shop.call("POST", "/v1/payment_intents", self.form(customer, method)).status == 402)
        #expect(
            shop.control("card", "{\"payment_method\":\"\(method)\",\"behaviour\":\"good\"}").status == 200)
        #expect(shop.call("POST", "/v1/payment_intents", self.form(customer, method)).status == 200)
    }

    @Test func aRequestThatCannotWorkMakesNothing() {
        var (shop, customer, method) = self.prepared()
        let other = shop.post("/v1/customers")["id"]?.text ?? "none"
        let before = shop.world.intents.rows.count
        for bad in [
            "amount=4999&currency=usd&confirm=true", self.form(other, method), self.form("cus_none", method),
            self.form(customer, "pm_none"), "amount=49&currency=usd",
            "amount=500&currency=usd&off_session=true",
            "amount=500&currency=usd&confirm=true&payment_method=\(method)",
        ] {
            #expect((400...404).contains(shop.call("POST", "/v1/payment_intents", bad).status), "\(bad)")
        }
        #expect(shop.world.intents.rows.count == before)
    }

    @Test func anIntentThatWasNotPaidCanBeCancelledAndAPaidOneNot() {
        var shop = Shop()
        let intent = shop.post("/v1/payment_intents", "amount=500&currency=usd&payment_method=pm_card_visa")
        #expect(intent["status"] == "requires_confirmation")
        let id = intent["id"]?.text ?? "none"
        #expect(shop.post("/v1/payment_intents/\(id)/cancel")["status"] == "canceled")
        #expect(shop.types().last == "payment_intent.canceled")
        #expect(shop.call("POST", "/v1/payment_intents/\(id)/confirm").status == 400)
        let paid = shop.paid()
        #expect(shop.call("POST", "/v1/payment_intents/\(paid)/cancel").status == 400)
    }

    @Test func aMethodIsAttachedAndDetached() {
        var shop = Shop()
        let customer = shop.post("/v1/customers")["id"]?.text ?? "none"
        let method =
            shop.post("/v1/payment_methods/pm_card_visa/attach", "customer=" + customer)["id"]?.text ?? ""
        #expect(shop.get("/v1/payment_methods", "customer=" + customer).ids == [method])
        _ = shop.post(
            "/v1/customers/" + customer, "invoice_settings[default_payment_method]=" + method)
        #expect(
            shop.get("/v1/customers/" + customer).at("invoice_settings", "default_payment_method")?.text
                == method)
        #expect(shop.call("POST", "/v1/payment_methods/\(method)/detach").status == 200)
        #expect(shop.call("POST", "/v1/payment_methods/\(method)/detach").status == 400)
        #expect(shop.get("/v1/payment_methods", "customer=" + customer).ids.isEmpty)
    }
}
