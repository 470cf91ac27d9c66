import Synchronization

/// The one world of a server, behind its lock, with the wall clock.
final class SharedWorld: Sendable {
    private let world: Mutex<StripeWorld>
    private let now: @Sendable () -> Int
    private let stopping = Atomic<Bool>(false)

    /// `now`: milliseconds since 1970.
    init(_ world: StripeWorld, now: @escaping @Sendable () -> Int) {
        self.world = Mutex(world)
        self.now = now
    }

    /// Connections that hang on purpose are to end now.
    var isStopping: Bool { self.stopping.load(ordering: .acquiring) }
    func stop() { self.stopping.store(true, ordering: .releasing) }

    func listens(at pages: String) { self.world.withLock { $0.settings.pages = pages } }

    func addWebhook(_ webhook: MockStripeServer.Webhook) {
        let now = self.now()
        self.world.withLock { world in
            world.tick(now)
            world.addEndpoint(url: webhook.url, secret: webhook.secret)
        }
    }

    func receive(_ request: APIRequest) -> Reception {
        let now = self.now()
        return self.world.withLock { $0.receive(request, at: now) }
    }

    func resume(_ ticket: Int) -> APIReply {
        let now = self.now()
        return self.world.withLock { $0.resume(ticket, at: now) }
    }

    func control(_ request: APIRequest) -> APIReply? {
        let now = self.now()
        return self.world.withLock { $0.control(request, at: now) }
    }

    func press(_ press: StripeWorld.Press, session: String) -> StripeWorld.PressAnswer {
        let now = self.now()
        return self.world.withLock { $0.press(press, session: session, at: now) }
    }

    /// Nil when there is no such session. What is written on the page is made from a copy, outside the lock.
    func checkoutPage(_ id: String, remark: String? = nil) -> String? {
        let now = self.now()
        let session = self.world.withLock { world in
            world.tick(now)
            return world.sessions[id]
        }
        return session.map { CheckoutPage.html($0, remark: remark) }
    }

    /// Nil when this payment has not been paid.
    func receiptPage(_ id: String) -> String? {
        let copy = self.world.withLock { $0 }
        guard let intent = copy.intents[id], let charge = intent.latestCharge.flatMap({ copy.charges[$0] }),
            charge.status == .succeeded
        else { return nil }
        return ReceiptPage.html(intent, charge, copy.refunds.rows.filter { $0.charge == charge.id })
    }

    func nextDelivery() -> Delivery? {
        let now = self.now()
        return self.world.withLock { $0.nextDelivery(at: now) }
    }

    func ended(_ delivery: Delivery, status: Int) {
        let now = self.now()
        self.world.withLock { $0.deliveryEnded(delivery, status: status, at: now) }
    }
}

extension StripeWorld {
    /// An endpoint that wants every event, signed with a secret that both sides know.
    public mutating func addEndpoint(url: String, secret: String) {
        self.endpoints.add(
            WebhookEndpoint(
                id: self.identifiers.next("we_"), created: self.seconds, url: url, secret: secret,
                events: ["*"],
                apiVersion: self.settings.apiVersion))
    }
}
