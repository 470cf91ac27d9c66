struct WebhookEndpoint: StripeObject, Equatable {
    let id: String
    let created: Int
    let url: String
    /// What its deliveries are signed with; shown only when it is created.
    let secret: String
    let events: [String]
    let apiVersion: String?
    var description: String?
    var metadata: [String: String] = [:]
    var enabled = true

    func wants(_ type: String) -> Bool { enabled && (events.contains("*") || events.contains(type)) }

    func json(live: Bool) -> JSON {
        [
            "id": .text(id), "object": "webhook_endpoint", "api_version": JSON(apiVersion),
            "application": nil,
            "created": .int(created), "description": JSON(description), "enabled_events": JSON(events),
            "livemode": .bool(live), "metadata": JSON(metadata), "status": enabled ? "enabled" : "disabled",
            "url": .text(url),
        ]
    }
}
