struct StripeEvent: StripeObject, Equatable {
    let id: String
    let created: Int
    let type: String
    /// The object as it was when the event was made.
    let object: JSON
    /// Members that changed, with their old values; only of `….updated`.
    let previous: JSON?
    let apiVersion: String
    /// The API request that caused it, if one did.
    let request: String?
    let idempotencyKey: String?
    /// Endpoints that have not answered 2xx yet.
    var pendingWebhooks = 0

    func json(live: Bool) -> JSON {
        var data: JSON = ["object": object]
        if let previous { data["previous_attributes"] = previous }
        return [
            "id": .text(id), "object": "event", "api_version": .text(apiVersion), "created": .int(created),
            "data": data, "livemode": .bool(live), "pending_webhooks": .int(pendingWebhooks),
            "request": ["id": JSON(request), "idempotency_key": JSON(idempotencyKey)], "type": .text(type),
        ]
    }
}
