import Testing

@testable import MockStripe

@Suite struct CheckoutTests {
    @Test func aCardPaymentTellsItsStoryInOrder() throws {
        var shop = Shop()
        let id = shop.session("&customer_creation=always")
        let open = shop.get("/v1/checkout/sessions/" + id)
        #expect(open["payment_status"] == "unpaid" && open["status"] == "open")
        #expect(open["payment_intent"] == .null)
        #expect(open["url"]?.text == "http://127.0.0.1/c/pay/" + id)
        #expect(open["amount_total"] == 999)
        #expect(open["client_reference_id"] == "p1")
        #expect(shop.press(.card, id) == .redirect("https://shop/ok?id=" + id))
        #expect(
            shop.types() == [
                "customer.created", "payment_intent.created", "charge.succeeded", "payment_intent.succeeded",
                "checkout.session.completed", "charge.updated",
            ])
        let done = shop.world.events.rows[4].object
        #expect(done["payment_status"] == "paid" && done["status"] == "complete")
        #expect(done["url"] == .null)
        #expect(done.at("metadata", "tollgate_purchase") == "p1")
        let intent = try #require(shop.world.intents[done["payment_intent"]?.text ?? ""])
        #expect(intent.metadata == ["tollgate_purchase": "p1"])
        #expect(intent.status == .succeeded && intent.amountReceived == 999)
        #expect(intent.customer == done["customer"]?.text && intent.customer?.hasPrefix("cus_") == true)
        // Stripe makes the balance transaction after its first events.
        #expect(shop.world.events.rows[2].object["balance_transaction"] == .null)
        #expect(shop.world.events.rows[5].object["balance_transaction"]?.text?.hasPrefix("txn_") == true)
        #expect(shop.press(.card, id) == .stay("This checkout session is complete."))
        #expect(shop.world.charges.rows.count == 1)
    }

    @Test func aDeclineLeavesTheSessionOpenAndItsIntentIsUsedAgain() {
        var shop = Shop()
        let id = shop.session()
        #expect(shop.press(.declined, id) == .stay("Your card was declined."))
        #expect(shop.press(.insufficientFunds, id) == .stay("Your card has insufficient funds."))
        #expect(shop.world.sessions[id]?.status == .open)
        #expect(shop.world.intents.rows.map(\.status) == [.requiresPaymentMethod])
        #expect(
            shop.types() == [
                "payment_intent.created", "charge.failed", "payment_intent.payment_failed", "charge.failed",
                "payment_intent.payment_failed",
            ])
        _ = shop.press(.card, id)
        #expect(shop.world.intents.rows.map(\.status) == [.succeeded])
        #expect(shop.world.charges.rows.map(\.status) == [.failed, .failed, .succeeded])
        #expect(shop.world.balanceTransactions.rows.count == 1)
    }

    @Test func cancellingLeavesTheSessionOpen() {
        var shop = Shop()
        let id = shop.session()
        #expect(shop.press(.cancel, id) == .redirect("https://shop/no"))
        #expect(shop.world.sessions[id]?.status == .open)
        #expect(shop.types().isEmpty)
        #expect(shop.press(.card, "cs_test_none") == .notFound)
    }

    /// `complete` and `unpaid` is not money (known failures 57 and 58).
    @Test(arguments: [true, false]) func aBankDebitIsCompleteBeforeItIsPaid(_ succeeds: Bool) {
        var shop = Shop()
        let id = shop.session()
        _ = shop.press(.bank, id)
        #expect(
            shop.types() == [
                "payment_intent.created", "charge.pending", "payment_intent.processing",
                "checkout.session.completed",
            ])
        #expect(shop.get("/v1/checkout/sessions/" + id)["payment_status"] == "unpaid")
        #expect(shop.get("/v1/checkout/sessions/" + id)["status"] == "complete")
        let before = shop.types().count
        let outcome = succeeds ? "succeed" : "fail"
        #expect(shop.control("payment", "{\"session\":\"\(id)\",\"outcome\":\"\(outcome)\"}").status == 200)
        let fine = [
            "charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded",
            "charge.updated",
        ]
        let bad = ["charge.failed", "payment_intent.payment_failed", "checkout.session.async_payment_failed"]
        #expect(shop.types(after: before) == (succeeds ? fine : bad))
        #expect(shop.get("/v1/checkout/sessions/" + id)["payment_status"] == (succeeds ? "paid" : "unpaid"))
        #expect(shop.world.charges.rows[0].id.hasPrefix("py_"))
        #expect(shop.world.balanceTransactions.rows.map(\.kind) == (succeeds ? [.payment] : []))
        #expect(shop.control("payment", "{\"session\":\"\(id)\",\"outcome\":\"succeed\"}").status == 400)
    }

    @Test(arguments: [StripeWorld.Press.bankSucceeds, .bankFails])
    func aBankDebitCanDecideItself(_ press: StripeWorld.Press) {
        var shop = Shop()
        let intent = shop.paid(press)
        shop.now += 1_999
        shop.world.tick(shop.now)
        #expect(shop.world.intents[intent]?.status == .processing)
        shop.now += 1
        shop.world.tick(shop.now)
        #expect(
            shop.world.intents[intent]?.status
                == (press == .bankSucceeds ? .succeeded : .requiresPaymentMethod))
    }

    @Test func sessionsExpireByTheClockByTheAPIAndByControl() {
        var shop = Shop()
        let (first, second, third) = (shop.session(), shop.session(), shop.session())
        #expect(shop.post("/v1/checkout/sessions/\(first)/expire")["status"] == "expired")
        #expect(shop.call("POST", "/v1/checkout/sessions/\(first)/expire").status == 400)
        _ = shop.control("expire", "{\"session\":\"\(second)\"}")
        #expect(shop.types() == ["checkout.session.expired", "checkout.session.expired"])
        shop.now += 86_399_000
        #expect(shop.get("/v1/checkout/sessions/" + third)["status"] == "open")
        _ = shop.control("advance", #"{"seconds":1}"#)
        #expect(shop.get("/v1/checkout/sessions/" + third)["status"] == "expired")
        #expect(shop.types().count == 3)
        #expect(shop.press(.card, third) == .stay("This checkout session is expired."))
    }

    @Test func aCardIsSavedOnlyWhenTheSessionAsksForIt() {
        var shop = Shop()
        _ = shop.paid(.card, "&customer_creation=always")
        #expect(shop.world.paymentMethods.rows.allSatisfy { $0.customer == nil })
        let intent = shop.paid(.card, "&payment_intent_data[setup_future_usage]=off_session")
        let customer = shop.world.intents[intent]?.customer ?? "none"
        let saved = shop.get("/v1/payment_methods", "customer=\(customer)&type=card")
        #expect(saved.ids.count == 1)
        #expect(shop.get("/v1/customers/\(customer)/payment_methods").ids == saved.ids)
        #expect(shop.types().contains("payment_method.attached"))
    }

    @Test func aCustomerIsUsedAgain() {
        var shop = Shop()
        let customer = shop.post("/v1/customers", "email=a@b.c")["id"]?.text ?? "none"
        let intent = shop.paid(.card, "&customer=" + customer)
        #expect(shop.world.intents[intent]?.customer == customer)
        #expect(shop.world.customers.rows.count == 1)
        let both = Shop.sessionForm + "&customer=\(customer)&customer_creation=always"
        #expect(shop.call("POST", "/v1/checkout/sessions", both).status == 400)
    }

    @Test func thePageShowsButtonsThatFitTheSessionAndEscapesItsTexts() throws {
        var shop = Shop()
        let id = shop.session(
            "&line_items[0][price_data][product_data][name]=%3Cb%3E%26&payment_method_types[0]=card")
        let page = CheckoutPage.html(try #require(shop.world.sessions[id]), remark: "<i>")
        #expect(page.contains("&lt;b&gt;&amp;") && page.contains("&lt;i&gt;"))
        #expect(!page.contains("<b>") && !page.contains("<i>"))
        #expect(
            page.contains("value=\"card\"") && page.contains("value=\"cancel\"") && page.contains("$9.99"))
        #expect(!page.contains("value=\"bank\"") && !page.contains("value=\"card_then_declined\""))
        _ = shop.press(.card, id)
        let paid = CheckoutPage.html(try #require(shop.world.sessions[id]), remark: nil)
        #expect(paid.contains("This session is paid.") && !paid.contains("<form"))
    }
}
