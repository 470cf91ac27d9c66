import Billing
import Metering

/// Who asked for a reconciliation.
public enum ReconciliationSource: String, Sendable, Hashable, CaseIterable {
    /// `serve`, once for each day over all instances.
    case daily
    case command
}

extension PostgresLedger {
    /// What the ledger can compare alone, each check on a snapshot of its own: settlement may go on meanwhile, and a
    /// process that stops waits for one query at most. Differences of days after `day` are left to their own
    /// reconciliation. A check that fails does not keep the others back.
    ///
    /// - Throws: when the ledger is away.
    public func reconcile(_ day: UTCDay) async throws -> [ReconciliationResult] {
        var results: [ReconciliationResult] = []
        for query in DifferenceQuery.all {
            results.append(
                try await Self.unlessRefused(query.check) {
                    try await self.onSnapshot { try query.run(day, on: $0) }
                })
        }
        results.append(
            try await Self.unlessRefused(.openAICosts) {
                try await self.onSnapshot { try Self.compareCosts(day, on: $0) }
            })
        results.append(try await Self.unlessRefused(.books) { try await self.compareBooks(day) })
        return results
    }

    /// A query that the ledger refuses, or that takes too long, says nothing about amounts; nor does it about others.
    public static func unlessRefused(
        _ check: ReconciliationCheck, _ body: () async throws -> ReconciliationResult
    ) async throws -> ReconciliationResult {
        do { return try await body() } catch let error as PostgresError where error.isAnswer {
            return ReconciliationResult(check, without: .unavailable, because: "the ledger: \(error)")
        }
    }

    /// The server gives up first: a time-out is then its refusal, and not the end of the connection.
    private func onSnapshot<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        return try await self.pool.run(timeout: .seconds(960)) { connection in
            try connection.transaction(.readSnapshot) { connection in
                try connection.run("SELECT set_config('statement_timeout', '900s', true)")
                return try body(connection)
            }
        }
    }

    private static func compareCosts(
        _ day: UTCDay, on connection: PostgresConnection
    ) throws -> ReconciliationResult {
        let isImported = try connection.run("SELECT EXISTS (SELECT 1 FROM openai_cost)").one().bool(0)
        guard isImported else {
            return ReconciliationResult(
                .openAICosts, without: .notConfigured, because: "no costs of OpenAI were imported")
        }
        return try DifferenceQuery.openAICosts.run(day, on: connection)
    }

    /// I8 of `verify`: differences of several sides.
    private func compareBooks(_ day: UTCDay) async throws -> ReconciliationResult {
        var parts: [ReconciliationResult] = []
        for query in LedgerCheck.books.compactMap(DifferenceQuery.init) {
            parts.append(try await self.onSnapshot { try query.run(day, on: $0) })
        }
        return ReconciliationResult(
            .books, parts.flatMap(\.findings), total: parts.reduce(0) { $0 + $1.total },
            mismatch: parts.reduce(0) { $0 + $1.mismatch })
    }

    /// Takes over what OpenAI says its days cost; a day that is there already is replaced. The audit log keeps how many
    /// of these days there were before, and what they cost, since a changed cost makes a difference go away.
    public func importOpenAICosts(_ rows: [OpenAICostExport.Row], note: ChangeNote) async throws {
        let days = rows.map(\.day)
        guard let first = days.min(), let last = days.max() else { return }
        let named = PostgresValue.array(PostgresArray(days.map { "\($0)" }))
        _ = try await self.pool.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    let before = try Self.costs(of: named, on: connection)
                    try connection.run(
                        """
                        INSERT INTO openai_cost (day, amount_microusd)
                        SELECT * FROM unnest($1::date[], $2::bigint[])
                        ON CONFLICT (day) DO UPDATE
                        SET amount_microusd = excluded.amount_microusd, imported_at = now()
                        """, [named, .array(PostgresArray(rows.map(\.amount.value)))])
                    let after = try Self.costs(of: named, on: connection)
                    return try connection.audit(
                        note, "costs.import", "openai_cost:\(first)..\(last)", before: before, after: after)
                }
            }
        }
    }

    /// JSON: `{"days": n, "microusd": sum}`
    private static func costs(of days: PostgresValue, on connection: PostgresConnection) throws -> String {
        try connection.run(
            """
            SELECT jsonb_build_object('days', count(*), 'microusd', coalesce(sum(amount_microusd), 0))::text
            FROM openai_cost WHERE day = ANY ($1::date[])
            """, [days]
        ).one().text(0)
    }

}

extension PostgresLedger: ReconciledPayments {
    public func ledgerID() async throws -> LedgerID {
        try await self.pool.run { try LedgerRow.id(on: $0) }
    }

    public func standingPayments() async throws -> Set<String> {
        try await self.onSnapshot { connection in
            let rows = try connection.run(
                """
                SELECT subject FROM reconciliation_finding WHERE check_name = 'payments' AND run_id = (
                    SELECT max(run_id) FROM reconciliation_result
                    WHERE check_name = 'payments' AND outcome IN ('clean', 'mismatch'))
                """
            ).rows
            return Set(try rows.map { try $0.text(0) })
        }
    }

    public func paymentRecords(
        of day: UTCDay, named paymentIntents: [String], livemode: Bool
    ) async throws -> [PaymentRecord] {
        try await self.onSnapshot { connection in
            try connection.run(
                """
                WITH moved AS (
                    SELECT DISTINCT purchase_id FROM cash_movement
                    WHERE created_at >= $1::timestamp AT TIME ZONE 'UTC'
                      AND created_at < ($1::timestamp + interval '1 day') AT TIME ZONE 'UTC'
                      AND kind NOT IN ('received', 'fee', 'fee_returned'))
                SELECT p.purchase_id::text, p.payment_intent_id, s.granted, s.paid_cents, s.refunded_cents,
                       s.lost_cents, s.withdrawn_cents, s.frozen, s.is_disputed, m.purchase_id IS NOT NULL
                FROM purchase p JOIN payment_state s USING (purchase_id) LEFT JOIN moved m USING (purchase_id)
                WHERE p.livemode = $3::boolean AND p.payment_intent_id IS NOT NULL
                  AND (m.purchase_id IS NOT NULL OR s.is_disputed OR p.payment_intent_id = ANY ($2::text[])
                    -- A bank that debits takes up to three weeks.
                    OR p.status IN ('processing', 'quarantined')
                       AND p.created_at >= ($1::timestamp - interval '30 days') AT TIME ZONE 'UTC'
                       AND p.created_at < ($1::timestamp + interval '1 day') AT TIME ZONE 'UTC'
                    OR p.paid_at >= $1::timestamp AT TIME ZONE 'UTC'
                       AND p.paid_at < ($1::timestamp + interval '1 day') AT TIME ZONE 'UTC')
                ORDER BY p.purchase_id
                """,
                [
                    .text("\(day)"), .array(PostgresArray(paymentIntents)), .bool(livemode),
                ], timeout: .seconds(930)
            ).rows.map { row in
                try PaymentRecord(
                    purchase: row.text(0), paymentIntent: row.text(1), granted: row.millicredits(2),
                    paidCents: row.int(3), refundedCents: row.int(4), lostCents: row.int(5),
                    withdrawnCents: row.int(6), frozen: row.millicredits(7), isDisputed: row.bool(8),
                    hasMovedBack: row.bool(9))
            }
        }
    }
}
