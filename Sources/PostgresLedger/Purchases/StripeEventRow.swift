import Billing

/// A row of `stripe_event`.
enum StripeEventRow {
    enum Arrival {
        case first
        /// Stored before, and led to something or to nothing; it is not looked at again.
        case repeated
        /// Stored before as a dead letter: it may have become clear in the meantime.
        case deadBefore
    }

    /// Stores it, or waits for whoever is storing it at this moment.
    static func arrive(
        _ event: StripeEventRecord, _ outcome: String, reason: String?, on connection: PostgresConnection
    ) throws -> Arrival {
        var hint: PaymentHint?
        if case .payment(let named) = event.kind { hint = named }
        let stored = try connection.run(
            """
            INSERT INTO stripe_event (event_id, type, livemode, happened_at, source, session_id, payment_intent_id,
                purchase_id, outcome, reason)
            VALUES ($1, $2, $3, to_timestamp($4::bigint), $5, $6, $7, $8::uuid, $9, $10)
            ON CONFLICT (event_id) DO NOTHING
            """,
            [
                .text(event.id), .text(event.type), .bool(event.livemode), .int(event.createdAt),
                .text(event.source.rawValue), .text(hint?.session), .text(hint?.paymentIntent),
                hint?.purchase.map { .uuid($0.uuid) } ?? .null, .text(outcome), .text(reason),
            ]
        ).affected
        guard stored == 0 else { return .first }
        let before = try connection.run(
            """
            UPDATE stripe_event SET attempts = attempts + 1 WHERE event_id = $1 RETURNING outcome
            """, [.text(event.id)]
        ).one().text(0)
        return before == "dead" ? .deadBefore : .repeated
    }

    static func end(
        _ id: String, _ outcome: String, reason: String?, purchase: PurchaseID?,
        on connection: PostgresConnection
    ) throws {
        try connection.run(
            """
            UPDATE stripe_event
            -- Dismissed was what was known then: whatever it is now, a person has not seen.
            SET dismissed_at = CASE WHEN $2 = 'dead' AND reason IS NOT DISTINCT FROM $3 THEN dismissed_at END,
                outcome = $2, reason = $3, purchase_id = coalesce($4::uuid, purchase_id)
            WHERE event_id = $1
            """,
            [.text(id), .text(outcome), .text(reason), purchase.map { .uuid($0.uuid) } ?? .null])
    }
}
