import Testing

@testable import MockStripe

/// Whatever is asked of the world in whatever order, its money adds up.
@Suite struct RandomHistoryTests {
    @Test(arguments: 1...20) func moneyAddsUp(_ seed: Int) {
        var dice = Identifiers(seed: UInt64(seed))
        var shop = Shop(seed: UInt64(seed))
        for _ in 0..<150 {
            shop.now += dice.number(below: 3_000)
            self.step(&shop, &dice)
        }
        let world = shop.world
        for charge in world.charges.rows {
            let refunded = world.refunds.rows.filter { $0.charge == charge.id && $0.counts }
            #expect(charge.amountRefunded == refunded.reduce(0) { $0 + $1.amount }, "seed \(seed)")
            #expect((0...charge.amount).contains(charge.amountRefunded), "seed \(seed)")
        }
        let charged = world.charges.rows.filter { $0.status == .succeeded }
        let refunds = world.refunds.rows.filter(\.counts)
        let withdrawn = world.disputes.rows.filter { $0.status.isOpen || $0.status == .lost }
        let gross =
            charged.reduce(0) { $0 + $1.amount } - refunds.reduce(0) { $0 + $1.amount }
            - withdrawn.reduce(0) { $0 + $1.amount }
        #expect(world.balanceTransactions.rows.reduce(0) { $0 + $1.amount } == gross, "seed \(seed)")
        for intent in world.intents.rows {
            let paid = charged.filter { $0.intent == intent.id }
            #expect(paid.count == (intent.status == .succeeded ? 1 : 0), "seed \(seed)")
            let events = world.events.rows.filter {
                $0.type == "payment_intent.succeeded" && $0.object["id"]?.text == intent.id
            }
            #expect(events.count == paid.count, "seed \(seed)")
        }
        // Every id is given once, and every event is queued or was delivered.
        #expect(Set(world.events.rows.map(\.id)).count == world.events.rows.count, "seed \(seed)")
        _ = shop.deliver()
        #expect(shop.world.events.rows.allSatisfy { $0.pendingWebhooks == 0 }, "seed \(seed)")
        #expect(
            !charged.isEmpty && !world.refunds.rows.isEmpty && !world.disputes.rows.isEmpty,
            "seed \(seed) did too little")
    }

    private func step(_ shop: inout Shop, _ dice: inout Identifiers) {
        func any(_ ids: [String]) -> String { ids.isEmpty ? "none" : ids[dice.number(below: ids.count)] }
        let intent = any(shop.world.intents.rows.map(\.id))
        switch dice.number(below: 8) {
        case 0, 1:
            _ = shop.paid(StripeWorld.Press.allCases[dice.number(below: StripeWorld.Press.allCases.count)])
        case 2, 3:
            _ = shop.call(
                "POST", "/v1/refunds", "payment_intent=\(intent)&amount=\(1 + dice.number(below: 700))")
        case 4:
            let status = ["succeeded", "failed", "canceled"][dice.number(below: 3)]
            _ = shop.control(
                "refund",
                "{\"refund\":\"\(any(shop.world.refunds.rows.map(\.id)))\",\"status\":\"\(status)\"}")
        case 5:
            let outcome = ["succeed", "fail"][dice.number(below: 2)]
            _ = shop.control("payment", "{\"payment\":\"\(intent)\",\"outcome\":\"\(outcome)\"}")
        case 6:
            let action = ["open", "inquiry"][dice.number(below: 2)]
            _ = shop.control("dispute", "{\"payment\":\"\(intent)\",\"action\":\"\(action)\"}")
        default:
            let steps = StripeWorld.DisputeStep.allCases.map(\.rawValue)
            _ = shop.control("dispute", "{\"payment\":\"\(intent)\",\"action\":\"\(any(steps))\"}")
        }
    }
}
