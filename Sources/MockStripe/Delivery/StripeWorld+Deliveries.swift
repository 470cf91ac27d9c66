/// One POST to a webhook endpoint.
public struct Delivery: Equatable, Sendable {
    public let id: Int
    public let event: String
    public let type: String
    public let url: String
    public let body: String
    public let signature: String
    public let attempt: Int
    /// Words of the faults in it, for the log.
    public let faults: [String]
}

extension StripeWorld {
    /// The next POST, if one may begin now; to be followed by `deliveryEnded`.
    public mutating func nextDelivery(at milliseconds: Int) -> Delivery? {
        self.tick(milliseconds)
        guard let item = self.queue.next(now: self.now, faults: &self.deliveryFaults) else { return nil }
        guard let event = self.events[item.event], let endpoint = self.endpoints[item.endpoint] else {
            _ = self.queue.ended(item.id, status: 200, now: self.now, self.settings.retries)
            return nil
        }
        var faults: [String] = []
        var live = self.settings.live
        if DeliveryFaults.take(&self.deliveryFaults.wrongLivemode) {
            live.toggle()
            faults.append("wrong_livemode")
        }
        // Signed with the true time: a receiver's clock knows nothing of `advance`.
        var seconds = milliseconds / 1_000
        if DeliveryFaults.take(&self.deliveryFaults.badTimestamp) {
            seconds += self.deliveryFaults.skewSeconds
            faults.append("bad_timestamp")
        }
        var secret = endpoint.secret
        if DeliveryFaults.take(&self.deliveryFaults.badSignature) {
            secret += "?"
            faults.append("bad_signature")
        }
        let body = event.json(live: live).compact
        return Delivery(
            id: item.id, event: event.id, type: event.type, url: endpoint.url, body: body,
            signature: WebhookSignature.header(body: body, secret: secret, seconds: seconds),
            attempt: item.attempts, faults: faults)
    }

    /// `status` is 0 when the endpoint did not answer.
    public mutating func deliveryEnded(_ delivery: Delivery, status: Int, at milliseconds: Int) {
        self.tick(milliseconds)
        let (item, ending) = self.queue.ended(
            delivery.id, status: status, now: self.now, self.settings.retries)
        self.log.add(delivery: [
            "seq": .int(self.log.deliveries.count + 1), "at_ms": .int(self.now),
            "event": .text(delivery.event),
            "type": .text(delivery.type), "url": .text(delivery.url), "attempt": .int(delivery.attempt),
            "status": .int(status), "faults": JSON(delivery.faults), "signature": .text(delivery.signature),
        ])
        guard ending == .delivered, let item, var event = self.events[item.event],
            !self.delivered.contains([item.event, item.endpoint])
        else { return }
        // Copies of a delivery count once.
        self.delivered.insert([item.event, item.endpoint])
        event.pendingWebhooks -= 1
        self.events[event.id] = event
    }

    /// Queues an event once more for all endpoints that want it, as the dashboard's "resend" does.
    mutating func resend(_ event: StripeEvent) {
        var faultless = DeliveryFaults()
        for endpoint in self.endpoints.rows where endpoint.wants(event.type) {
            self.queue.add(event: event.id, endpoint: endpoint.id, now: self.now, faults: &faultless)
        }
    }
}
