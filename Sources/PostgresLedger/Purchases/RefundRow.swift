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
        /// Stripe may have forgotten its key.
        var isTooOld: Bool
    }

    static func find(_ request: String, on connection: PostgresConnection) throws -> Stored? {
        guard
            let row = try connection.run(
                """
                SELECT purchase_id, kind, wanted, reason, cents, millicredits, status, stripe_refund_id, refusal,
                       created_at < now() - interval '23 hours'
                FROM refund_request WHERE request = $1
                """, [.text(request)]
            ).first
        else { return nil }
        let answer: StoredRefund.Answer =
            switch try row.text(6) {
            case "asked": .asked
            case "refused": .refused(try row.optionalText(8) ?? "refused")
            case "failed": .failed
            default: .done(refund: try row.optionalText(7) ?? "")
            }
        return Stored(
            purchase: PurchaseID(try row.uuid(0)), kind: try row.text(1), wanted: try row.text(2),
            reason: try row.text(3), cents: try row.int(4), amount: try row.millicredits(5), answer: answer,
            isTooOld: try row.bool(9))
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

    /// The same in credits, rounded up: what goes back as money does not go back as credits too.
    static func inFlightCredits(
        _ purchase: PurchaseID, _ posted: PaymentPosted, on connection: PostgresConnection
    ) throws -> Int64 {
        let cents = try self.inFlightCents(purchase, on: connection)
        return Self.share(cents, of: posted.state.granted.value, per: posted.state.paidCents)
    }

    /// What was given as credits, in cents, rounded up.
    static func creditedCents(
        _ purchase: PurchaseID, _ posted: PaymentPosted, on connection: PostgresConnection
    ) throws -> Int64 {
        let credits = try self.credited(purchase, on: connection).value
        return Self.share(credits, of: posted.state.paidCents, per: posted.state.granted.value)
    }

    /// ⌈whole × part / unit⌉; nothing of nothing.
    private static func share(_ part: Int64, of whole: Int64, per unit: Int64) -> Int64 {
        guard unit > 0 else { return 0 }
        return Int64((Int128(whole) * Int128(part) + Int128(unit) - 1) / Int128(unit))
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
        amount: Millicredits = .zero, _ note: ChangeNote, isDone: Bool,
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
                .text(note.reason), .text(note.actor), .text(isDone ? "done" : "asked"),
            ])
    }

    /// The entry of the audit log; last in the transaction of `store`.
    static func audit(
        _ request: String, _ purchase: PurchaseID, kind: String, cents: Int64 = 0,
        amount: Millicredits = .zero, _ note: ChangeNote, on connection: PostgresConnection
    ) throws {
        let what =
            kind == "cash"
            ? ("amountCents", AuditJSON.number(cents)) : ("amountMillicredits", AuditJSON.amount(amount))
        try connection.audit(
            note, "refund.\(kind)", "purchase:\(purchase)", before: nil,
            after: AuditJSON.object([("idempotencyKey", AuditJSON.text(request)), what]))
    }
}
