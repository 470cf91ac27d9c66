extension Route {
    static let intents: [Route] = [
        Route("POST", "/v1/payment_intents", intentShape) { world, call throws(StripeFailure) in
            try world.createIntent(call.parameters)
        },
        .list("/v1/payment_intents", ["customer": .text, "created": .range]) {
            world, call throws(StripeFailure) in
            try world.page(world.intents, call) { call.parameters.admits("customer", $0.customer) }
        },
        Route("GET", "/v1/payment_intents/*", expand) { world, call throws(StripeFailure) in
            try world.intent(call.id).json(live: world.settings.live)
        },
        Route(
            "POST", "/v1/payment_intents/*/confirm",
            ["payment_method": .text, "off_session": .flag, "return_url": .text, "expand": .list(.text)]
        ) { world, call throws(StripeFailure) in
            try world.confirmIntent(try world.intent(call.id), call.parameters)
        },
        Route(
            "POST", "/v1/payment_intents/*/cancel",
            [
                "cancellation_reason": .oneOf([
                    "duplicate", "fraudulent", "requested_by_customer", "abandoned",
                ]),
                "expand": .list(.text),
            ]
        ) { world, call throws(StripeFailure) in
            var intent = try world.intent(call.id)
            guard intent.status != .succeeded, intent.status != .canceled, intent.status != .processing else {
                throw .refused(
                    "You cannot cancel this PaymentIntent because it has a status of "
                        + "\(intent.status.rawValue).",
                    code: "payment_intent_unexpected_state")
            }
            intent.status = .canceled
            intent.canceledAt = world.seconds
            intent.cancellationReason = call.parameters.text("cancellation_reason")
            world.intents[intent.id] = intent
            world.emit("payment_intent.canceled", intent)
            return intent.json(live: world.settings.live)
        },
    ]

    private static let intentShape: [String: ParameterShape] = [
        "amount": .integer, "currency": .text, "customer": .text, "payment_method": .text,
        "off_session": .flag,
        "confirm": .flag, "metadata": .map, "description": .text, "error_on_requires_action": .flag,
        "payment_method_types": .list(.oneOf(["card", "us_bank_account"])), "receipt_email": .text,
        "return_url": .text, "statement_descriptor_suffix": .text, "expand": .list(.text),
        "setup_future_usage": .oneOf(["off_session", "on_session"]),
        "automatic_payment_methods": .fields([
            "enabled": .flag, "allow_redirects": .oneOf(["always", "never"]),
        ]),
    ]
}

extension StripeWorld {
    func intent(_ id: String) throws(StripeFailure) -> PaymentIntent {
        guard let intent = self.intents[id] else { throw .noSuch("payment_intent", id, "intent") }
        return intent
    }

    fileprivate mutating func createIntent(_ given: Parameters) throws(StripeFailure) -> JSON {
        let amount = try given.requiredInteger("amount")
        let currency = try given.requiredText("currency").lowercased()
        guard amount >= 50 else {
            throw .refused("Amount must be at least $0.50 usd", code: "amount_too_small", "amount")
        }
        guard amount <= 99_999_999 else {
            throw .refused("Amount must be no more than $999,999.99", code: "amount_too_large", "amount")
        }
        let confirms = given.flag("confirm") == true
        guard confirms || given.flag("off_session") == nil else {
            throw .invalid("off_session can only be set when confirm is true.", "off_session")
        }
        let customer = try given.text("customer").map { (id) throws(StripeFailure) in
            try self.customer(id, "customer").id
        }
        let metadata = try given.metadata() ?? [:]
        let types = given.texts("payment_method_types")
        if confirms || given.text("payment_method") != nil { try self.checkMethod(given, of: customer) }
        let intent = PaymentIntent(
            id: self.identifiers.next("pi_"), created: self.seconds, amount: amount, currency: currency,
            customer: customer, description: given.text("description"), metadata: metadata,
            setupFutureUsage: given.text("setup_future_usage"), receiptEmail: given.text("receipt_email"),
            methodTypes: types.isEmpty ? ["card", "us_bank_account"] : types)
        self.intents.add(intent)
        self.emit("payment_intent.created", intent)
        guard !confirms else { return try self.confirmIntent(intent, given) }
        return try self.keepMethod(of: intent, given).json(live: self.settings.live)
    }

    /// So that nothing has been made when the method turns out to be missing or someone else's.
    private func checkMethod(_ given: Parameters, of customer: String?) throws(StripeFailure) {
        guard let id = given.text("payment_method") else {
            throw .refused(
                "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
                    + "update the PaymentIntent with a payment method and then confirm it again, or confirm "
                    + "it again directly with a payment method or ConfirmationToken.",
                code: "payment_intent_unexpected_state")
        }
        guard PaymentMethod.tokens[id] == nil else { return }
        let method = try self.storedMethod(id, of: customer)
        guard method.customer == customer else {
            throw .refused(
                "The payment method supplied (\(id)) belongs to a Customer. Please include the Customer in "
                    + "the `customer` parameter on the PaymentIntent.", code: nil, "payment_method")
        }
    }

    private mutating func keepMethod(
        of intent: PaymentIntent, _ given: Parameters
    ) throws(StripeFailure) -> PaymentIntent {
        guard let id = given.text("payment_method") else { return intent }
        var intent = intent
        intent.paymentMethod = try self.paymentMethod(id, of: intent.customer).id
        intent.status = .requiresConfirmation
        self.intents[intent.id] = intent
        return intent
    }

    fileprivate mutating func confirmIntent(
        _ intent: PaymentIntent, _ given: Parameters
    ) throws(StripeFailure) -> JSON {
        guard intent.status == .requiresPaymentMethod || intent.status == .requiresConfirmation else {
            throw .refused(
                "You cannot confirm this PaymentIntent because it has a status of \(intent.status.rawValue).",
                code: "payment_intent_unexpected_state")
        }
        guard let id = given.text("payment_method") ?? intent.paymentMethod else {
            try self.checkMethod(given, of: intent.customer)
            return nil
        }
        let method = try self.paymentMethod(id, of: intent.customer)
        let outcome = self.confirm(intent.id, with: method, offSession: given.flag("off_session") == true)
        if case .failed(let failure) = outcome { throw failure }
        self.settleFees(ofCharge: self.intents[intent.id]?.latestCharge)
        return try self.intent(intent.id).json(live: self.settings.live)
    }
}
