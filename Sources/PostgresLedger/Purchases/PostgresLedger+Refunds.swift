import Billing
import Metering

extension PostgresLedger {
    public func planRefund(
        _ request: String, of purchase: PurchaseID, amount: RefundPlan.Amount, note: ChangeNote
    ) async throws -> StoredRefund {
        let wanted =
            switch amount {
            case .cents(let cents): "\(cents) cents"
            case .rest: "rest"
            }
        return try await self.withPayment(purchase) { connection, purchase, posted in
            if let stored = try RefundRow.find(request, on: connection) {
                guard stored.purchase == purchase.id, stored.kind == "cash", stored.wanted == wanted,
                    stored.reason == note.reason, let payment = purchase.paymentIntent
                else { throw RefundStorage.idempotencyConflict }
                return StoredRefund(
                    asked: AskedRefund(
                        request: request, purchase: purchase.id, paymentIntent: payment, cents: stored.cents,
                        isTooOld: stored.isTooOld),
                    answer: stored.answer, isNew: false)
            }
            let plan = try RefundPlan(
                request: request, purchase: purchase, posted: posted,
                inFlightCents: RefundRow.inFlightCents(purchase.id, on: connection)
                    + RefundRow.creditedCents(purchase.id, posted, on: connection), amount: amount,
                reason: note.reason)
            try RefundRow.store(
                request, purchase.id, kind: "cash", wanted: wanted, cents: plan.cents, note,
                isDone: false, on: connection)
            try RefundRow.audit(
                request, purchase.id, kind: "cash", cents: plan.cents, note,
                on: connection)
            return StoredRefund(asked: AskedRefund(plan), answer: .asked, isNew: true)
        }
    }

    public func refundCredits(
        _ request: String, of purchase: PurchaseID, amount: CreditRefund.Amount, note: ChangeNote
    ) async throws -> Millicredits {
        let wanted =
            switch amount {
            case .millicredits(let amount): "\(amount.value) millicredits"
            case .rest: "rest"
            }
        return try await self.withPayment(purchase) { connection, purchase, posted in
            if let stored = try RefundRow.find(request, on: connection) {
                guard stored.purchase == purchase.id, stored.kind == "credit", stored.wanted == wanted,
                    stored.reason == note.reason
                else { throw RefundStorage.idempotencyConflict }
                return stored.amount
            }
            let refund = try CreditRefund(
                request: request, purchase: purchase, posted: posted,
                creditedBefore: Millicredits(
                    RefundRow.credited(purchase.id, on: connection).value
                        + RefundRow.inFlightCredits(purchase.id, posted, on: connection)), amount: amount,
                reason: note.reason)
            try RefundRow.store(
                request, purchase.id, kind: "credit", wanted: wanted, amount: refund.amount, note,
                isDone: true, on: connection)
            try connection.run(
                "SELECT post_purchase_line($1::uuid, $2::uuid, $3, $4, 'adjustment', $5, $6, 0, NULL, NULL, NULL)",
                [
                    .uuid(Self.freshID()), .uuid(purchase.id.uuid), .int(purchase.account),
                    .int(refund.amount.value), .text(refund.key), .text(note.reason),
                ])
            try RefundRow.audit(
                request, purchase.id, kind: "credit", amount: refund.amount, note,
                on: connection)
            return refund.amount
        }
    }

    /// Runs `body` in a transaction that holds the lock of the payment.
    private func withPayment<Value: Sendable>(
        _ id: PurchaseID,
        _ body: @escaping @Sendable (PostgresConnection, Purchase, PaymentPosted) throws -> Value
    ) async throws -> Value {
        try await self.pool.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    guard try PaymentStateRow.exists(id, on: connection) else {
                        throw RefundStorage.unknownPurchase
                    }
                    let posted = try PaymentStateRow.lock(id, on: connection)
                    let purchase = try PurchaseRow.read(
                        connection.run(
                            "SELECT \(PurchaseRow.columns) FROM purchase p WHERE p.purchase_id = $1::uuid",
                            [.uuid(id.uuid)]
                        ).one())
                    return try body(connection, purchase, posted)
                }
            }
        }
    }
}
