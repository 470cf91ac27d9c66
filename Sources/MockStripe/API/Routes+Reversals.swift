extension Route {
    static let charges: [Route] = [
        .list("/v1/charges", ["customer": .text, "payment_intent": .text, "created": .range]) {
            world, call throws(StripeFailure) in
            try world.page(world.charges, call) {
                call.parameters.admits("customer", $0.customer)
                    && call.parameters.admits("payment_intent", $0.intent)
            }
        },
        Route("GET", "/v1/charges/*", expand) { world, call throws(StripeFailure) in
            try world.charge(call.id, "id").json(live: world.settings.live)
        },
    ]

    static let refunds: [Route] = [
        Route(
            "POST", "/v1/refunds",
            [
                "charge": .text, "payment_intent": .text, "amount": .integer, "metadata": .map,
                "reason": .oneOf(["duplicate", "fraudulent", "requested_by_customer"]),
                "expand": .list(.text),
            ]
        ) { world, call throws(StripeFailure) in
            try world.createRefund(call.parameters)
        },
        .list("/v1/refunds", ["charge": .text, "payment_intent": .text, "created": .range]) {
            world, call throws(StripeFailure) in
            try world.page(world.refunds, call) {
                call.parameters.admits("charge", $0.charge)
                    && call.parameters.admits("payment_intent", $0.intent)
            }
        },
        Route("GET", "/v1/refunds/*", expand) { world, call throws(StripeFailure) in
            guard let refund = world.refunds[call.id] else { throw .noSuch("refund", call.id) }
            return refund.json(live: world.settings.live)
        },
    ]

    static let disputes: [Route] = [
        .list("/v1/disputes", ["charge": .text, "payment_intent": .text, "created": .range]) {
            world, call throws(StripeFailure) in
            try world.page(world.disputes, call) {
                call.parameters.admits("charge", $0.charge)
                    && call.parameters.admits("payment_intent", $0.intent)
            }
        },
        Route("GET", "/v1/disputes/*", expand) { world, call throws(StripeFailure) in
            guard let dispute = world.disputes[call.id] else { throw .noSuch("dispute", call.id, "dispute") }
            return dispute.json(live: world.settings.live)
        },
    ]
}

extension StripeWorld {
    func charge(_ id: String, _ parameter: String) throws(StripeFailure) -> Charge {
        guard let charge = self.charges[id] else { throw .noSuch("charge", id, parameter) }
        return charge
    }

    /// The charge by which an intent was paid.
    func paidCharge(ofIntent id: String) throws(StripeFailure) -> Charge {
        let intent = try self.intent(id)
        guard intent.status == .succeeded, let charge = intent.latestCharge.flatMap({ self.charges[$0] })
        else {
            throw .refused(
                "This PaymentIntent (\(id)) does not have a successful charge to refund.",
                code: "payment_intent_unexpected_state")
        }
        return charge
    }

    /// Checked in this order: which charge, its state, what is left of it.
    fileprivate mutating func createRefund(_ given: Parameters) throws(StripeFailure) -> JSON {
        let charge: Charge
        if let intent = given.text("payment_intent") {
            charge = try self.paidCharge(ofIntent: intent)
        } else if let id = given.text("charge") {
            charge = try self.charge(id, "charge")
        } else {
            throw .invalid(
                "One of the following params should be provided for this request: payment_intent or charge.",
                nil,
                code: "parameter_missing")
        }
        guard charge.status == .succeeded else {
            throw .refused("Charge \(charge.id) has not succeeded and cannot be refunded.", code: nil)
        }
        let chargedBack = self.disputes.rows.contains {
            $0.charge == charge.id && ($0.status.isOpen || $0.status == .lost)
        }
        guard !chargedBack else {
            throw .refused(
                "Charge \(charge.id) has been charged back; cannot issue a refund.", code: "charge_disputed")
        }
        let left = charge.amount - charge.amountRefunded
        guard left > 0 else {
            throw .refused("Charge \(charge.id) has already been refunded.", code: "charge_already_refunded")
        }
        let amount = given.integer("amount") ?? left
        guard amount > 0 else {
            throw .invalid("Invalid positive integer", "amount", code: "parameter_invalid_integer")
        }
        guard amount <= left else {
            throw .refused(
                "Refund amount (\(Self.dollars(amount))) is greater than unrefunded amount on charge "
                    + "(\(Self.dollars(left)))", code: nil, "amount")
        }
        let metadata = try given.metadata() ?? [:]
        let refund = self.refund(charge, amount: amount, reason: given.text("reason"), metadata: metadata)
        return refund.json(live: self.settings.live)
    }

    /// `$9.99` of 999 cents.
    static func dollars(_ cents: Int) -> String {
        let rest = cents % 100
        return "$\(cents / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
