/// How money comes in: charges succeed, fail, or wait for a bank.
extension StripeWorld {
    enum Confirmation: Equatable {
        case succeeded
        case processing
        case failed(StripeFailure)
    }

    /// Charges the intent once. `offSession`: nobody is there to authenticate.
    mutating func confirm(_ id: String, with method: PaymentMethod, offSession: Bool) -> Confirmation {
        guard var intent = self.intents[id] else { return .failed(.noSuch("payment_intent", id, "intent")) }
        var charge = Charge(
            id: self.identifiers.next(method.isBank ? "py_" : "ch_"), created: self.seconds,
            amount: intent.amount,
            currency: intent.currency, intent: id, customer: intent.customer, description: intent.description,
            metadata: intent.metadata, method: method, receiptURL: self.settings.pages + "/receipts/" + id,
            status: .succeeded)
        intent.latestCharge = charge.id
        intent.paymentMethod = method.id
        intent.lastError = nil
        if let (code, decline, message) = method.behaviour.refusal(offSession: offSession) {
            return self.fail(&intent, &charge, code: code, decline: decline, message: message)
        }
        guard !method.isBank else {
            charge.status = .pending
            intent.status = .processing
            self.store(intent, charge)
            self.emit("charge.pending", charge)
            self.emit("payment_intent.processing", intent)
            return .processing
        }
        intent.status = .succeeded
        self.store(intent, charge)
        self.emit("charge.succeeded", charge)
        self.emit("payment_intent.succeeded", intent)
        return .succeeded
    }

    /// Makes the balance transaction, which Stripe does after its first events about the charge.
    mutating func settleFees(ofCharge id: String?) {
        guard !self.feesAreLate, let id, var charge = self.charges[id], charge.status == .succeeded,
            charge.balanceTransaction == nil
        else { return }
        charge.balanceTransaction =
            self.move(
                charge.amount, fee: BalanceTransaction.fee(ofCharge: charge.amount), charge.currency,
                charge.method.isBank ? .payment : .charge, "charge", source: id, charge.description
            ).id
        self.charges[id] = charge
        self.emit("charge.updated", charge, previous: ["balance_transaction": nil])
    }

    /// The bank's answer to a debit. Nothing happens to one that is not processing any more.
    mutating func settleBankDebit(_ id: String, succeeds: Bool) {
        guard var intent = self.intents[id], intent.status == .processing,
            var charge = intent.latestCharge.flatMap({ self.charges[$0] })
        else { return }
        let session = self.sessions.rows.first { $0.intent == id }
        if succeeds {
            charge.status = .succeeded
            intent.status = .succeeded
            self.store(intent, charge)
            self.emit("charge.succeeded", charge)
            self.emit("payment_intent.succeeded", intent)
        } else {
            _ = self.fail(
                &intent, &charge, code: "payment_method_provider_decline", decline: nil,
                message: "The customer's bank returned the debit.")
        }
        if var session {
            if succeeds { session.paymentStatus = .paid }
            self.sessions[session.id] = session
            self.emit("checkout.session.async_payment_" + (succeeds ? "succeeded" : "failed"), session)
        }
        self.settleFees(ofCharge: charge.id)
    }

    /// Adds a movement of the balance.
    mutating func move(
        _ amount: Int, fee: Int = 0, _ currency: String, _ kind: BalanceTransaction.Kind, _ category: String,
        source: String, _ description: String? = nil
    ) -> BalanceTransaction {
        let transaction = BalanceTransaction(
            id: self.identifiers.next("txn_"), created: self.seconds, amount: amount, fee: fee,
            currency: currency,
            kind: kind, category: category, source: source, description: description)
        self.balanceTransactions.add(transaction)
        return transaction
    }

    private mutating func fail(
        _ intent: inout PaymentIntent, _ charge: inout Charge, code: String, decline: String?, message: String
    ) -> Confirmation {
        charge.status = .failed
        charge.failureCode = code
        charge.failureMessage = message
        intent.status = .requiresPaymentMethod
        intent.paymentMethod = nil
        var failure = StripeFailure(
            status: 402, kind: .card, code: code, declineCode: decline, message: message, charge: charge.id)
        intent.lastError = failure.json["error"] ?? nil
        intent.lastError["payment_method"] = charge.method.json(live: self.settings.live)
        self.store(intent, charge)
        self.emit("charge.failed", charge)
        self.emit("payment_intent.payment_failed", intent)
        failure.intent = intent.json(live: self.settings.live)
        return .failed(failure)
    }

    private mutating func store(_ intent: PaymentIntent, _ charge: Charge) {
        self.intents[intent.id] = intent
        self.charges[charge.id] = charge
    }
}

extension PaymentMethod.Behaviour {
    /// Code, decline code and message of a charge that does not go through.
    func refusal(offSession: Bool) -> (code: String, decline: String?, message: String)? {
        switch self {
        case .good, .bankDebit: return nil
        case .declined: return ("card_declined", "generic_decline", "Your card was declined.")
        case .insufficientFunds:
            return ("card_declined", "insufficient_funds", "Your card has insufficient funds.")
        case .expired: return ("expired_card", "expired_card", "Your card has expired.")
        case .authenticationRequired:
            guard offSession else { return nil }
            return (
                "authentication_required", "authentication_required",
                "Your card was declined. This transaction requires authentication."
            )
        }
    }
}
