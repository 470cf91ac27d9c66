import Testing

@testable import MockStripe

@Suite struct ListTests {
    @Test func pagesFollowEachOtherInBothDirections() {
        var shop = Shop()
        var made: [String] = []
        for number in 0..<7 {
            made.append(shop.post("/v1/customers", "name=\(number)")["id"]?.text ?? "none")
        }
        let newestFirst = Array(made.reversed())
        let first = shop.get("/v1/customers", "limit=3")
        #expect(first.ids == Array(newestFirst[0..<3]) && first["has_more"] == true)
        #expect(first["object"] == "list" && first["url"] == "/v1/customers")
        let second = shop.get("/v1/customers", "limit=3&starting_after=" + newestFirst[2])
        #expect(second.ids == Array(newestFirst[3..<6]) && second["has_more"] == true)
        let last = shop.get("/v1/customers", "limit=3&starting_after=" + newestFirst[5])
        #expect(last.ids == [newestFirst[6]] && last["has_more"] == false)
        let back = shop.get("/v1/customers", "limit=2&ending_before=" + newestFirst[4])
        #expect(back.ids == Array(newestFirst[2..<4]) && back["has_more"] == true)
        let top = shop.get("/v1/customers", "limit=3&ending_before=" + newestFirst[2])
        #expect(top.ids == Array(newestFirst[0..<2]) && top["has_more"] == false)
        #expect(shop.get("/v1/customers", "limit=7").ids == newestFirst)
        #expect(shop.get("/v1/customers", "limit=7")["has_more"] == false)
    }

    @Test(arguments: ["limit=0", "limit=101", "starting_after=cus_none", "starting_after=a&ending_before=b"])
    func badPagesAreRefused(_ query: String) {
        var shop = Shop()
        #expect((400...404).contains(shop.call("GET", "/v1/customers", query).status))
    }

    @Test func timesFilterAndACursorNeedNotPassTheFilter() {
        var shop = Shop()
        var made: [String] = []
        for _ in 0..<4 {
            made.append(shop.post("/v1/customers")["id"]?.text ?? "none")
            shop.now += 10_000
        }
        let begin = Shop.begin / 1_000
        #expect(
            shop.get("/v1/customers", "created[gte]=\(begin + 10)&created[lt]=\(begin + 30)").ids == [
                made[2], made[1],
            ])
        #expect(
            shop.get("/v1/customers", "created[gt]=\(begin + 10)&created[lte]=\(begin + 30)").ids == [
                made[3], made[2],
            ])
        #expect(shop.get("/v1/customers", "created=\(begin)").ids == [made[0]])
        #expect(
            shop.get("/v1/customers", "created[lte]=\(begin + 10)&starting_after=" + made[3]).ids
                == [made[1], made[0]])
        #expect(shop.call("GET", "/v1/customers", "created[before]=1").status == 400)
    }

    @Test func listsFilter() {
        var shop = Shop()
        let intents = [shop.paid(), shop.paid(.bank)]
        for intent in intents {
            #expect(shop.get("/v1/checkout/sessions", "payment_intent=" + intent).ids.count == 1)
            #expect(shop.get("/v1/charges", "payment_intent=" + intent).ids.count == 1)
        }
        #expect(shop.get("/v1/payment_intents").ids == intents.reversed())
        #expect(shop.get("/v1/balance_transactions", "type=charge").ids.count == 1)
        #expect(shop.get("/v1/balance_transactions", "type=refund").ids.isEmpty)
        let charge = shop.world.charges.rows[0].id
        #expect(shop.get("/v1/balance_transactions", "source=" + charge).ids.count == 1)
        #expect(shop.get("/v1/checkout/sessions", "status=open").ids.isEmpty)
        #expect(shop.get("/v1/balance").at("available")?.list?.first?["amount"] == 940)
    }

    @Test func expansionFollowsIdsThroughObjectsAndLists() {
        var shop = Shop()
        let intent = shop.paid(.card, "&customer_creation=always")
        let deep = "expand[0]=latest_charge.balance_transaction&expand[1]=customer"
        let one = shop.get("/v1/payment_intents/" + intent, deep)
        #expect(one.at("latest_charge", "balance_transaction", "net") == 940)
        #expect(one.at("customer", "object") == "customer")
        #expect(shop.get("/v1/payment_intents/" + intent)["latest_charge"]?.text?.hasPrefix("ch_") == true)
        let list = shop.get("/v1/payment_intents", "expand[]=data.latest_charge")
        #expect(list["data"]?.list?.first?.at("latest_charge", "object") == "charge")
        let session = shop.get("/v1/checkout/sessions").ids[0]
        let items = shop.get("/v1/checkout/sessions/" + session, "expand[]=line_items")
        #expect(items.at("line_items", "data")?.list?.first?["description"] == "Starter")
        #expect(
            shop.get("/v1/checkout/sessions/\(session)/line_items")["data"] == items.at("line_items", "data"))
    }

    @Test(arguments: [
        "expand[]=amount", "expand[]=", "expand[]=data.latest_charge.balance_transaction.source.x",
    ])
    func whatCannotBeExpandedIsRefused(_ query: String) {
        var shop = Shop()
        #expect(shop.call("GET", "/v1/payment_intents", query).status == 400)
    }

    @Test func eventsAreListedByTypeAndForThirtyDays() {
        var shop = Shop()
        _ = shop.paid()
        let two = shop.get("/v1/events", "types[]=charge.succeeded&types[]=checkout.session.completed")
        #expect(two.ids.count == 2)
        let one = shop.get("/v1/events", "type=charge.succeeded")
        #expect(one.ids.count == 1)
        #expect(shop.get("/v1/events/" + one.ids[0])["type"] == "charge.succeeded")
        _ = shop.control("advance", "{\"seconds\":\(30 * 86_400)}")
        #expect(
            shop.get("/v1/events").ids.allSatisfy { id in
                shop.world.events[id]?.type.contains("expired") ?? false
            })
        #expect(shop.call("GET", "/v1/events/" + one.ids[0]).status == 404)
    }

    @Test func webhookEndpointsAreMadeWithASecretThatIsShownOnce() {
        var shop = Shop(webhook: false)
        let made = shop.post(
            "/v1/webhook_endpoints", "url=http://x/&enabled_events[]=charge.refunded")
        #expect(made["secret"]?.text?.hasPrefix("whsec_") == true)
        let id = made["id"]?.text ?? "none"
        #expect(shop.get("/v1/webhook_endpoints/" + id)["secret"] == nil)
        #expect(shop.get("/v1/webhook_endpoints").ids == [id])
        let intent = shop.paid()
        #expect(shop.deliver().isEmpty)
        _ = shop.post("/v1/refunds", "payment_intent=" + intent)
        #expect(shop.deliver().map(\.type) == ["charge.refunded"])
        _ = shop.post("/v1/webhook_endpoints/" + id, "disabled=true")
        _ = shop.control("resend", "{\"event\":\"\(shop.get("/v1/events", "type=charge.refunded").ids[0])\"}")
        #expect(shop.deliver().isEmpty)
    }

    @Test func aLiveKeyMakesEverythingLive() {
        var shop = Shop(key: "sk_live_shop")
        var request = Shop.request("POST", "/v1/checkout/sessions", Shop.sessionForm)
        request.authorization = "Bearer sk_live_shop"
        guard case .answer(let reply) = shop.receive(request) else { return #expect(Bool(false)) }
        #expect(reply.body["livemode"] == true)
        #expect(reply.body["id"]?.text?.hasPrefix("cs_live_") == true)
    }
}
