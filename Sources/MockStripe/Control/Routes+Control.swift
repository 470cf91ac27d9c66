extension Route {
    /// The paths `/_mock/…` that change the world. They need no key and are not logged; parameters come as
    /// JSON or as a form, and unknown ones are refused.
    static let control: [Route] =
        [
            Route(
                "POST", "/_mock/pay",
                ["session": .text, "with": .oneOf(StripeWorld.Press.allCases.map(\.rawValue))]
            ) {
                world, call throws(StripeFailure) in
                let id = try call.parameters.requiredText("session")
                let press = StripeWorld.Press(rawValue: call.parameters.text("with") ?? "card") ?? .card
                switch world.press(press, session: id, at: world.now - world.advancedMilliseconds) {
                case .notFound: throw .noSuch("checkout.session", id, "session")
                case .redirect(let url): return ["redirect": .text(url)]
                case .stay(let remark): return ["redirect": nil, "remark": .text(remark)]
                }
            },
            Route(
                "POST", "/_mock/payment",
                ["payment": .text, "session": .text, "outcome": .oneOf(["succeed", "fail"])]
            ) { world, call throws(StripeFailure) in
                let intent = try world.named(call.parameters)
                guard intent.status == .processing else {
                    throw .refused("This payment is not processing.", code: nil)
                }
                let succeeds = try call.parameters.requiredText("outcome") == "succeed"
                world.settleBankDebit(intent.id, succeeds: succeeds)
                return try world.intent(intent.id).json(live: world.settings.live)
            },
            Route(
                "POST", "/_mock/refund",
                ["refund": .text, "status": .oneOf(["succeeded", "failed", "canceled"])]
            ) { world, call throws(StripeFailure) in
                let id = try call.parameters.requiredText("refund")
                let status = Refund.Status(rawValue: try call.parameters.requiredText("status")) ?? .failed
                guard world.refunds[id] != nil else { throw .noSuch("refund", id, "refund") }
                guard let refund = world.settleRefund(id, status) else {
                    throw .refused("This refund cannot become \(status.rawValue).", code: nil)
                }
                return refund.json(live: world.settings.live)
            },
            Route(
                "POST", "/_mock/dispute",
                [
                    "payment": .text, "session": .text, "dispute": .text, "amount": .integer, "reason": .text,
                    "action": .oneOf(["open", "inquiry"] + StripeWorld.DisputeStep.allCases.map(\.rawValue)),
                ]
            ) { world, call throws(StripeFailure) in
                try world.dispute(call.parameters)
            },
            Route(
                "POST", "/_mock/card",
                [
                    "payment_method": .text, "customer": .text,
                    "behaviour": .oneOf(PaymentMethod.Behaviour.allCases.map(\.rawValue)),
                ]
            ) { world, call throws(StripeFailure) in
                try world.setCards(call.parameters)
            },
            Route("POST", "/_mock/expire", ["session": .text]) { world, call throws(StripeFailure) in
                if let id = call.parameters.text("session") {
                    world.expire(try world.session(id).id)
                } else {
                    for session in world.sessions.rows { world.expire(session.id) }
                }
                return ["expired": .int(world.sessions.rows.count { $0.status == .expired })]
            },
            Route("POST", "/_mock/advance", ["seconds": .integer]) { world, call throws(StripeFailure) in
                let seconds = try call.parameters.requiredInteger("seconds")
                guard (0...400 * 86_400).contains(seconds) else { throw .invalid("0…400 days", "seconds") }
                let real = world.now - world.advancedMilliseconds
                world.advancedMilliseconds += seconds * 1_000
                world.tick(real)
                return ["now": .int(world.seconds)]
            },
        ] + deliveryControl
}

extension StripeWorld {
    /// Runs a control path; nil when there is no such one.
    public mutating func control(_ request: APIRequest, at milliseconds: Int) -> APIReply? {
        self.tick(milliseconds)
        guard let (route, captured) = Route.find(request, in: Route.control) else { return nil }
        do throws(StripeFailure) {
            guard let form = request.parameters else {
                throw .invalid("The body is neither a form nor JSON.", nil)
            }
            try ParameterShape.fields(route.shape).check(form, "")
            let call = Route.Call(parameters: Parameters(value: form), captured: captured, path: request.path)
            return APIReply(status: 200, body: try route.action(&self, call))
        } catch {
            return APIReply(status: error.status, body: error.json)
        }
    }

    /// By `payment` (an intent or a charge) or by `session`.
    fileprivate func named(_ given: Parameters) throws(StripeFailure) -> PaymentIntent {
        if let id = given.text("session") {
            guard let intent = try self.session(id).intent else {
                throw .refused("This session has no payment yet.", code: nil)
            }
            return try self.intent(intent)
        }
        let id = try given.requiredText("payment")
        return try self.intent(self.charges[id]?.intent ?? id)
    }

    /// Without `dispute`, steps go to the payment's newest one.
    fileprivate mutating func dispute(_ given: Parameters) throws(StripeFailure) -> JSON {
        let action = try given.requiredText("action")
        guard let step = DisputeStep(rawValue: action) else {
            let charge = try self.paidCharge(ofIntent: try self.named(given).id)
            let amount = given.integer("amount")
            guard (1...charge.amount).contains(amount ?? charge.amount - charge.amountRefunded) else {
                throw .invalid("Not an amount of this charge", "amount")
            }
            return self.openDispute(
                charge, amount: amount, reason: given.text("reason") ?? "fraudulent",
                inquiry: action == "inquiry"
            ).json(live: self.settings.live)
        }
        let id: String
        if let named = given.text("dispute") {
            id = named
        } else {
            let intent = try self.named(given).id
            guard let newest = self.disputes.rows.last(where: { $0.intent == intent }) else {
                throw .refused("This payment has no dispute.", code: nil)
            }
            id = newest.id
        }
        guard let before = self.disputes[id] else { throw .noSuch("dispute", id, "dispute") }
        guard let after = self.advance(dispute: id, step) else {
            throw .refused("A dispute that is \(before.status.rawValue) does not \(action).", code: nil)
        }
        return after.json(live: self.settings.live)
    }

    /// What saved methods do from now on: one, or all of a customer.
    fileprivate mutating func setCards(_ given: Parameters) throws(StripeFailure) -> JSON {
        let word = try given.requiredText("behaviour")
        guard let behaviour = PaymentMethod.Behaviour(rawValue: word) else { throw .missing("behaviour") }
        let named = given.text("payment_method")
        let customer = given.text("customer")
        guard named != nil || customer != nil else { throw .missing("payment_method") }
        var changed = 0
        for method in self.paymentMethods.rows
        where method.id == named || (customer != nil && method.customer == customer) {
            var method = method
            method.behaviour = behaviour
            self.paymentMethods[method.id] = method
            changed += 1
        }
        guard changed > 0 else { throw .noSuch("PaymentMethod", named ?? customer ?? "", "payment_method") }
        return ["changed": .int(changed)]
    }
}
