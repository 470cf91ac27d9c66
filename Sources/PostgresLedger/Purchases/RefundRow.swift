import Billing
import Metering

/// A row of `refund_request`.
enum RefundRow {
    /// What a reading of the payment shows of refunds that we asked for: their cents count in `payment_state` from here
    /// on, and a lost answer is not lost.
    static func seen(
        _ refunds: [PaymentSnapshot.RefundFacts], of purchase: PurchaseID, on connection: PostgresConnection
    ) throws {
        for refund in refunds {
            guard let request = refund.metadata[RefundPlan.refundKey] else { continue }
            let hasFailed = refund.status == .failed || refund.status == .canceled
            try connection.run(
                """
                UPDATE refund_request SET is_seen = true, status = $3, stripe_refund_id = $4, refusal = NULL,
                    updated_at = now()
                WHERE request = $1 AND purchase_id = $2::uuid AND kind = 'cash'
                  AND (NOT is_seen OR status <> $3)
                """,
                [
                    .text(request), .uuid(purchase.uuid), .text(hasFailed ? "failed" : "done"),
                    .text(refund.id),
                ])
        }
    }

    struct Stored {
        var purchase: PurchaseID
        var kind: String
        var wanted: String
        var reason: String
        var cents: Int64
        var amount: Millicredits
        var answer: StoredRefund.Answer
    }

    static func find(_ request: String, on connection: PostgresConnection) throws -> Stored? {
        guard
            let row = try connection.run(
                """
                SELECT purchase_id, kind, wanted, reason, cents, millicredits, status, stripe_refund_id, refusal
                FROM refund_request WHERE request = $1
                """, [.text(request)]
            ).first
        else { return nil }
        let answer: StoredRefund.Answer =
            switch try row.text(6) {
            case "asked": .asked
            case "refused": .refused(try row.optionalText(8) ?? "refused")
            default: .done(refund: try row.optionalText(7) ?? "")
            }
        return Stored(
            purchase: PurchaseID(try row.uuid(0)), kind: try row.text(1), wanted: try row.text(2),
            reason: try row.text(3), cents: try row.int(4), amount: try row.millicredits(5), answer: answer)
    }

    /// Cents of refunds that `payment_state` does not count yet.
    static func inFlightCents(_ purchase: PurchaseID, on connection: PostgresConnection) throws -> Int64 {
        try connection.run(
            """
            SELECT coalesce(sum(cents), 0)::bigint FROM refund_request
            WHERE purchase_id = $1::uuid AND kind = 'cash' AND NOT is_seen AND status IN ('asked', 'done')
            """, [.uuid(purchase.uuid)]
        ).one().int(0)
    }

    static func credited(_ purchase: PurchaseID, on connection: PostgresConnection) throws -> Millicredits {
        try connection.run(
            """
            SELECT coalesce(sum(millicredits), 0)::bigint FROM refund_request
            WHERE purchase_id = $1::uuid AND kind = 'credit'
            """, [.uuid(purchase.uuid)]
        ).one().millicredits(0)
    }

    static func store(
        _ request: String, _ purchase: PurchaseID, kind: String, wanted: String, cents: Int64 = 0,
        amount: Millicredits = .zero, reason: String, actor: String, isDone: Bool,
        on connection: PostgresConnection
    ) throws {
        try connection.run(
            """
            INSERT INTO refund_request (request, purchase_id, kind, wanted, cents, millicredits, reason, actor, status)
            VALUES ($1, $2::uuid, $3, $4, $5, $6, $7, $8, $9)
            """,
            [
                .text(request), .uuid(purchase.uuid), .text(kind), .text(wanted), .int(cents),
                .int(amount.value),
                .text(reason), .text(actor), .text(isDone ? "done" : "asked"),
            ])
    }
}
