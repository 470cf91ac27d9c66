import Testing

@testable import MockStripe

@Suite struct ReversalTests {
    @Test func refundsAddUpToThePaymentAndNoFurther() {
        var shop = Shop()
        let intent = shop.paid()
        let before = shop.types().count
        let first = shop.post(
            "/v1/refunds", "payment_intent=\(intent)&amount=300&reason=requested_by_customer")
        #expect(first["status"] == "succeeded" && first["amount"] == 300)
        #expect(shop.types(after: before) == ["refund.created", "charge.refunded"])
        #expect(shop.call("POST", "/v1/refunds", "payment_intent=\(intent)&amount=700").status == 400)
        let charge = first["charge"]?.text ?? "none"
        #expect(shop.get("/v1/charges/" + charge)["amount_refunded"] == 300)
        #expect(shop.get("/v1/charges/" + charge)["refunded"] == false)
        #expect(shop.post("/v1/refunds", "charge=" + charge)["amount"] == 699)
        #expect(shop.get("/v1/charges/" + charge)["refunded"] == true)
        #expect(shop.post("/v1/refunds", "charge=\(charge)&amount=1").errorCode == "charge_already_refunded")
        #expect(shop.get("/v1/refunds", "payment_intent=" + intent).ids.count == 2)
        // Since 2022-11-15 a charge does not list its refunds by itself.
        #expect(shop.get("/v1/charges/" + charge)["refunds"] == nil)
        #expect(shop.get("/v1/charges/" + charge, "expand[]=refunds")["refunds"]?.ids.count == 2)
        #expect(shop.world.balanceTransactions.rows.map(\.amount) == [999, -300, -699])
    }

    @Test func onlyWhatWasPaidIsRefunded() {
        var shop = Shop()
        let pending = shop.paid(.bank)
        #expect(
            shop.post("/v1/refunds", "payment_intent=" + pending).errorCode
                == "payment_intent_unexpected_state")
        #expect(shop.post("/v1/refunds").errorCode == "parameter_missing")
        #expect(shop.post("/v1/refunds", "payment_intent=pi_none").errorCode == "resource_missing")
        let paid = shop.paid()
        #expect(shop.call("POST", "/v1/refunds", "payment_intent=\(paid)&amount=0").status == 400)
        #expect(shop.call("POST", "/v1/refunds", "payment_intent=\(paid)&amount=-5").status == 400)
        #expect(shop.world.refunds.rows.isEmpty)
    }

    @Test func aRefundThatFailsLaterGivesItsAmountBack() throws {
        var shop = Shop()
        let intent = shop.paid()
        let refund = shop.post("/v1/refunds", "payment_intent=" + intent)["id"]?.text ?? "none"
        let before = shop.types().count
        let failed = shop.control("refund", "{\"refund\":\"\(refund)\",\"status\":\"failed\"}").body
        #expect(failed["status"] == "failed" && failed["failure_reason"] == "lost_or_stolen_card")
        #expect(failed["failure_balance_transaction"]?.text?.hasPrefix("txn_") == true)
        #expect(shop.types(after: before) == ["refund.failed", "refund.updated", "charge.refund.updated"])
        #expect(shop.world.charges.rows.last?.amountRefunded == 0)
        #expect(shop.world.balanceTransactions.rows.map(\.amount) == [999, -999, 999])
        #expect(shop.control("refund", "{\"refund\":\"\(refund)\",\"status\":\"succeeded\"}").status == 400)
        #expect(shop.post("/v1/refunds", "payment_intent=" + intent)["amount"] == 999)
    }

    @Test func refundsOfBankDebitsWaitForTheBank() {
        var shop = Shop()
        let intent = shop.paid(.bankSucceeds)
        shop.now += 2_000
        let refund = shop.post("/v1/refunds", "payment_intent=" + intent)
        #expect(refund["status"] == "pending")
        let id = refund["id"]?.text ?? "none"
        #expect(id.hasPrefix("pyr_"))
        #expect(
            shop.control("refund", "{\"refund\":\"\(id)\",\"status\":\"succeeded\"}").body["status"]
                == "succeeded")
        #expect(shop.types().last == "charge.refund.updated")
    }

    @Test(
        arguments: [
            (["open", "win"], "won", [-999, 999]), (["open", "lose"], "lost", [-999]),
            (["open", "respond", "win"], "won", [-999, 999]), (["open", "lose", "win"], "won", [-999, 999]),
            (["inquiry", "close_warning"], "warning_closed", []),
            (["inquiry", "respond", "close_warning"], "warning_closed", []),
            (["inquiry", "escalate", "lose"], "lost", [-999]),
        ] as [([String], String, [Int])])
    func aDisputeMovesMoneyOnlyWhereItDoesAtStripe(_ steps: [String], _ status: String, _ moves: [Int]) {
        var shop = Shop()
        let intent = shop.paid()
        var last: JSON = nil
        for step in steps {
            last = shop.control("dispute", "{\"payment\":\"\(intent)\",\"action\":\"\(step)\"}").body
        }
        #expect(last["status"]?.text == status)
        #expect(shop.world.balanceTransactions.rows.dropFirst().map(\.amount) == moves)
        #expect(last["balance_transactions"]?.list?.count == moves.count)
        #expect(shop.get("/v1/disputes", "payment_intent=" + intent).ids == [last["id"]?.text])
        #expect(shop.world.charges.rows[0].disputed)
    }

    @Test func theEventsOfADisputeComeInOrder() {
        var shop = Shop()
        let intent = shop.paid()
        let before = shop.types().count
        _ = shop.control("dispute", "{\"payment\":\"\(intent)\",\"action\":\"open\",\"amount\":500}")
        for step in ["respond", "win"] {
            _ = shop.control("dispute", "{\"payment\":\"\(intent)\",\"action\":\"\(step)\"}")
        }
        #expect(
            shop.types(after: before) == [
                "charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.updated",
                "charge.dispute.funds_reinstated", "charge.dispute.closed",
            ])
        let withdrawal = shop.world.balanceTransactions.rows[1]
        #expect(withdrawal.amount == -500 && withdrawal.fee == 1_500 && withdrawal.net == -2_000)
        #expect(withdrawal.kind == .adjustment && withdrawal.category == "dispute")
    }

    @Test func stepsThatAreNotPossibleAreRefused() {
        var shop = Shop()
        let intent = shop.paid()
        func step(_ action: String, _ more: String = "") -> Int {
            shop.control("dispute", "{\"payment\":\"\(intent)\",\"action\":\"\(action)\"\(more)}").status
        }
        #expect(step("win") == 400)
        #expect(step("open", ",\"amount\":1000") == 400)
        #expect(step("explode") == 400)
        #expect(step("open") == 200)
        #expect(step("escalate") == 400 && step("close_warning") == 400)
        #expect(shop.post("/v1/refunds", "payment_intent=" + intent).errorCode == "charge_disputed")
        #expect(step("win") == 200)
        #expect(step("lose") == 400)
        #expect(shop.call("POST", "/v1/refunds", "payment_intent=" + intent).status == 200)
    }

    @Test(arguments: [(999, 59), (4_999, 175), (9_999, 320), (50, 31), (1_000, 59)])
    func theFeeIsStripesPrice(_ amount: Int, _ fee: Int) {
        #expect(BalanceTransaction.fee(ofCharge: amount) == fee)
    }

    @Test func feesMayComeLate() {
        var shop = Shop()
        _ = shop.control("faults", #"{"late_fees":true}"#)
        let intent = shop.paid()
        let path = "/v1/payment_intents/" + intent
        let expand = "expand[]=latest_charge.balance_transaction"
        #expect(shop.get(path, expand).at("latest_charge", "balance_transaction") == .null)
        _ = shop.control("settle_fees", "{}")
        #expect(shop.get(path, expand).at("latest_charge", "balance_transaction", "fee") == 59)
        #expect(shop.types().last == "charge.updated")
    }
}
