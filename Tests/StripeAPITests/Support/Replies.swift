@testable import StripeAPI

/// Stripe's objects with what we read of them, and something beside it.
enum Replies {
    static func reply(_ json: String, isLive: Bool = false, isToPost: Bool = false) -> StripeReply {
        StripeReply(body: Array(json.utf8), requestID: "req_1", isLive: isLive, isToPost: isToPost)
    }

    static func page(_ items: [String], more: Bool = false) -> StripeReply {
        self.reply(
            #"{"object":"list","url":"/v1/x","has_more":\#(more),"data":[\#(items.joined(separator: ","))]}"#)
    }

    static func transaction(
        _ id: String = "txn_1", type: String = "charge", amount: Int64 = 999, fee: Int64 = 59,
        currency: String = "usd"
    ) -> String {
        #"{"id":"\#(id)","object":"balance_transaction","type":"\#(type)","amount":\#(amount),"fee":\#(fee),"#
            + #""net":\#(amount &- fee),"currency":"\#(currency)","source":"ch_1","#
            + #""created":1790000001,"status":"available"}"#
    }

    static func charge(
        paid: Bool = true, currency: String = "usd", transaction: String? = Self.transaction(),
        livemode: Bool = false
    ) -> String {
        #"{"id":"ch_1","object":"charge","amount":999,"amount_refunded":0,"paid":\#(paid),"#
            + #""status":"\#(paid ? "succeeded" : "failed")","disputed":false,"livemode":\#(livemode),"#
            + #""created":1790000001,"currency":"\#(currency)","#
            + #""receipt_url":"https://pay.stripe.com/receipts/1","payment_intent":"pi_1","#
            + #""balance_transaction":\#(transaction ?? "null")}"#
    }

    static func intent(
        id: String = "pi_1", status: String = "succeeded", livemode: Bool = false,
        charge: String = Self.charge(), lastError: String = "null"
    ) -> String {
        #"{"id":"\#(id)","object":"payment_intent","status":"\#(status)","livemode":\#(livemode),"#
            + #""amount":999,"amount_received":\#(status == "succeeded" ? 999 : 0),"currency":"usd","#
            + #""customer":"cus_1","created":1790000000,"#
            + #""metadata":{"tollgate_purchase":"p1"},"last_payment_error":\#(lastError),"#
            + #""latest_charge":\#(charge)}"#
    }

    static func refund(
        _ id: String, amount: Int64 = 100, status: String? = "succeeded", currency: String = "usd"
    ) -> String {
        #"{"id":"\#(id)","object":"refund","amount":\#(amount),"currency":"\#(currency)","#
            + #""status":\#(status.map { "\"\($0)\"" } ?? "null"),"payment_intent":"pi_1","#
            + #""metadata":{"tollgate_refund":"\#(id)"},"created":1790000002}"#
    }

    static func dispute(
        _ id: String = "du_1", status: String = "needs_response", amount: Int64 = 999,
        currency: String = "usd",
        livemode: Bool = false, transactions: [String] = []
    ) -> String {
        #"{"id":"\#(id)","object":"dispute","amount":\#(amount),"currency":"\#(currency)","#
            + #""status":"\#(status)","livemode":\#(livemode),"payment_intent":"pi_1","charge":"ch_1","#
            + #""balance_transactions":[\#(transactions.joined(separator: ","))]}"#
    }

    static func event(
        _ id: String, type: String = "charge.refunded", created: Int64 = 1_790_000_000,
        livemode: Bool = false,
        object: String = #"{"object":"charge","id":"ch_1","payment_intent":"pi_1"}"#
    ) -> String {
        #"{"id":"\#(id)","object":"event","api_version":"2026-10-28.endive","type":"\#(type)","#
            + #""created":\#(created),"livemode":\#(livemode),"pending_webhooks":1,"#
            + #""data":{"object":\#(object)}}"#
    }
}

/// Runs an operation against replies that are there already, and keeps what it asked for.
struct Rehearsal<Operation: StripeOperation> {
    private(set) var asked: [StripeRequest] = []

    /// nil output: it asks for more than there is.
    mutating func run(
        _ operation: Operation, _ replies: [StripeReply]
    ) throws(StripeFailure) -> Operation.Output? {
        var operation = operation
        var last: StripeReply?
        for reply in replies + [nil] {
            switch try operation.step(after: last) {
            case .ask(let request): self.asked.append(request)
            case .done(let output): return output
            }
            last = reply
        }
        return nil
    }
}

extension StripeOperation {
    func rehearse(_ replies: [StripeReply]) throws(StripeFailure) -> Output? {
        var rehearsal = Rehearsal<Self>()
        return try rehearsal.run(self, replies)
    }
}
