import Billing
import Metering

extension PostgresLedger: PaymentRecords {
    public func purchases(_ query: PurchaseQuery) async throws -> [PurchaseLine] {
        let statuses = query.statuses.isEmpty ? Set(Purchase.Status.allCases) : query.statuses
        return try await self.list { connection in
            try connection.run(
                """
                SELECT \(PurchaseRow.columns), a.user_id, p.receipt_url,
                       (extract(epoch FROM p.paid_at) * 1000)::bigint, s.granted, s.paid_cents, s.refunded_cents,
                       s.lost_cents, s.clawed_by_refunds, s.clawed_by_disputes, s.frozen, s.is_disputed, s.doubt
                FROM purchase p JOIN account a ON a.account_id = p.account_id
                     JOIN payment_state s ON s.purchase_id = p.purchase_id
                WHERE ($1::text IS NULL OR a.user_id = $1::text) AND p.status = ANY (string_to_array($2, ','))
                  AND ($3::uuid IS NULL OR p.purchase_id < $3::uuid)
                  AND ($5::uuid IS NULL OR p.purchase_id = $5::uuid)
                  AND ($6::bigint IS NULL OR coalesce(p.paid_at, p.created_at) >= to_timestamp($6::bigint / 1000.0))
                  AND ($7::bigint IS NULL OR coalesce(p.paid_at, p.created_at) < to_timestamp($7::bigint / 1000.0))
                ORDER BY p.purchase_id DESC LIMIT $4
                """,
                [
                    .text(query.userID), .text(statuses.map(\.rawValue).sorted().joined(separator: ",")),
                    query.before.map { .uuid($0.uuid) } ?? .null, .int(query.limit),
                    query.only.map { .uuid($0.uuid) } ?? .null, .int(query.from), .int(query.to),
                ]
            ).rows.map(Self.purchaseLine)
        }
    }

    private static func purchaseLine(_ row: PostgresRow) throws -> PurchaseLine {
        let posted = try PaymentTarget(row, from: 17)
        return PurchaseLine(
            purchase: try PurchaseRow.read(row), userID: try row.text(14),
            receiptURL: try row.optionalText(15),
            paidAt: try row.optionalInt(16), posted: posted, doubt: try row.optionalText(25))
    }

    // MARK: Events

    public func events(_ query: StoredEventQuery) async throws -> [StoredEvent] {
        let outcomes = query.outcomes.isEmpty ? Set(EventOutcome.allCases) : query.outcomes
        return try await self.list { connection in
            try connection.run(
                """
                SELECT \(Self.eventColumns) FROM stripe_event e
                WHERE \(Self.eventOutcome) = ANY (string_to_array($1, ',')) AND ($2::text IS NULL OR e.type = $2::text)
                  AND ($3::bigint IS NULL OR e.happened_at >= to_timestamp($3::bigint))
                  AND ($4::bigint IS NULL OR e.happened_at < to_timestamp($4::bigint))
                  AND ($5::bigint IS NULL OR (e.received_at, e.event_id)
                       < (timestamptz 'epoch' + $5::bigint * interval '1 microsecond', $6::text))
                ORDER BY e.received_at DESC, e.event_id DESC LIMIT $7
                """,
                [
                    .text(outcomes.map(\.rawValue).sorted().joined(separator: ",")), .text(query.type),
                    .int(query.from), .int(query.to), .int(query.before?.receivedAt), .text(query.before?.id),
                    .int(query.limit),
                ]
            ).rows.map(Self.storedEvent)
        }
    }

    public func event(_ id: String) async throws -> StoredEvent? {
        try await self.list { connection in
            try connection.run(
                "SELECT \(Self.eventColumns) FROM stripe_event e WHERE e.event_id = $1", [.text(id)]
            ).first.map(Self.storedEvent)
        }
    }

    public func dismissEvent(_ id: String, note: ChangeNote) async throws -> EventDismissal {
        try await self.pool.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { try Self.dismissEvent(id, note, on: $0) }
            }
        }
    }

    private static func dismissEvent(
        _ id: String, _ note: ChangeNote, on connection: PostgresConnection
    ) throws -> EventDismissal {
        let event = try connection.run(
            "SELECT \(self.eventColumns) FROM stripe_event e WHERE e.event_id = $1 FOR UPDATE", [.text(id)]
        ).first.map(self.storedEvent)
        switch event?.outcome {
        case nil: return .unknownEvent
        case .applied, .ignored: return .notDead
        case .dismissed: return .dismissed
        case .dead:
            try connection.run(
                "UPDATE stripe_event SET dismissed_at = now() WHERE event_id = $1", [.text(id)])
            try connection.audit(
                note, "webhook.dismiss", "event:\(id)",
                before: #"{"outcome":"dead"}"#, after: #"{"outcome":"dismissed"}"#)
            return .dismissed
        }
    }

    private static let eventOutcome =
        "CASE WHEN e.outcome = 'dead' AND e.dismissed_at IS NOT NULL THEN 'dismissed' ELSE e.outcome END"

    static let eventColumns = """
        e.event_id, e.type, e.livemode, extract(epoch FROM e.happened_at)::bigint, e.source, e.session_id,
        e.payment_intent_id, e.purchase_id::text, \(eventOutcome), e.reason, e.attempts,
        (extract(epoch FROM e.received_at) * 1000000)::bigint
        """

    static func storedEvent(_ row: PostgresRow) throws -> StoredEvent {
        guard let source = StripeEventRecord.Source(rawValue: try row.text(4)),
            let outcome = EventOutcome(rawValue: try row.text(8))
        else { throw PostgresError.unexpectedResult("unknown source or outcome of an event") }
        let hint = PaymentHint(
            paymentIntent: try row.optionalText(6), session: try row.optionalText(5),
            purchase: try row.optionalText(7).flatMap { PurchaseID(text: $0) })
        let namesNothing = hint.paymentIntent == nil && hint.session == nil && hint.purchase == nil
        let id = try row.text(0)
        return StoredEvent(
            record: StripeEventRecord(
                id: id, type: try row.text(1), livemode: try row.bool(2), createdAt: try row.int(3),
                source: source, kind: namesNothing ? .ignored : .payment(hint)),
            outcome: outcome, reason: try row.optionalText(9), attempts: try row.int(10),
            cursor: .init(receivedAt: try row.int(11), id: id))
    }
}
