/// What the buttons of the checkout page do.
extension StripeWorld {
    public enum Press: String, CaseIterable, Sendable {
        case card
        case declined
        case insufficientFunds = "insufficient_funds"
        /// Pays, and is declined when it is charged off-session later.
        case cardThenDeclined = "card_then_declined"
        /// Pays, and wants its owner when it is charged off-session later.
        case cardThenAuthentication = "card_then_authentication"
        /// Stays pending until the control path decides.
        case bank
        case bankSucceeds = "bank_succeeds"
        case bankFails = "bank_fails"
        case cancel
    }

    public enum PressAnswer: Equatable, Sendable {
        case redirect(String)
        /// Stay on the page, with this remark.
        case stay(String)
        case notFound
    }

    public mutating func press(_ press: Press, session id: String, at milliseconds: Int) -> PressAnswer {
        self.tick(milliseconds)
        guard let session = self.sessions[id] else { return .notFound }
        guard session.status == .open else {
            return .stay("This checkout session is \(session.status.rawValue).")
        }
        if press == .cancel {
            return session.cancelURL.map { .redirect($0) } ?? .stay("There is no cancel URL.")
        }
        let intent = self.intent(of: session)
        let method = self.newMethod(press.firstBehaviour)
        switch self.confirm(intent, with: method, offSession: false) {
        case .failed(let failure): return .stay(failure.message)
        case .succeeded:
            self.complete(id, paid: true)
            self.save(method, of: id, then: press.laterBehaviour)
            self.settleFees(ofCharge: self.intents[intent]?.latestCharge)
        case .processing:
            self.complete(id, paid: false)
            if press != .bank {
                self.scheduled.append(
                    ScheduledOutcome(
                        intent: intent, succeeds: press == .bankSucceeds,
                        dueAt: self.now + self.settings.bankDebitMilliseconds))
            }
        }
        return .redirect(session.successTarget)
    }

    mutating func expire(_ id: String) {
        guard var session = self.sessions[id], session.status == .open else { return }
        session.status = .expired
        self.sessions[id] = session
        self.emit("checkout.session.expired", session)
    }

    mutating func newMethod(_ behaviour: PaymentMethod.Behaviour) -> PaymentMethod {
        let method = PaymentMethod(
            id: self.identifiers.next("pm_"), created: self.seconds, behaviour: behaviour)
        self.paymentMethods.add(method)
        return method
    }

    /// The session's intent, made at the first press; a declined one is used again.
    private mutating func intent(of session: CheckoutSession) -> String {
        if let intent = session.intent { return intent }
        var session = session
        if session.customer == nil, session.customerCreation == "always" || session.setupFutureUsage != nil {
            let customer = Customer(
                id: self.identifiers.next("cus_", length: 14), created: self.seconds,
                email: session.customerEmail ?? "payer@example.com", name: "Mock Payer")
            self.customers.add(customer)
            self.emit("customer.created", customer)
            session.customer = customer.id
        }
        let intent = PaymentIntent(
            id: self.identifiers.next("pi_"), created: self.seconds, amount: session.amount,
            currency: session.currency, customer: session.customer, description: session.intentDescription,
            metadata: session.intentMetadata, setupFutureUsage: session.setupFutureUsage,
            methodTypes: session.methodTypes)
        self.intents.add(intent)
        session.intent = intent.id
        self.sessions[session.id] = session
        self.emit("payment_intent.created", intent)
        return intent.id
    }

    private mutating func complete(_ id: String, paid: Bool) {
        guard var session = self.sessions[id] else { return }
        session.status = .complete
        session.paymentStatus = paid ? .paid : .unpaid
        self.sessions[id] = session
        self.emit("checkout.session.completed", session)
    }

    /// A card is kept only where the session asked for it.
    private mutating func save(
        _ method: PaymentMethod, of session: String, then behaviour: PaymentMethod.Behaviour
    ) {
        guard let session = self.sessions[session], session.setupFutureUsage != nil,
            let customer = session.customer
        else { return }
        var method = method
        method.customer = customer
        method.behaviour = behaviour
        self.paymentMethods[method.id] = method
        self.emit("payment_method.attached", method)
    }
}

extension StripeWorld.Press {
    fileprivate var firstBehaviour: PaymentMethod.Behaviour {
        switch self {
        case .card, .cardThenDeclined, .cardThenAuthentication, .cancel: .good
        case .declined: .declined
        case .insufficientFunds: .insufficientFunds
        case .bank, .bankSucceeds, .bankFails: .bankDebit
        }
    }

    fileprivate var laterBehaviour: PaymentMethod.Behaviour {
        switch self {
        case .cardThenDeclined: .declined
        case .cardThenAuthentication: .authenticationRequired
        default: .good
        }
    }
}
