extension Route {
    static let balance: [Route] = [
        .list(
            "/v1/balance_transactions",
            ["type": .text, "source": .text, "currency": .text, "created": .range]
        ) { world, call throws(StripeFailure) in
            try world.page(world.balanceTransactions, call) {
                call.parameters.admits("type", $0.kind.rawValue)
                    && call.parameters.admits("source", $0.source)
                    && call.parameters.admits("currency", $0.currency)
            }
        },
        Route("GET", "/v1/balance_transactions/*", expand) { world, call throws(StripeFailure) in
            guard let transaction = world.balanceTransactions[call.id] else {
                throw .noSuch("balance transaction", call.id)
            }
            return transaction.json(live: world.settings.live)
        },
        Route("GET", "/v1/balance", expand) { world, _ throws(StripeFailure) in
            let net = world.balanceTransactions.rows.reduce(0) { $0 + $1.net }
            return [
                "object": "balance",
                "available": [
                    ["amount": .int(net), "currency": "usd", "source_types": ["card": .int(net)]]
                ], "livemode": .bool(world.settings.live), "pending": [],
            ]
        },
        Route("GET", "/v1/account", expand) { world, _ throws(StripeFailure) in
            [
                "id": "acct_mock", "object": "account", "business_type": "company", "charges_enabled": true,
                "country": "US", "default_currency": "usd", "details_submitted": true,
                "email": "owner@example.com",
                "payouts_enabled": true, "type": "standard",
            ]
        },
    ]

    static let events: [Route] = [
        .list(
            "/v1/events",
            ["type": .text, "types": .list(.text), "created": .range, "delivery_success": .flag]
        ) { world, call throws(StripeFailure) in
            let types = call.parameters.texts("types")
            let wanted = call.parameters.flag("delivery_success")
            return try world.page(world.events, call) { event in
                world.isRetained(event) && call.parameters.admits("type", event.type)
                    && (types.isEmpty || types.contains(event.type))
                    && (wanted == nil || wanted == (event.pendingWebhooks == 0))
            }
        },
        Route("GET", "/v1/events/*", expand) { world, call throws(StripeFailure) in
            guard let event = world.events[call.id], world.isRetained(event) else {
                throw .noSuch("event", call.id)
            }
            return event.json(live: world.settings.live)
        },
    ]

    static let webhookEndpoints: [Route] = [
        Route(
            "POST", "/v1/webhook_endpoints",
            [
                "url": .text, "enabled_events": .list(.text), "description": .text, "metadata": .map,
                "api_version": .text, "expand": .list(.text),
            ]
        ) { world, call throws(StripeFailure) in
            let given = call.parameters
            let url = try given.requiredText("url")
            let events = given.texts("enabled_events")
            guard !events.isEmpty else { throw .missing("enabled_events") }
            let endpoint = WebhookEndpoint(
                id: world.identifiers.next("we_"), created: world.seconds, url: url,
                secret: world.identifiers.next("whsec_", length: 32), events: events,
                apiVersion: given.text("api_version"), description: given.text("description"),
                metadata: try given.metadata() ?? [:])
            world.endpoints.add(endpoint)
            var json = endpoint.json(live: world.settings.live)
            json["secret"] = .text(endpoint.secret)
            return json
        },
        .list("/v1/webhook_endpoints", [:]) { world, call throws(StripeFailure) in
            try world.page(world.endpoints, call)
        },
        Route("GET", "/v1/webhook_endpoints/*", expand) { world, call throws(StripeFailure) in
            guard let endpoint = world.endpoints[call.id] else { throw .noSuch("webhook endpoint", call.id) }
            return endpoint.json(live: world.settings.live)
        },
        Route("POST", "/v1/webhook_endpoints/*", ["disabled": .flag, "expand": .list(.text)]) {
            world, call throws(StripeFailure) in
            guard var endpoint = world.endpoints[call.id] else { throw .noSuch("webhook endpoint", call.id) }
            endpoint.enabled = call.parameters.flag("disabled") != true
            world.endpoints[call.id] = endpoint
            return endpoint.json(live: world.settings.live)
        },
    ]
}

extension StripeWorld {
    /// Stripe shows events for 30 days.
    func isRetained(_ event: StripeEvent) -> Bool { event.created > self.seconds - 30 * 86_400 }
}
