import Billing
import Metering
import HTTPTypes
import Testing

@testable import ControlPlane

/// `POST /api/admin/refunds`.
@Suite struct AdminRefundTests {
    private static let purchase = FakeDesk.purchase
    private static let cash = #"""
        {"purchaseId":"\#(Self.purchase)","kind":"cash","amountCents":333,"reason":"broken","idempotencyKey":"k1"}
        """#
    private static let credit = #"""
        {"purchaseId":"\#(Self.purchase)","kind":"credit","amountMillicredits":"5000","reason":"r","idempotencyKey":"k2"}
        """#

    private func refund(
        _ body: String = Self.cash, _ token: String? = ControlRig.adminToken,
        back: FakeMoneyBack = FakeMoneyBack()
    ) async throws -> Reply {
        try await ControlRig(back: back).send(.post, "/api/admin/refunds", token, body: body)
    }

    @Test func moneyGoesBackAsItWasAsked() async throws {
        let back = FakeMoneyBack()
        let reply = try await self.refund(back: back)
        #expect(reply.status == 200)
        #expect(
            reply.text
                == #"{"status":"done","purchaseId":"\#(Self.purchase)","idempotencyKey":"k1","kind":"cash","#
                + #""refundId":"re_1","amountCents":333}"#)
        #expect(
            back.asked.withLock { $0 } == [
                .init(
                    request: "k1", purchase: Self.purchase, cash: .cents(333), reason: "broken",
                    actor: "admin-token")
            ])
        let id = reply.headers[.tollgateRequestID]
        #expect(id != nil && back.notes.withLock { $0 }.map(\.request) == [id])
    }

    @Test func creditsAreAStringOfMillicredits() async throws {
        let back = FakeMoneyBack()
        let reply = try await self.refund(Self.credit, back: back)
        #expect(reply.status == 200 && reply.text.contains(#""amountMillicredits":"5000""#))
        #expect(back.asked.withLock { $0 }.map(\.credit) == [.millicredits(Millicredits(5000))])
    }

    @Test func withoutAnAmountItIsTheRest() async throws {
        let back = FakeMoneyBack()
        _ = try await self.refund(Self.cash.replacing(#""amountCents":333,"#, with: ""), back: back)
        _ = try await self.refund(
            Self.credit.replacing(#""amountMillicredits":"5000","#, with: ""), back: back)
        #expect(back.asked.withLock { $0 }.map(\.cash) == [.rest, nil])
        #expect(back.asked.withLock { $0 }.map(\.credit) == [nil, .rest])
    }

    /// (from, to, the member that is named). A member that is misspelt must never mean "all that is left".
    @Test(arguments: [
        ("amountCents", "amountCent", "amountCent"), (":333", ":null", "amountCents"),
        (":333", #":"333""#, "amountCents"), (":333", ":3.5", "amountCents"),
        ("amountCents", "amountMillicredits", "amountMillicredits"),
        (#""cash""#, #""money""#, "kind"), (#""cash""#, #""credit""#, "amountCents"),
        (#""kind":"cash","#, "", "kind"), (#""reason":"broken","#, "", "reason"),
        (#""k1""#, "1", "idempotencyKey"), (#","idempotencyKey":"k1""#, "", "idempotencyKey"),
        ("\(FakeDesk.purchase)", "1", "purchaseId"), ("purchaseId", "purchase", "purchase"),
        (#""k1""#, #""k\u0000""#, "idempotencyKey"),
        (#""amountCents":333"#, #""amountCents":1,"amountCents":333"#, "body"),
        (#""amountCents":333"#, #""amount\u0043ents":1,"amountCents":333"#, "body"),
    ]) func whatIsWrongIsNamed(_ from: String, _ to: String, _ member: String) async throws {
        let back = FakeMoneyBack()
        let body = Self.cash.replacing(from, with: to)
        #expect(body != Self.cash)
        let reply = try await self.refund(body, back: back)
        #expect(reply.status == 400 && reply.text.contains("\"param\":\"\(member)\""), "\(reply.text)")
        #expect(back.asked.withLock { $0 } == [])
    }

    @Test(arguments: ["", "[]", "{", "null", "1"])
    func whatIsNoOrderIsRefused(_ body: String) async throws {
        #expect(try await self.refund(body).status == 400)
    }

    @Test func onlyTheOperatorRefunds() async throws {
        let back = FakeMoneyBack()
        #expect(try await self.refund(Self.cash, nil, back: back).status == 401)
        #expect(try await self.refund(Self.cash, "tg_nobody", back: back).status == 401)
        for key in [FakeLedger.adaKey, FakeLedger.serviceKey] {
            let reply = try await self.refund(Self.cash, key, back: back)
            #expect(reply.status == 403 && reply.text.contains("not_admin"))
        }
        #expect(back.asked.withLock { $0 } == [])
        #expect(try await self.refund(Self.cash, ControlRig.oldAdminToken, back: back).status == 200)
    }

    /// (failure, status, code, named member)
    @Test(
        arguments: [
            (RefundFailure.notConfigured, 503, "purchases_not_configured", nil),
            (.unknownPurchase, 404, "purchase_not_found", "purchaseId"),
            (.idempotencyConflict, 409, "idempotency_conflict", "idempotencyKey"),
            (.refusedByStripe("charge_disputed"), 502, "stripe_refused", nil),
            (.ledgerUnavailable, 503, "ledger_unavailable", nil),
            (.cash(.invalidRequestID), 400, "invalid_idempotency_key", "idempotencyKey"),
            (.cash(.noReason), 400, "invalid_reason", "reason"),
            (.cash(.notPaid), 409, "purchase_not_paid", "purchaseId"),
            (.cash(.disputed), 409, "purchase_disputed", "purchaseId"),
            (.cash(.nothingLeft), 409, "nothing_left_to_refund", "purchaseId"),
            (.cash(.amountNotPositive), 400, "amount_not_positive", "amountCents"),
            (.cash(.moreThanLeft(cents: 9)), 422, "more_than_left", "amountCents"),
        ] as [(RefundFailure, Int, String, String?)])
    func everyRefusalHasItsStatusAndCode(
        _ failure: RefundFailure, _ status: Int, _ code: String, _ member: String?
    ) async throws {
        let reply = try await self.refund(back: FakeMoneyBack(failing: failure))
        #expect(try reply.status == status && reply.string("code") == code, "\(reply.text)")
        #expect(try reply.string("param") == member)
        #expect(try reply.string("error") == failure.sentence)
    }

    /// (refusal, status, code, named member)
    @Test(arguments: [
        (CreditRefund.Refusal.invalidRequestID, 400, "invalid_idempotency_key", "idempotencyKey"),
        (.noReason, 400, "invalid_reason", "reason"), (.notPaid, 409, "purchase_not_paid", "purchaseId"),
        (.disputed, 409, "purchase_disputed", "purchaseId"),
        (.nothingLeft, 409, "nothing_left_to_refund", "purchaseId"),
        (.amountNotPositive, 400, "amount_not_positive", "amountMillicredits"),
        (.moreThanLeft(Millicredits(9)), 422, "more_than_left", "amountMillicredits"),
    ]) func creditRefusalsAreTheSame(
        _ refusal: CreditRefund.Refusal, _ status: Int, _ code: String, _ member: String
    ) async throws {
        let reply = try await self.refund(Self.credit, back: FakeMoneyBack(failing: .credit(refusal)))
        #expect(try reply.status == status && reply.string("code") == code)
        #expect(try reply.string("param") == member)
    }

    /// It is neither done nor refused, and nobody has to do anything.
    @Test func anAnswerThatIsMissingIsPending() async throws {
        let reply = try await self.refund(back: FakeMoneyBack(failing: .unknown))
        #expect(try reply.status == 202 && reply.string("status") == "pending")
    }
}
