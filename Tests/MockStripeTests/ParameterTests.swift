import Testing

@testable import MockStripe

@Suite struct ParameterTests {
    /// A misspelt parameter must not be lost silently: Stripe refuses it, so the mock must.
    @Test(arguments: [
        ("&nonsense=1", "parameter_unknown", "nonsense"),
        ("&line_items[0][price_data][amount]=5", "parameter_unknown", "line_items[0][price_data][amount]"),
        ("&payment_intent_data[meta][a]=b", "parameter_unknown", "payment_intent_data[meta]"),
        ("&expires_at=soon", "parameter_invalid_integer", "expires_at"),
        ("&customer=", "parameter_invalid_empty", "customer"),
        ("&customer=cus_nobody", "resource_missing", "customer"),
        ("&customer_creation=never", "parameter_invalid_option", "customer_creation"),
        ("&success_url=javascript:1", "url_invalid", "success_url"),
    ])
    func aBadParameterIsNamed(_ more: String, _ code: String, _ parameter: String) {
        var shop = Shop()
        let reply = shop.call("POST", "/v1/checkout/sessions", Shop.sessionForm + more)
        #expect(reply.status == (code == "resource_missing" ? 404 : 400))
        #expect(reply.body.errorCode == code)
        #expect(reply.body.at("error", "param")?.text == parameter)
        #expect(reply.body.at("error", "type")?.text == "invalid_request_error")
        #expect(reply.body.at("error", "message")?.text?.isEmpty == false)
        #expect(shop.world.sessions.rows.isEmpty)
    }

    @Test(arguments: [
        "mode", "success_url", "line_items[0][quantity]", "line_items[0][price_data][currency]",
    ])
    func aMissingParameterIsNamed(_ name: String) {
        var shop = Shop()
        let form = Shop.sessionForm.split(separator: "&").filter { !$0.hasPrefix(name + "=") }
        let body = shop.post("/v1/checkout/sessions", form.joined(separator: "&"))
        #expect(body.errorCode == "parameter_missing")
        #expect(body.at("error", "param")?.text == name)
    }

    @Test(
        arguments: [
            ("&line_items[0][price_data][unit_amount]=49", "amount_too_small"),
            ("&line_items[0][price_data][unit_amount]=-1", nil), ("&line_items[0][quantity]=0", nil),
            ("&customer_creation=always&customer=CUSTOMER", nil),
            ("&customer_email=a@b.c&customer=CUSTOMER", nil),
            (
                "&line_items[1][quantity]=1&line_items[1][price_data][currency]=eur"
                    + "&line_items[1][price_data][unit_amount]=5"
                    + "&line_items[1][price_data][product_data][name]=x",
                nil
            ),
        ] as [(String, String?)])
    func aSessionThatCannotBePaidIsRefused(_ more: String, _ code: String?) {
        var shop = Shop()
        let customer = shop.post("/v1/customers")["id"]?.text ?? "none"
        let form = Shop.sessionForm + more.replacing("CUSTOMER", with: customer)
        let reply = shop.call("POST", "/v1/checkout/sessions", form)
        #expect(reply.status == 400 && reply.body.errorCode == code)
        #expect(shop.world.sessions.rows.isEmpty)
    }

    @Test func unknownPathsAndObjectsAre404() {
        var shop = Shop()
        #expect(shop.call("GET", "/v1/nowhere").status == 404)
        #expect(shop.call("DELETE", "/v1/customers/cus_1").status == 404)
        for path in [
            "payment_intents", "charges", "refunds", "disputes", "events", "customers",
            "balance_transactions",
            "checkout/sessions", "payment_methods", "webhook_endpoints",
        ] {
            let reply = shop.call("GET", "/v1/\(path)/x_1")
            #expect(reply.status == 404, "\(path)")
            #expect(reply.body.errorCode == "resource_missing", "\(path)")
        }
    }

    @Test func onlyTheKeyIsLetIn() {
        var shop = Shop()
        func status(_ authorization: String?) -> Int {
            var request = Shop.request("GET", "/v1/account")
            request.authorization = authorization
            guard case .answer(let reply) = shop.receive(request) else { return 0 }
            return reply.status
        }
        #expect(status("Bearer sk_test_shop") == 200)
        // base64 of "sk_test_shop:"
        #expect(status("Basic c2tfdGVzdF9zaG9wOg==") == 200)
        #expect(status(nil) == 401)
        #expect(status("Bearer sk_test_other") == 401)
        #expect(status("Basic !!!") == 401)
        #expect(shop.world.log.calls.allSatisfy { !$0.compact.contains("sk_test") })
    }

    @Test func withoutAFixedKeyEveryTestKeyWillDoButNoLiveOne() {
        var shop = Shop(key: nil)
        #expect(shop.call("GET", "/v1/account").status == 200)
        var request = Shop.request("GET", "/v1/account")
        request.authorization = "Bearer sk_live_1"
        guard case .answer(let reply) = shop.receive(request) else { return #expect(Bool(false)) }
        #expect(reply.status == 401)
    }

    @Test func expiresAtIsHalfAnHourToADay() {
        var shop = Shop()
        let seconds = Shop.begin / 1_000
        for (later, status) in [(60, 400), (1_800, 200), (86_400, 200), (90_000, 400)] {
            let form = Shop.sessionForm + "&expires_at=\(seconds + later)"
            #expect(shop.call("POST", "/v1/checkout/sessions", form).status == status, "\(later)")
        }
    }

    @Test func metadataKeepsStripesLimits() {
        var shop = Shop()
        let long = String(repeating: "x", count: 41)
        #expect(shop.call("POST", "/v1/customers", "metadata[\(long)]=1").status == 400)
        let many = (0...50).map { "metadata[k\($0)]=1" }.joined(separator: "&")
        #expect(shop.call("POST", "/v1/customers", many).status == 400)
        #expect(
            shop.post("/v1/customers", "metadata[a]=1&metadata[b]=")["metadata"]?.compact == #"{"a":"1"}"#)
    }
}
