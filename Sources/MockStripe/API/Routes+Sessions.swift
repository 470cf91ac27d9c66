extension Route {
    static let sessions: [Route] = [
        Route("POST", "/v1/checkout/sessions", sessionShape) { world, call throws(StripeFailure) in
            try world.createSession(call.parameters)
        },
        .list(
            "/v1/checkout/sessions",
            [
                "payment_intent": .text, "customer": .text, "created": .range,
                "status": .oneOf(["open", "complete", "expired"]),
            ]
        ) { world, call throws(StripeFailure) in
            let filter = call.parameters
            return try world.page(world.sessions, call) { session in
                filter.admits("payment_intent", session.intent) && filter.admits("customer", session.customer)
                    && filter.admits("status", session.status.rawValue)
            }
        },
        Route("GET", "/v1/checkout/sessions/*", expand) { world, call throws(StripeFailure) in
            try world.session(call.id).json(live: world.settings.live)
        },
        .list("/v1/checkout/sessions/*/line_items", [:]) { world, call throws(StripeFailure) in
            world.list(try world.session(call.id).itemsJSON, more: false, call.path)
        },
        Route("POST", "/v1/checkout/sessions/*/expire", expand) { world, call throws(StripeFailure) in
            let session = try world.session(call.id)
            guard session.status == .open else {
                throw .refused(
                    "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session "
                        + "has a status of `\(session.status.rawValue)`.", code: nil)
            }
            world.expire(session.id)
            return try world.session(call.id).json(live: world.settings.live)
        },
    ]

    private static let sessionShape: [String: ParameterShape] = [
        "mode": .oneOf(["payment"]), "success_url": .text, "cancel_url": .text, "client_reference_id": .text,
        "customer": .text, "customer_creation": .oneOf(["always", "if_required"]), "customer_email": .text,
        "currency": .text, "expires_at": .integer, "expand": .list(.text), "metadata": .map,
        "payment_method_types": .list(.oneOf(["card", "us_bank_account"])), "ui_mode": .oneOf(["hosted"]),
        "locale": .text, "submit_type": .text,
        "payment_intent_data": .fields([
            "metadata": .map, "description": .text,
            "setup_future_usage": .oneOf(["off_session", "on_session"]),
            "receipt_email": .text, "statement_descriptor_suffix": .text,
        ]),
        "line_items": .list(
            .fields([
                "quantity": .integer,
                "price_data": .fields([
                    "currency": .text, "unit_amount": .integer,
                    "product_data": .fields([
                        "name": .text, "description": .text, "metadata": .map, "images": .list(.text),
                    ]),
                ]),
            ])),
    ]
}

extension Parameters {
    /// Whether a list's filter of that name lets a value through; without the parameter every value passes.
    func admits(_ name: String, _ value: String?) -> Bool { self.text(name).map { $0 == value } ?? true }
}

extension StripeWorld {
    func session(_ id: String) throws(StripeFailure) -> CheckoutSession {
        guard let session = self.sessions[id] else { throw .noSuch("checkout.session", id, "session") }
        return session
    }

    fileprivate mutating func createSession(_ given: Parameters) throws(StripeFailure) -> JSON {
        guard given.text("mode") != nil else { throw .missing("mode") }
        let success = try given.requiredText("success_url")
        for (name, url) in [("success_url", success), ("cancel_url", given.text("cancel_url") ?? success)] {
            guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
                throw .invalid("Not a valid URL", name, code: "url_invalid")
            }
        }
        let customer = given.text("customer")
        if let customer, self.customers[customer] == nil { throw .noSuch("customer", customer, "customer") }
        guard customer == nil || given.text("customer_creation") == nil else {
            throw .invalid(
                "You may only specify one of these parameters: customer, customer_creation.", "customer")
        }
        guard customer == nil || given.text("customer_email") == nil else {
            throw .invalid(
                "You may only specify one of these parameters: customer, customer_email.", "customer")
        }
        let expiresAt = given.integer("expires_at") ?? self.seconds + 86_400
        guard (self.seconds + 1_800 - 60...self.seconds + 86_400 + 60).contains(expiresAt) else {
            throw .invalid(
                "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from Checkout "
                    + "Session creation.", "expires_at")
        }
        let items = try self.lineItems(given)
        let intent = given.group("payment_intent_data")
        let types = given.texts("payment_method_types")
        let id = self.identifiers.next(self.settings.live ? "cs_live_" : "cs_test_", length: 58)
        let session = CheckoutSession(
            id: id, created: self.seconds, items: items, successURL: success,
            cancelURL: given.text("cancel_url"),
            url: self.settings.pages + "/c/pay/" + id, clientReference: given.text("client_reference_id"),
            customerCreation: customer == nil ? given.text("customer_creation") ?? "if_required" : nil,
            customerEmail: given.text("customer_email"), expiresAt: expiresAt,
            metadata: try given.metadata() ?? [:], intentMetadata: try intent?.metadata() ?? [:],
            intentDescription: intent?.text("description"),
            setupFutureUsage: intent?.text("setup_future_usage"),
            methodTypes: types.isEmpty ? ["card", "us_bank_account"] : types, customer: customer)
        self.sessions.add(session)
        self.earliestExpiry = min(self.earliestExpiry, expiresAt)
        return session.json(live: self.settings.live)
    }

    private mutating func lineItems(_ given: Parameters) throws(StripeFailure) -> [CheckoutSession.LineItem] {
        let groups = given.groups("line_items")
        guard !groups.isEmpty else { throw .missing("line_items") }
        var items: [CheckoutSession.LineItem] = []
        for group in groups {
            guard let price = group.group("price_data") else { throw .missing(group.path + "[price_data]") }
            guard let product = price.group("product_data") else {
                throw .missing(price.path + "[product_data]")
            }
            let quantity = try group.requiredInteger("quantity")
            let unit = try price.requiredInteger("unit_amount")
            guard quantity >= 1, unit >= 0, unit <= 99_999_999, quantity <= 10_000 else {
                throw .invalid("Invalid non-negative integer", price.path + "[unit_amount]")
            }
            let currency = try price.requiredText("currency").lowercased()
            guard currency == items.first?.currency ?? currency else {
                throw .invalid("All line items must have the same currency.", price.path + "[currency]")
            }
            items.append(
                .init(
                    id: self.identifiers.next("li_"), name: try product.requiredText("name"),
                    description: product.text("description"), unitAmount: unit, quantity: quantity,
                    currency: currency))
        }
        guard items.reduce(0, { $0 + $1.unitAmount * $1.quantity }) >= 50 else {
            throw .refused(
                "The Checkout Session's total amount due must add up to at least $0.50 usd",
                code: "amount_too_small")
        }
        return items
    }
}
