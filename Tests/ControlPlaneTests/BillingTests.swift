import Foundation
import Metering
import Testing

@testable import ControlPlane

/// `GET /api/billing/summary` and `/packages`.
@Suite struct BillingTests {
    /// The runbook's T-0 check compares with exactly these members.
    @Test func aNewAccountAnswersAsTheRunbookPrintsIt() async throws {
        let reply = try await ControlRig().get("/api/billing/summary", ControlRig.adminToken)
        let object = try reply.object()
        #expect(reply.status == 200)
        #expect(object["balanceMillicredits"] as? String == "0")
        #expect(object["balanceCredits"] as? Int == 0)
        #expect(object["balanceUsd"] as? Double == 0)
        #expect(object["heldMillicredits"] as? String == "0")
        #expect(object["availableMillicredits"] as? String == "0")
        #expect((object["packages"] as? [Any])?.count == 2)
        #expect((object["activeRates"] as? [Any])?.count == 4)
        #expect((object["recentLedger"] as? [Any])?.isEmpty == true)
        #expect((object["recentUsage"] as? [Any])?.isEmpty == true)
    }

    /// The text, since a binary float would have to be rounded to look right.
    @Test func amountsAreWrittenExactly() async throws {
        let reply = try await ControlRig().get("/api/billing/summary", FakeLedger.adaKey)
        #expect(
            reply.text.hasPrefix(
                #"{"balanceMillicredits":"3720","balanceCredits":3.72,"balanceUsd":0.00372,"#))
    }

    @Test(arguments: [Int64(1), -1, 9_007_199_254_740, 8_999_999_999_999_999, -8_999_999_999_999_999])
    func noAmountLosesADigit(_ amount: Int64) async throws {
        let rig = ControlRig()
        rig.ledger.state.withLock { $0.balances[1] = amount }
        let text = try await rig.get("/api/billing/summary", FakeLedger.adaKey).text
        let credits = ExactDecimal(coefficient: Int128(amount), scale: 3)
        let dollars = ExactDecimal(coefficient: Int128(amount), scale: 6)
        #expect(
            text.contains(
                #""balanceMillicredits":"\#(amount)","balanceCredits":\#(credits),"balanceUsd":\#(dollars),"#)
        )
    }

    @Test func availableIsBalanceLessHeldLessFloor() async throws {
        let rig = ControlRig()
        rig.ledger.state.withLock {
            $0.held = [1: 720]
            $0.floors[1] = -500
        }
        let reply = try await rig.get("/api/billing/summary", FakeLedger.adaKey)
        #expect(try reply.string("heldMillicredits") == "720")
        #expect(try reply.string("availableMillicredits") == "3500")
        #expect(try reply.object()["heldKnown"] as? Bool == true)
    }

    /// Redis being away must not take the billing page with it, and must not pass for "nothing held".
    @Test func withoutTheHoldStoreTheSummarySaysSo() async throws {
        let rig = ControlRig()
        rig.ledger.state.withLock { $0.held = nil }
        let reply = try await rig.get("/api/billing/summary", FakeLedger.adaKey)
        #expect(reply.status == 200)
        #expect(try reply.object()["heldKnown"] as? Bool == false)
        #expect(try reply.string("heldMillicredits") == "0")
        #expect(try reply.string("availableMillicredits") == "3720")
    }

    @Test func packagesAreTheServersOwn() async throws {
        let text = try await ControlRig().get("/api/billing/packages", FakeLedger.adaKey).text
        #expect(
            text == #"{"entries":[{"code":"starter","name":"Starter","priceUsdCents":999,"credits":9990,"#
                + #""bonusCredits":0},{"code":"professional","name":"Professional","priceUsdCents":4999,"#
                + #""credits":52490,"bonusCredits":2500}],"nextCursor":null}"#)
    }

    @Test func ratesAreExactStringsPerModel() async throws {
        let text = try await ControlRig().get("/api/billing/summary", FakeLedger.adaKey).text
        #expect(
            text.contains(
                #"{"model":"gpt-5-nano","priceId":"scholarlink@2025-01-19/gpt-5-nano","#
                    + #""inputCreditsPer1k":"0.2","cachedInputCreditsPer1k":"0.2","#
                    + #""cacheWriteCreditsPer1k":"0.2","outputCreditsPer1k":"1.6"}"#))
    }

    @Test func historyIsToldLineByLineAndEscaped() async throws {
        let rig = ControlRig()
        let hold = HoldID(millisecondsSinceEpoch: 1_700_000_000_000, randomA: 1, randomB: 2)
        rig.ledger.state.withLock {
            $0.ledgerLines[1] = [
                LedgerLine(
                    version: 2, type: "deduction", amount: Millicredits(-3_720), balanceAfter: .zero,
                    referenceType: "settlement_batch", referenceID: "a\"b\\c\n", createdAt: 1_700_000_000_001)
            ]
            $0.usageLines[1] = [
                UsageLine(
                    hold: hold, kind: "final", model: "gpt-4o-mini", modelServed: nil, endpoint: "chat",
                    inputTokens: 750, cachedInputTokens: 0, outputTokens: 200, reasoningTokens: 0,
                    priceID: "scholarlink@2025-01-19/gpt-4o-mini", charged: Millicredits(3_720),
                    estimated: false, occurredAt: 1_700_000_000_000)
            ]
        }
        let object = try await rig.get("/api/billing/summary", FakeLedger.adaKey).object()
        let line = try #require((object["recentLedger"] as? [[String: Any]])?.first)
        #expect(line["amountMillicredits"] as? String == "-3720")
        #expect(line["referenceId"] as? String == "a\"b\\c\n")
        let usage = try #require((object["recentUsage"] as? [[String: Any]])?.first)
        #expect(usage["holdId"] as? String == hold.description)
        #expect(usage["chargedMillicredits"] as? String == "3720")
        #expect(usage["modelServed"] is NSNull)
        let other = try await rig.get("/api/billing/summary", FakeLedger.bobKey).object()
        #expect((other["recentLedger"] as? [Any])?.isEmpty == true, "another account's history")
    }

    @Test(arguments: ["/api/billing/summary", "/api/billing/packages", "/api/billing/usage"])
    func aLedgerThatIsDownIsA503ThatTellsNothingOfIt(_ route: String) async throws {
        let rig = ControlRig()
        rig.ledger.state.withLock { $0.isDown = true }
        let reply = try await rig.get(route, FakeLedger.adaKey)
        #expect(reply.status == 503)
        #expect(try reply.string("code") == "ledger_unavailable")
        #expect(reply.headers[.retryAfter] == "1")
        #expect(!reply.text.contains("hunter2") && !reply.text.contains("Down"))
    }
}
