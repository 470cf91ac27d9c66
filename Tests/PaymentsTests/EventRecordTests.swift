import Billing
import Foundation
import Metering
import StripeAPI
import Testing

@testable import Payments

/// What is taken of an event that Stripe delivered or listed.
@Suite struct EventRecordTests {
    private func record(_ type: String, _ object: String) throws -> StripeEventRecord {
        let body =
            #"{"id":"evt_1","object":"event","type":"\#(type)","livemode":false,"created":7,"#
            + #""data":{"object":\#(object)}}"#
        return StripeEventRecord(
            try StripeEvent.parse(Array(body.utf8), isLive: false), isLive: false, source: .webhook)
    }

    /// As other products make them; all of ours have one.
    @Test(arguments: [
        ("charge.succeeded", "charge"), ("refund.created", "refund"), ("charge.dispute.created", "dispute"),
    ])
    func whatSaysThatItHasNoPaymentIntentIsOfAnother(_ type: String, _ object: String) throws {
        let none = #"{"object":"\#(object)","id":"x_1","payment_intent":null}"#
        #expect(try self.record(type, none).kind == .ignored)
        // Nothing said is something else: then we do not understand what Stripe sends.
        let silent = #"{"object":"\#(object)","id":"x_1"}"#
        #expect(try self.record(type, silent).kind == .unusable(.namesNoPayment))
        let ours = #"{"object":"\#(object)","id":"x_1","payment_intent":"pi_1"}"#
        let hint = PaymentHint(paymentIntent: "pi_1", session: nil, purchase: nil)
        #expect(try self.record(type, ours).kind == .payment(hint))
    }

    /// Whoever may write a refund's metadata does not say whose the payment is.
    @Test(arguments: [
        ("checkout.session.completed", "checkout.session", "cs_1", true),
        ("payment_intent.succeeded", "payment_intent", "pi_1", true),
        ("charge.succeeded", "charge", "ch_1", true),
        ("refund.created", "refund", "re_1", false), ("charge.dispute.created", "dispute", "du_1", false),
    ])
    func onlyAPaymentsOwnMetadataCount(
        _ type: String, _ object: String, _ id: String, _ isOwn: Bool
    ) throws {
        let record = try self.record(
            type,
            #"{"object":"\#(object)","id":"\#(id)","payment_intent":"pi_1","metadata":{"tollgate_ledger":"x"}}"#
        )
        #expect(record.metadata == (isOwn ? ["tollgate_ledger": "x"] : nil))
    }

    /// Of another ledger, a payment is no finding of the reconciliation.
    @Test func aListedPaymentNamesAPurchaseOfThisLedgerOnly() throws {
        let ledger = LedgerID(HoldID(high: 1, low: 2))
        func listed(_ metadata: [String: String]) throws -> ListedPayment {
            let fields: [String: Any] = [
                "id": "pi_1", "livemode": false, "status": "succeeded", "currency": "usd", "amount": 999,
                "amount_received": 999, "metadata": metadata, "created": 7,
            ]
            let json = try JSONSerialization.data(withJSONObject: fields)
            return ListedPayment(try JSONDecoder().decode(PaymentIntent.self, from: json), of: ledger)
        }
        let purchase = "\(PurchaseID(HoldID(high: 3, low: 4)))"
        let names = [Purchase.purchaseKey: purchase]
        #expect(try listed(names.merging([Purchase.ledgerKey: "\(ledger)"]) { $1 }).purchase == purchase)
        #expect(try listed(names).purchase == purchase)
        #expect(try listed(names.merging([Purchase.ledgerKey: "another"]) { $1 }).purchase == nil)
        #expect(try listed([:]).purchase == nil)
    }
}
