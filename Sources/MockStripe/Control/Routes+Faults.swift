extension Route {
    static let deliveryControl: [Route] = [
        Route(
            "POST", "/_mock/faults",
            [
                "duplicates": .integer, "twins": .integer, "delay_ms": .integer, "shuffle_seed": .integer,
                "drop": .integer, "wrong_livemode": .integer, "bad_timestamp": .integer,
                "skew_seconds": .integer,
                "bad_signature": .integer, "concurrency": .integer, "late_fees": .flag,
            ]
        ) { world, call throws(StripeFailure) in
            try world.setFaults(call.parameters)
        },
        Route(
            "POST", "/_mock/api_faults",
            [
                "kind": .oneOf(CallFault.Kind.allCases.map(\.rawValue)), "calls": .integer, "method": .text,
                "path": .text, "milliseconds": .integer, "clear": .flag,
            ]
        ) { world, call throws(StripeFailure) in
            let given = call.parameters
            if given.flag("clear") == true { world.callFaults = [] }
            if let word = given.text("kind"), let kind = CallFault.Kind(rawValue: word) {
                world.callFaults.append(
                    CallFault(
                        kind: kind, callsLeft: given.integer("calls") ?? 1, method: given.text("method"),
                        path: given.text("path"), milliseconds: given.integer("milliseconds") ?? 1_000))
            }
            return ["waiting": .int(world.callFaults.count)]
        },
        Route("POST", "/_mock/delivery", ["on": .flag, "hurry": .flag]) { world, call throws(StripeFailure) in
            if let on = call.parameters.flag("on") { world.queue.isStopped = !on }
            if call.parameters.flag("hurry") == true { world.queue.hurry(now: world.now) }
            return ["on": .bool(!world.queue.isStopped)]
        },
        Route("POST", "/_mock/resend", ["event": .text]) { world, call throws(StripeFailure) in
            let id = try call.parameters.requiredText("event")
            guard let event = world.events[id] else { throw .noSuch("event", id, "event") }
            world.resend(event)
            return ["queued": .int(world.queue.waiting.count { $0.event == id })]
        },
        Route("POST", "/_mock/settle_fees") { world, _ throws(StripeFailure) in
            world.feesAreLate = false
            for charge in world.charges.rows { world.settleFees(ofCharge: charge.id) }
            return ["balance_transactions": .int(world.balanceTransactions.rows.count)]
        },
        Route("POST", "/_mock/reset") { world, _ throws(StripeFailure) in
            world.reset()
            return ["reset": true]
        },
        Route("GET", "/_mock/stats") { world, _ throws(StripeFailure) in world.stats },
        Route("GET", "/_mock/log", ["after_calls": .integer, "after_deliveries": .integer]) {
            world, call throws(StripeFailure) in
            let given = call.parameters
            return world.log.json(
                afterCalls: max(0, given.integer("after_calls") ?? 0),
                afterDeliveries: max(0, given.integer("after_deliveries") ?? 0))
        },
    ]
}

extension StripeWorld {
    /// Sets only what is named. Counts are 0…1,000,000.
    fileprivate mutating func setFaults(_ given: Parameters) throws(StripeFailure) -> JSON {
        var faults = self.deliveryFaults
        let counts: [(String, WritableKeyPath<DeliveryFaults, Int>)] = [
            ("duplicates", \.duplicates), ("twins", \.twins), ("delay_ms", \.delayMilliseconds),
            ("drop", \.drop),
            ("wrong_livemode", \.wrongLivemode), ("bad_timestamp", \.badTimestamp),
            ("bad_signature", \.badSignature), ("concurrency", \.concurrency),
        ]
        for (name, member) in counts {
            guard let value = given.integer(name) else { continue }
            guard (0...1_000_000).contains(value) else { throw .invalid("0…1,000,000", name) }
            faults[keyPath: member] = value
        }
        faults.concurrency = max(1, faults.concurrency)
        if let seconds = given.integer("skew_seconds") {
            guard abs(seconds) <= 10_000_000 else { throw .invalid("Too far away", "skew_seconds") }
            faults.skewSeconds = seconds
        }
        if let seed = given.integer("shuffle_seed") {
            faults.shuffle = Identifiers(seed: UInt64(bitPattern: Int64(seed)))
        }
        self.deliveryFaults = faults
        if let late = given.flag("late_fees") { self.feesAreLate = late }
        return self.stats
    }

    /// `queued` is 0 when every event has been delivered, dropped or given up.
    var stats: JSON {
        [
            "now": .int(self.seconds), "queued": .int(self.queue.count),
            "under_way": .int(self.queue.underWay),
            "delivery": .bool(!self.queue.isStopped), "events": .int(self.events.rows.count),
            "undelivered": .int(self.events.rows.count { $0.pendingWebhooks > 0 }),
            "sessions": .int(self.sessions.rows.count), "payments": .int(self.intents.rows.count),
            "refunds": .int(self.refunds.rows.count), "disputes": .int(self.disputes.rows.count),
            "calls": .int(self.log.calls.count), "deliveries": .int(self.log.deliveries.count),
        ]
    }
}
