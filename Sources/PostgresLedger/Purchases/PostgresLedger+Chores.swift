import Billing
import Metering

extension PostgresLedger: PaymentChores {
    public func unfinishedPurchases(livemode: Bool, limit: Int64) async throws -> [UnfinishedPurchase] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT \(PurchaseRow.columns), p.success_url, p.cancel_url,
                       p.created_at < now() - interval '24 hours 30 minutes' AS over
                FROM purchase p
                WHERE p.livemode = $2 AND (
                      (p.status = 'created' AND p.kind = 'checkout' AND p.updated_at < now() - interval '2 minutes')
                   OR (p.status = 'open' AND p.created_at < now() - interval '24 hours 30 minutes'
                       AND p.updated_at < now() - interval '1 hour')
                   OR (p.status IN ('processing', 'quarantined') AND p.updated_at < now() - interval '1 hour'))
                ORDER BY p.updated_at LIMIT $1
                """, [.int(limit), .bool(livemode)]
            ).rows.map { row in
                let purchase = try PurchaseRow.read(row)
                guard purchase.status == .created, purchase.session == nil, purchase.paymentIntent == nil
                else {
                    return .unread(purchase)
                }
                if try row.bool(16) { return .abandoned(purchase) }
                guard let success = try row.optionalText(14), let cancel = try row.optionalText(15) else {
                    return .abandoned(purchase)
                }
                return .unanswered(purchase, successURL: success, cancelURL: cancel)
            }
        }
    }

    public func askedRefunds(livemode: Bool, limit: Int64) async throws -> [AskedRefund] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT r.request, r.purchase_id, p.payment_intent_id, r.cents,
                       r.created_at < now() - interval '23 hours'
                FROM refund_request r JOIN purchase p USING (purchase_id)
                WHERE r.status = 'asked' AND r.kind = 'cash' AND r.updated_at < now() - interval '1 minute'
                  AND p.livemode = $2
                ORDER BY r.updated_at LIMIT $1
                """, [.int(limit), .bool(livemode)]
            ).rows.map { row in
                try AskedRefund(
                    request: row.text(0), purchase: PurchaseID(row.uuid(1)), paymentIntent: row.text(2),
                    cents: row.int(3), isTooOld: row.bool(4))
            }
        }
    }

    public func answer(to request: String) async throws -> StoredRefund.Answer {
        try await self.pool.run { connection in
            guard let stored = try RefundRow.find(request, on: connection) else {
                throw PostgresError.unexpectedResult("no such refund")
            }
            return stored.answer
        }
    }

    public func wasLookedAt(_ purchase: PurchaseID) async throws {
        _ = try await self.pool.run { connection in
            try connection.run(
                "UPDATE purchase SET updated_at = now() WHERE purchase_id = $1::uuid", [.uuid(purchase.uuid)]
            ).affected
        }
    }

    public func wasLookedAt(_ request: String) async throws {
        _ = try await self.pool.run { connection in
            try connection.run(
                "UPDATE refund_request SET updated_at = now() WHERE request = $1", [.text(request)]
            ).affected
        }
    }

    public func settledEvents(among ids: [String]) async throws -> Set<String> {
        try await self.pool.run { connection in
            let rows = try connection.run(
                """
                SELECT event_id FROM stripe_event
                WHERE event_id = ANY ($1::text[])
                  AND (outcome <> 'dead' OR dismissed_at IS NOT NULL OR starts_with(reason, $2))
                """, [.array(PostgresArray(ids)), .text(StripeEventRecord.notApplied)]
            ).rows
            return Set(try rows.map { try $0.text(0) })
        }
    }

    public func unappliedEvents(livemode: Bool, limit: Int64) async throws -> [StripeEventRecord] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT \(Self.eventColumns) FROM stripe_event e
                WHERE e.outcome = 'dead' AND e.livemode = $1 AND e.received_at > now() - interval '3 days'
                  AND starts_with(e.reason, $2) AND e.dismissed_at IS NULL
                ORDER BY e.attempts, e.received_at, e.event_id LIMIT $3
                """, [.bool(livemode), .text(StripeEventRecord.notApplied), .int(limit)]
            ).rows.map { row in
                var event = try Self.storedEvent(row).record
                event.source = .poll
                return event
            }
        }
    }

    /// How many events need a person. One that is applied after all, or dismissed, is none any more.
    public func deadEvents() async throws -> Int64 {
        try await self.pool.run { connection in
            try connection.run(
                "SELECT count(*) FROM stripe_event WHERE outcome = 'dead' AND dismissed_at IS NULL"
            ).one().int(0)
        }
    }

    public func refundAnswered(_ request: String, refund: String?, refusal: String?) async throws {
        _ = try await self.pool.run { connection in
            // The first answer stands: it is keyed, so another one can only say the same.
            try connection.run(
                """
                UPDATE refund_request
                SET status = CASE WHEN $2::text IS NULL THEN 'refused' ELSE 'done' END, stripe_refund_id = $2,
                    refusal = $3, updated_at = now()
                WHERE request = $1 AND status = 'asked'
                """, [.text(request), .text(refund), .text(refusal)]
            ).affected
        }
    }

    public func takeJob(_ job: String, for holder: String, seconds: Int64) async throws -> JobLease? {
        try await self.pool.run { connection in
            try connection.run(
                """
                INSERT INTO job_lease (job, holder, until) VALUES ($1, $2, now() + make_interval(secs => $3::int))
                ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, until = excluded.until
                WHERE job_lease.until < now() OR job_lease.holder = excluded.holder
                RETURNING progress
                """, [.text(job), .text(holder), .int(seconds)]
            ).first.map { JobLease(progress: try $0.optionalText(0)) }
        }
    }

    public func endJob(_ job: String, by holder: String) async throws {
        _ = try await self.pool.run { connection in
            try connection.run(
                "UPDATE job_lease SET until = now() WHERE job = $1 AND holder = $2",
                [.text(job), .text(holder)]
            ).affected
        }
    }

    public func noteProgress(of job: String, by holder: String, _ progress: String) async throws {
        _ = try await self.pool.run { connection in
            try connection.run(
                "UPDATE job_lease SET progress = $3 WHERE job = $1 AND holder = $2",
                [.text(job), .text(holder), .text(progress)]
            ).affected
        }
    }

    public func forgetEvents() async throws -> Int {
        try await self.pool.run { connection in
            try connection.run(
                """
                DELETE FROM stripe_event
                WHERE received_at < now() - interval '90 days' AND (outcome <> 'dead' OR dismissed_at IS NOT NULL)
                """
            ).affected
        }
    }
}
