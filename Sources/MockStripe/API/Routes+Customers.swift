extension Route {
    static let customers: [Route] = [
        Route("POST", "/v1/customers", customerShape) { world, call throws(StripeFailure) in
            let given = call.parameters
            let customer = Customer(
                id: world.identifiers.next("cus_", length: 14), created: world.seconds,
                email: given.text("email"), name: given.text("name"), description: given.text("description"),
                metadata: try given.metadata() ?? [:])
            world.customers.add(customer)
            world.emit("customer.created", customer)
            return customer.json(live: world.settings.live)
        },
        .list("/v1/customers", ["email": .text, "created": .range]) { world, call throws(StripeFailure) in
            try world.page(world.customers, call) { call.parameters.admits("email", $0.email) }
        },
        Route("GET", "/v1/customers/*", expand) { world, call throws(StripeFailure) in
            try world.customer(call.id, "id").json(live: world.settings.live)
        },
        Route("POST", "/v1/customers/*", customerShape.merging(defaultMethodShape) { first, _ in first }) {
            world, call throws(StripeFailure) in
            let given = call.parameters
            var customer = try world.customer(call.id, "id")
            customer.email = given.text("email") ?? customer.email
            customer.name = given.text("name") ?? customer.name
            customer.description = given.text("description") ?? customer.description
            customer.metadata.merge(try given.metadata() ?? [:]) { $1 }
            if let method = given.group("invoice_settings")?.text("default_payment_method") {
                customer.defaultPaymentMethod = try world.paymentMethod(method, of: customer.id).id
            }
            world.customers[customer.id] = customer
            world.emit("customer.updated", customer)
            return customer.json(live: world.settings.live)
        },
        .list("/v1/customers/*/payment_methods", ["type": .text]) { world, call throws(StripeFailure) in
            try world.page(world.paymentMethods, call) {
                $0.customer == call.id && call.parameters.admits("type", $0.typeName)
            }
        },
    ]

    private static let customerShape: [String: ParameterShape] = [
        "email": .text, "name": .text, "description": .text, "metadata": .map, "expand": .list(.text),
    ]
    private static let defaultMethodShape: [String: ParameterShape] = [
        "invoice_settings": .fields(["default_payment_method": .text])
    ]

    static let paymentMethods: [Route] = [
        .list("/v1/payment_methods", ["customer": .text, "type": .text]) {
            world, call throws(StripeFailure) in
            try world.page(world.paymentMethods, call) {
                $0.customer != nil && call.parameters.admits("customer", $0.customer)
                    && call.parameters.admits("type", $0.typeName)
            }
        },
        Route("GET", "/v1/payment_methods/*", expand) { world, call throws(StripeFailure) in
            guard let method = world.paymentMethods[call.id] else {
                throw .noSuch("PaymentMethod", call.id, "payment_method")
            }
            return method.json(live: world.settings.live)
        },
        Route("POST", "/v1/payment_methods/*/attach", ["customer": .text, "expand": .list(.text)]) {
            world, call throws(StripeFailure) in
            let customer = try world.customer(try call.parameters.requiredText("customer"), "customer")
            var method = try world.paymentMethod(call.id, of: nil)
            method.customer = customer.id
            world.paymentMethods[method.id] = method
            world.emit("payment_method.attached", method)
            return method.json(live: world.settings.live)
        },
        Route("POST", "/v1/payment_methods/*/detach", expand) { world, call throws(StripeFailure) in
            var method = try world.paymentMethod(call.id, of: nil)
            guard let customer = method.customer else {
                throw .refused(
                    "The payment method you provided is not attached to a customer so detachment is "
                        + "impossible.",
                    code: nil)
            }
            method.customer = nil
            world.paymentMethods[method.id] = method
            world.emit("payment_method.detached", method, previous: ["customer": .text(customer)])
            return method.json(live: world.settings.live)
        },
    ]
}

extension StripeWorld {
    func customer(_ id: String, _ parameter: String) throws(StripeFailure) -> Customer {
        guard let customer = self.customers[id] else { throw .noSuch("customer", id, parameter) }
        return customer
    }

    /// A stored method, or a new one from a test token. With a customer, it must be theirs (a token's method
    /// is nobody's yet).
    mutating func paymentMethod(_ id: String, of customer: String?) throws(StripeFailure) -> PaymentMethod {
        if let behaviour = PaymentMethod.tokens[id] { return self.newMethod(behaviour) }
        return try self.storedMethod(id, of: customer)
    }

    func storedMethod(_ id: String, of customer: String?) throws(StripeFailure) -> PaymentMethod {
        guard let method = self.paymentMethods[id] else {
            throw .noSuch("PaymentMethod", id, "payment_method")
        }
        guard customer == nil || method.customer == customer else {
            throw .refused(
                "The payment method you provided (\(id)) does not belong to the Customer \(customer ?? "").",
                code: "payment_method_customer_mismatch", "payment_method")
        }
        return method
    }
}
